//! Every bound, named, in one place.

use std::time::Duration;

/// The bounds a handler works within. Start from [`Limits::default`] and change what you must.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// A request's largest body, in bytes. 4 MiB: with base64 it still fits Lambda's 6 MB payload.
    pub body: usize,
    /// The largest event an agent may emit, in bytes of text and data.
    pub entry: usize,
    /// How many events wait between an agent and the journal before the agent is made to wait.
    pub queue: usize,
    /// How many events are appended at once.
    pub batch_events: usize,
    /// How many bytes of events are appended at once; a larger single event still is.
    pub batch_bytes: usize,
    /// How long an agent may work on one message.
    pub run_time: Duration,
    /// How long a stream waits for the agent's first event before it begins with the bare task.
    /// Less than a heartbeat, so that no proxy takes the agent's thinking for a dead
    /// connection.
    pub silence: Duration,
    /// How much before a call's deadline its outcome is recorded.
    pub deadline_margin: Duration,
    /// How long an agent's clean-up after a cancel may take.
    pub cancel_time: Duration,
    /// How often the work on one message is begun at most: again after its runner died.
    pub attempts: u32,
    /// How long a runner that records nothing is believed to be alive. A living one gives a sign
    /// of life three times in that time. What nobody works on any more is found within this and a
    /// third, where a [`Sweeper`](crate::Sweeper) runs. Not compared with any clock but the
    /// observer's own.
    pub lease: Duration,
    /// How often an append is tried while other writers are ahead.
    pub append_tries: u32,
    /// How long a call waits for a store that is away before it is told so.
    pub store_patience: Duration,
    /// How long a run that has begun waits for a store that is away, within its time limit.
    pub outage: Duration,
    /// How many earlier tasks of a context an agent can read.
    pub related: u32,
    /// A page of tasks, where the caller does not say.
    pub page: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            entry: 4 << 20,
            queue: 256,
            batch_events: 256,
            batch_bytes: 1 << 20,
            run_time: Duration::from_secs(600),
            silence: Duration::from_secs(10),
            deadline_margin: Duration::from_secs(2),
            cancel_time: Duration::from_secs(5),
            attempts: 5,
            lease: Duration::from_secs(30),
            append_tries: 8,
            store_patience: Duration::from_secs(3),
            outage: Duration::from_secs(60),
            related: 20,
            page: 50,
        }
    }
}
