//! Who calls, and what identifies a request that may be delivered more than once.
//!
//! Owns: what travels beside the parameters, as values. Must never know: in which headers it
//! travels, how credentials are checked.

use std::{fmt, sync::Arc, time::Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cursor::Cursor;
use crate::{
    env,
    limits::Limits,
    types::{self, Timestamp},
};

/// Who calls, and how they want to be answered: what travels beside the parameters (specification
/// section 3.2.6).
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Whose tasks these are. Callers never see tasks of another owner; the empty owner is the
    /// anonymous caller.
    pub owner: Arc<str>,
    /// What the caller showed to say so, for [`Client::with_credentials_of`]. It is never recorded: an
    /// attempt that another runner began has none.
    ///
    /// [`Client::with_credentials_of`]: crate::client::Client::with_credentials_of
    pub credentials: Option<Credentials>,
    /// When that ends, where it does; then the caller's streams end.
    pub login_expires: Option<Timestamp>,
    /// `A2A-Version` as it was sent, if it was.
    pub version: Option<Arc<str>>,
    /// `A2A-Extensions`: the URIs the caller knows.
    pub extensions: Vec<Arc<str>>,
    /// When the call's answer must be recorded at the latest: HTTP's own end, after which nobody
    /// hears it. An agent that is not done by then has failed.
    pub deadline: Option<Instant>,
    /// When the host stops working on the call, such as an invocation's or a shutdown's end, which is
    /// nobody's fault: a run that is not done shortly before is released for the next attempt, and
    /// the call fails with a retriable error. For transports that redeliver, as Kafka does.
    pub cut: Option<Instant>,
    /// Whether the transport redelivers the call until it is done, as Kafka does: then a redelivery
    /// that is answered at once still sees the work to its end, as the first delivery did.
    pub at_least_once: bool,
    /// Until when the client waits for the answer, as it says, by the clock on the wall. A
    /// request that comes later is not begun; work that has begun ends by then.
    pub expires: Option<Timestamp>,
    /// What makes a redelivery of the call the same call.
    pub key: Option<IdempotencyKey>,
    /// Where a returning reader of a stream left off (`Last-Event-ID`).
    pub resume: Option<Cursor>,
    /// How many bytes of JSON a page may have for it, where that is less than
    /// [`Limits::page_bytes`](crate::Limits): what its transport takes.
    pub page_bytes: Option<usize>,
    /// When the caller's streams end.
    pub streams_end: StreamsEnd,
    /// The distributed trace that the call is part of.
    pub trace: Option<TraceContext>,
    /// The protocol binding it came by, as a card names it.
    pub transport: Option<Arc<str>>,
    /// Where it is to be answered, if that is somewhere else than where it came from.
    pub reply_to: Option<ReplyAddress>,
}

impl Caller {
    /// The owner's name for a subject of an issuer of tokens, wherever the token was checked: so one
    /// caller is the same behind every gateway and over every transport.
    pub fn named(issuer: &str, subject: &str) -> Arc<str> {
        format!("{issuer}#{subject}").into()
    }
}

/// The header `Authorization`, as it was sent: never shown and never recorded.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(Arc<str>);

impl Credentials {
    /// The credentials in that header; none where it is no text, or empty.
    pub(crate) fn new(authorization: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(authorization).ok().filter(|text| !text.is_empty());
        text.map(|text| Self(text.into()))
    }

    /// The header's value. It is a secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// A distributed trace's context (W3C Trace Context), as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// `traceparent`.
    pub parent: Arc<str>,
    /// `tracestate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// The context of these headers; none where there is no `traceparent`, or one that is none. A
    /// `tracestate` that is longer than every system must carry is left out.
    pub fn new(parent: Option<&str>, state: Option<&str>) -> Option<Self> {
        /// Longer than that of any version there is.
        const MAX_PARENT: usize = 128;
        const MAX_STATE: usize = 512;
        let short = |text: &str, most| (1..=most).contains(&text.len());
        let parent = parent.filter(|text| short(text, MAX_PARENT))?.into();
        Some(Self { parent, state: state.filter(|text| short(text, MAX_STATE)).map(Arc::from) })
    }
}

/// Where an answer is produced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyAddress {
    /// The topic.
    pub topic: Arc<str>,
    /// The correlation id.
    #[serde(serialize_with = "types::write_base64", deserialize_with = "types::read_base64")]
    pub key: Bytes,
}

/// When a subscription ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamsEnd {
    /// When the task has ended. For transports where the client can send the next message
    /// meanwhile.
    #[default]
    AtTerminal,
    /// When no run is at work on the task. For transports that answer in order, where the client's
    /// next message waits behind the stream.
    AtRest,
}

/// The identity of a request that may be delivered more than once. The ids it derives are the same
/// at each delivery, so a redelivery meets the first delivery's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    name: Arc<str>,
    /// What all ids go back to: to hash the name for each of them would be a fifth of a short
    /// answer's time.
    digest: Uuid,
    of_client: bool,
}

impl IdempotencyKey {
    /// The key for the request of this name, unique among all requests to one store, such as a
    /// Kafka record's position.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::named(name.into(), false)
    }

    fn named(name: Arc<str>, of_client: bool) -> Self {
        Self { digest: env::named(&name), name, of_client }
    }

    /// The key a caller gives a request to one agent, so that it may retry it: another caller's same
    /// key is another key.
    ///
    /// # Errors
    /// What such a key is made of, when this is none.
    pub fn of_caller(agent: &str, owner: &str, key: &str) -> Result<Self, &'static str> {
        let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !printable || !(1..=Limits::IDEMPOTENCY_KEY).contains(&key.len()) {
            return Err("must be 1 to 255 printable ASCII characters");
        }
        // Lengths first: no text of one can look like a piece of another.
        let name = format!("key|{}|{}|{agent}{owner}{key}", agent.len(), owner.len());
        Ok(Self::named(name.into(), true))
    }

    /// The key as text.
    pub fn as_str(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether a client chose it, which may give it to another request by mistake.
    pub fn is_of_client(&self) -> bool {
        self.of_client
    }

    /// The id this request gives to the thing it makes in that role, for example its `task`.
    pub fn id(&self, role: &str) -> Arc<str> {
        env::id_in_role(&self.digest, role)
    }
}
