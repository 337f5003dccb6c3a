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
        }
    }
}
