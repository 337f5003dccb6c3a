//! Every bound, named, in one place.

use std::time::Duration;

/// The bounds a handler works within. Start from [`Limits::default`] and change what you must.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// A request's largest body, in bytes. 4 MiB: with base64 it still fits Lambda's 6 MB payload.
    pub body: usize,
    /// The longest id that a caller or an agent may choose, in bytes: of a task, a context, a message,
    /// an artifact, a push configuration, a tenant, an extension, a media type. It comes back in
    /// every answer and event. A longer one is refused as an invalid parameter, by its field's name.
    pub id: usize,
    /// How many ids one list of a request holds: extensions, references, output modes. More are
    /// refused as an invalid parameter.
    pub ids: usize,
    /// How many parts a message holds. More are refused as an invalid parameter.
    pub parts: usize,
    /// How many bytes the metadata of a request have together: its own, its message's and its parts'.
    /// More are refused as an invalid parameter.
    pub metadata: usize,
    /// The largest event an agent may emit, in bytes of text and data. With a larger one its run
    /// fails, in a sentence that says so.
    pub entry: usize,
    /// The largest answer, in bytes of JSON: a task, or the task that a stream begins with. In place of
    /// a larger one there is an error that says how to ask for less.
    pub answer: usize,
    /// How many bytes of JSON a page of tasks has: it ends early, with its token. One task is a
    /// page of its own, however large an answer it is.
    pub page_bytes: usize,
    /// The largest piece of a stream that is held for its reader, in bytes. A larger event goes out
    /// in several.
    pub chunk: usize,
    /// How many streams one caller has at once. One more is refused as unavailable, so that it may
    /// be asked for again; a Kafka record waits.
    pub streams_per_caller: usize,
    /// How many events wait between an agent and the journal before the agent is made to wait.
    pub queue: usize,
    /// How many events are appended at once.
    pub batch_events: usize,
    /// How many bytes of events are appended at once; a larger single event still is.
    pub batch_bytes: usize,
    /// How long an agent may work on one message, all attempts taken together.
    pub run_time: Duration,
    /// How long a stream waits for the agent's first event before it begins with the bare task.
    /// Less than a heartbeat, so that no proxy takes the agent's thinking for a dead
    /// connection.
    pub first_event: Duration,
    /// How much before a call's deadline its outcome is recorded, and before its host's end that
    /// the work is released.
    pub deadline_margin: Duration,
    /// How long an agent's clean-up after a cancel may take.
    pub cancel_time: Duration,
    /// After how many attempts at one message that came to nothing its task is given up: those whose
    /// runner died, and those that were released with no step done since the release before. A
    /// takeover starts the next one.
    pub attempts: u32,
    /// How long a runner that records nothing is believed to be alive. A living one records a
    /// heartbeat three times in that time. A [`Sweeper`](crate::Sweeper) finds an orphan within this
    /// and a third; where a process died that had more than four, within twice this. Not compared
    /// with any clock but the observer's own.
    pub lease: Duration,
    /// How many steps an agent may do for one message.
    pub steps: usize,
    /// How long a step's name may be, in bytes.
    pub step_name: usize,
    /// How often an append is tried while other writers take the slot.
    pub append_tries: u32,
    /// The longest outage of the store that a call waits for; after it, the caller is told.
    pub call_outage: Duration,
    /// The longest outage of the store that a run waits for, within its time limit.
    pub run_outage: Duration,
    /// How many earlier tasks of a context an agent can read.
    pub related: u32,
    /// A page of tasks, where the caller does not say.
    pub page: u32,
    /// How many connections an HTTP server has open, and no more than half of its descriptors. Past
    /// it the one without a request in flight for longest is closed; a new one where there is none.
    pub connections: usize,
    /// How long a connection stays open without a request: longer than load balancers keep theirs,
    /// which would send a request as it closes.
    pub connection_idle: Duration,
    /// How long the head of a request may take to arrive; its connection is closed then.
    pub head_time: Duration,
    /// How long the body of a request may take to arrive; 400 then.
    pub body_time: Duration,
    /// How long a reader may take nothing of its answer; its connection is closed then.
    pub read_stall: Duration,
    /// How many bytes of requests are in flight in all. Past it, and past three quarters of it for a
    /// request of more than 16 KiB, a new one is answered with 503 and `Retry-After`.
    pub bytes_in_flight: usize,
    /// How many runs are at work at once. Past it a new one is refused as unavailable: over HTTP with
    /// 503 and `Retry-After`, over Kafka its record waits.
    pub runs: usize,
    /// The same for each caller.
    pub runs_per_caller: usize,
}

/// What the bindings' documents fix, so that a client may rely on it. Past one of these a request is
/// refused as invalid, without the text that is too long.
impl Limits {
    /// Bytes of a JSON-RPC request's id, as JSON: it is in every answer, and each event of a stream.
    pub const REQUEST_ID: usize = 1_024;
    /// Bytes of a record's key, the correlation id. A longer one is cut in the answer that refuses it.
    pub const CORRELATION_KEY: usize = 1_024;
    /// Bytes of an idempotency key.
    pub const IDEMPOTENCY_KEY: usize = 255;
    /// Headers of a record. Each costs its reader memory, also an empty one.
    pub const HEADERS: usize = 128;
    /// Bytes of a record's header that is read here. Room for any token.
    pub const HEADER_BYTES: usize = 8_192;
    /// Bytes of the names and values of a record's headers together.
    pub const HEADERS_BYTES: usize = 65_536;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            id: 1_024,
            ids: 128,
            parts: 1_024,
            metadata: 1 << 20,
            entry: 4 << 20,
            answer: 16 << 20,
            page_bytes: 4 << 20,
            chunk: 512 << 10,
            streams_per_caller: 1_000,
            queue: 256,
            batch_events: 256,
            batch_bytes: 1 << 20,
            run_time: Duration::from_secs(600),
            first_event: Duration::from_secs(10),
            deadline_margin: Duration::from_secs(2),
            cancel_time: Duration::from_secs(5),
            attempts: 5,
            lease: Duration::from_secs(30),
            steps: 1_000,
            step_name: 256,
            append_tries: 8,
            call_outage: Duration::from_secs(3),
            run_outage: Duration::from_secs(60),
            related: 20,
            page: 50,
            connections: 2_048,
            connection_idle: Duration::from_secs(75),
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            read_stall: Duration::from_secs(30),
            bytes_in_flight: 64 << 20,
            runs: 16_384,
            runs_per_caller: 16_384,
        }
    }
}

#[cfg(test)]
mod tests;
