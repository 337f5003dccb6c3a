//! The binding's requirements of servers, in its order.
//!
//! Owns: their numbers, sections and words, which are the document's, and which check belongs to
//! which. Must never know: how a check is done.

use futures_util::future::{FutureExt, LocalBoxFuture};

use super::{delivery, errors, operations, outcome::Checked, probe::Probe, records, streams};

/// A requirement.
pub(super) struct Requirement {
    /// Its number in the document.
    pub(super) number: &'static str,
    /// The section it stands in.
    pub(super) section: &'static str,
    /// What a server must do.
    pub(super) what: &'static str,
    /// How that shows; none where it does not show to a client.
    pub(super) check: Option<Check>,
}

type Check = for<'a> fn(&'a Probe) -> LocalBoxFuture<'a, Checked>;

/// All of them.
pub(super) fn all() -> Vec<Requirement> {
    macro_rules! checked {
        ($number:literal, $section:literal, $what:literal, $check:path) => {
            Requirement {
                number: $number,
                section: $section,
                what: $what,
                check: Some(|probe| $check(probe).boxed_local()),
            }
        };
    }
    let unseen = |number, section, what| Requirement { number, section, what, check: None };
    vec![
        checked!("S1", "2.2", "the card names the binding and the topic", records::card),
        checked!("S2", "3.1", "requests are taken from every partition", records::partitions),
        checked!("S3", "3.2", "an answer has the request's key, byte for byte", records::keys),
        checked!("S4", "3.2", "an answer has the request's id", records::ids),
        checked!("S5", "3.3", "headers are read in any case", records::cases),
        checked!("S6", "3.3", "headers over a bound are refused", records::bounds),
        checked!("S7", "3.3", "other headers are ignored", records::others),
        checked!(
            "S8",
            "3.3",
            "a header that cannot be read is not overlooked",
            records::unreadable
        ),
        checked!("S9", "3.4", "an answer names its media type and version", records::headers),
        checked!("S10", "3.4", "traceparent is returned", records::traces),
        checked!("S11", "3.4", "UNAUTHENTICATED has a challenge", records::challenge),
        checked!(
            "S12",
            "3.4",
            "headers of answers are refused, on the agent's topic",
            records::forged
        ),
        checked!("S13", "5", "every operation is known", operations::known),
        checked!("S14", "5", "returnImmediately is answered at once", operations::at_once),
        checked!("S15", "5", "and each time the same", operations::at_once_again),
        checked!("S16", "7", "no answer goes to a topic of another kind", records::topics),
        checked!("S17", "7", "what is refused its topic is not executed", records::refused),
        checked!("S18", "8", "exactly the last record of a stream is marked", streams::marked),
        checked!("S19", "8", "a stream ends when its task waits", streams::at_rest),
        checked!("S20", "8", "a stream is in one partition, in order", streams::order),
        checked!("S21", "8", "a stream is continued exactly after an event", streams::resumed),
        checked!("S22", "8", "after the last event the end is told", streams::ended),
        unseen("S23", "8", "a restart is marked"),
        checked!("S24", "9", "a lane's records are worked on in order", operations::lanes),
        checked!("S25", "9", "what reads or cancels does not wait behind work", operations::reads),
        unseen("S26", "10", "what has ended is not executed again"),
        unseen("S27", "10", "a living run is joined"),
        unseen("S28", "10", "answers to one record are equal"),
        unseen("S29", "10", "an answer is acknowledged before its record is done"),
        checked!(
            "S30",
            "10",
            "an idempotency key executes once, with equal answers",
            delivery::once
        ),
        checked!("S31", "10", "another message under a key is refused", delivery::taken),
        checked!("S32", "10", "a cancel under a key answers the same task", delivery::cancels),
        checked!("S33", "11", "what comes after its deadline is not executed", delivery::late),
        checked!("S34", "11", "what was begun before has its answer", delivery::begun),
        checked!("S35", "11", "work ends with its deadline", delivery::cut),
        checked!("S36", "12", "errors have a code, a reason and the domain", errors::form),
        checked!("S37", "12", "errors have an order", errors::order),
        checked!(
            "S38",
            "12",
            "each bad record has its answer, and its neighbours theirs",
            errors::bad
        ),
        checked!("S39", "13", "an answer that is too large is replaced", errors::too_large),
        checked!("S40", "13", "and names its task", errors::too_large_task),
        checked!("S41", "14", "a dead letter is the record and the cause", errors::dead_letter),
        unseen("S42", "15", "nobody is believed who claims to be a caller"),
        checked!("S43", "15", "required credentials are checked first", records::credentials),
        unseen("S44", "15", "credentials are judged once"),
    ]
}
