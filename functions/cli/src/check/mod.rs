//! `kafka-check`: what the Kafka binding asks of a server, asked of one.
//!
//! ```text
//!  list ──▶ records, operations, streams, delivery, errors ──▶ probe ──▶ requests
//!                                                                │◀────── answers, dead letters
//!                                                                ▼
//!                                                        pass, fail, not seen
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `list` | the binding's numbers, in its order, and which check belongs to which |
//! | `outcome` | what a check comes to |
//! | `record` | records as they are sent and as they come |
//! | `probe` | sending them, and waiting for what comes of them |
//! | `records`, `operations`, `streams`, `delivery`, `errors` | the checks |
//!
//! The server is an agent that does what the A2A conformance kit's message ids ask for. It is taken
//! as it is found: by its topics alone, beside other clients.

mod delivery;
mod errors;
mod list;
mod operations;
mod outcome;
mod probe;
mod record;
mod records;
mod streams;

use a2a_core::{ErrorKind, wire::shown};
use serde::Serialize;

use self::{list::Requirement, outcome::Outcome, probe::Probe};
use crate::{
    options::Options,
    output::Output,
    verdict::{Failure, Verdict},
};

/// A line of the table.
#[derive(Serialize)]
struct Line<'a> {
    number: &'a str,
    section: &'a str,
    what: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'a str,
}

/// Checks the server at the options' address and shows the table as it grows.
pub(crate) async fn run(
    options: &Options,
    output: &mut Output,
    fed_in_batches: bool,
) -> Result<Verdict, Failure> {
    let mut probe = Probe::open(options).await.map_err(|error| match error.kind() {
        ErrorKind::InvalidParams => Failure::Usage(error),
        _ => Failure::Call(error),
    })?;
    probe.fed_in_batches = fed_in_batches;
    let (mut passed, mut failed, mut unseen) = (0, 0, 0);
    for requirement in list::all() {
        let outcome = carried_out(&requirement, &probe).await;
        let (word, why) = match &outcome {
            Outcome::Pass => ("pass", ""),
            Outcome::Fail(why) => ("FAIL", &**why),
            Outcome::NotSeen(why) => ("not seen", &**why),
        };
        match outcome {
            Outcome::Pass => passed += 1,
            Outcome::Fail(_) => failed += 1,
            Outcome::NotSeen(_) => unseen += 1,
        }
        let Requirement { number, section, what, .. } = requirement;
        let line = Line { number, section, what, outcome: word, why };
        let why = &*shown::line(why);
        let because = if why.is_empty() { String::new() } else { format!("\n{:26}{why}", "") };
        output.row(&line, &format!("{number:<5}{section:<7}{word:<10}    {what}{because}"))?;
    }
    output.note(&format!("{passed} pass, {failed} fail, {unseen} are not seen"))?;
    Ok(if failed == 0 { Verdict::Done } else { Verdict::Failed })
}

async fn carried_out(requirement: &Requirement, probe: &Probe) -> Outcome {
    match requirement.check {
        None => Outcome::NotSeen("it does not show outside".to_owned()),
        Some(check) => check(probe).await.unwrap_or_else(Outcome::Fail),
    }
}
