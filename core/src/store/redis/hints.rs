//! Hints: messages from Redis that a journal has grown.
//!
//! Owns: which journals this process follows, the connection on which Redis tells of them, and
//! that it is made again. Nothing relies on it: a follower reads the journal itself, soon after a
//! hint and now and then without one. Must never know: what is in a journal.
//!
//! Why hints and not `XREAD BLOCK`: a blocked read occupies its connection, so each followed task
//! would need one, and every running task is followed by its own process. One blocked read over
//! all of them would have to be broken off and sent again, with all its keys, whenever a task
//! begins or ends or grows, and it would bring each entry to a process that already has it.
//! A channel for each task costs one short message at its start and end, and an append costs
//! nothing where no other process follows. One channel for all would tell every process of everything.
//!
//! Why a connection of its own: Redis drops a subscriber that is 32 MB behind, and answers to
//! ordinary requests would count.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use redis::{Client, PushInfo, PushKind, RedisResult, Value, aio::MultiplexedConnection};
use tokio::runtime::Handle;

use super::link::{self, Moment};
use crate::{store::feed::Feeds, task::TaskKey};

/// How many channels are joined or left in one request.
const AT_ONCE: usize = 500;
/// A connection that was not heard of for this long is tested.
const SILENCE: Duration = Duration::from_secs(15);
/// How long until the next attempt after a failure, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Hints {
    client: Client,
    feeds: Arc<Feeds>,
    /// This process's appends carry it: their followers here have been told already.
    writer: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    followed: HashMap<String, Followed>,
    /// Channels that may have to be joined or left.
    pending: HashSet<String>,
    joined: HashSet<String>,
    /// Counted, so that the end of an old connection is not taken for that of the new one.
    number: u64,
    connection: Option<MultiplexedConnection>,
    heard: Option<Moment>,
    /// The difference is being worked on.
    busy: bool,
    /// After the last failure; none after a success.
    pause: Duration,
    not_before: Option<Instant>,
}

struct Followed {
    key: TaskKey,
    followers: usize,
}

/// While it lives, hints of that journal come.
pub(super) struct Following {
    hints: Arc<Hints>,
    channel: String,
}

impl Hints {
    pub(super) fn new(client: Client, feeds: Arc<Feeds>, writer: String) -> Self {
        Self { client, feeds, writer, state: Mutex::default() }
    }

    pub(super) fn follow(self: &Arc<Self>, key: &TaskKey, channel: String) -> Following {
        let mut state = self.lock();
        let new = || Followed { key: key.clone(), followers: 0 };
        let followed = state.followed.entry(channel.clone()).or_insert_with(new);
        followed.followers += 1;
        if followed.followers == 1 {
            state.pending.insert(channel.clone());
        }
        drop(state);
        self.keep();
        Following { hints: Arc::clone(self), channel }
    }

    /// Sees to it that hints flow. Every read calls it, so that a broken connection is mended as long
    /// as it is wanted; what it starts ends by itself.
    pub(super) fn keep(self: &Arc<Self>) {
        let mut state = self.lock();
        let wanted = !state.followed.is_empty() || state.connection.is_some();
        let amiss = state.connection.is_none() || !state.pending.is_empty() || state.is_silent();
        let early = state.not_before.is_some_and(|time| Instant::now() < time);
        if !wanted || !amiss || early || state.busy {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        state.busy = true;
        drop(state);
        let mending = Mending(Arc::clone(self));
        runtime.spawn(async move {
            mending.0.mend().await;
            let hints = Arc::clone(&mending.0);
            drop(mending);
            // A call that came while it ended found it busy.
            hints.keep();
        });
    }

    /// Until what Redis was told is what is followed.
    async fn mend(self: &Arc<Self>) {
        if let Err(error) = self.settle().await {
            let mut state = self.lock();
            state.lose();
            state.pause = (state.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
            state.not_before = Some(Instant::now() + state.pause);
            tracing::warn!(
                error = %error,
                retry_in = ?state.pause,
                "Redis sends no hints; streams from other instances are read with delays up to a second"
            );
        }
    }

    async fn settle(self: &Arc<Self>) -> RedisResult<()> {
        loop {
            let mut connection = self.connection().await?;
            let (join, leave) = self.difference();
            if join.is_empty() && leave.is_empty() {
                return Ok(());
            }
            if !join.is_empty() {
                connection.subscribe(&join).await?;
                // What was appended before this moment brought no hint.
                for key in self.joined(&join) {
                    self.feeds.wake(&key);
                }
            }
            if !leave.is_empty() {
                connection.unsubscribe(&leave).await?;
            }
            let mut state = self.lock();
            state.heard = Some(Moment::now());
            (state.pause, state.not_before) = (Duration::ZERO, None);
        }
    }

    async fn connection(self: &Arc<Self>) -> RedisResult<MultiplexedConnection> {
        let (held, silent) = {
            let state = self.lock();
            (state.connection.clone(), state.is_silent())
        };
        if let Some(mut connection) = held
            && (!silent || link::answers(&mut connection).await)
        {
            self.lock().heard = Some(Moment::now());
            return Ok(connection);
        }
        let number = self.lock().lose();
        let hints = Arc::downgrade(self);
        let config = link::config().set_push_sender(move |push| {
            hear(&hints, number, &push);
            Ok::<(), ()>(())
        });
        let connection = link::connect(self.client.clone(), config).await?;
        let mut state = self.lock();
        if state.number == number {
            state.connection = Some(connection.clone());
            state.heard = Some(Moment::now());
        }
        // Else it has ended already, and the next request over it says so.
        Ok(connection)
    }

    /// What to join and what to leave.
    fn difference(&self) -> (Vec<String>, Vec<String>) {
        let mut state = self.lock();
        let (mut join, mut leave) = (Vec::new(), Vec::new());
        while join.len() + leave.len() < AT_ONCE {
            let Some(channel) = state.pending.iter().next().cloned() else { break };
            state.pending.remove(&channel);
            match (state.followed.contains_key(&channel), state.joined.contains(&channel)) {
                (true, false) => join.push(channel),
                (false, true) => {
                    state.joined.remove(&channel);
                    leave.push(channel);
                }
                _ => {}
            }
        }
        (join, leave)
    }

    fn joined(&self, channels: &[String]) -> Vec<TaskKey> {
        let mut state = self.lock();
        state.joined.extend(channels.iter().cloned());
        let keys = channels.iter().filter_map(|channel| state.followed.get(channel));
        keys.map(|followed| followed.key.clone()).collect()
    }

    fn leave(self: &Arc<Self>, channel: &str) {
        let mut state = self.lock();
        if let Some(followed) = state.followed.get_mut(channel) {
            followed.followers -= 1;
            if followed.followers == 0 {
                state.followed.remove(channel);
                state.pending.insert(channel.to_owned());
            }
        }
        drop(state);
        self.keep();
    }

    /// Nothing that holds it can panic half-way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_silent(&self) -> bool {
        self.heard.is_none_or(|heard| heard.is_over(SILENCE))
    }

    /// Lets the connection go: everything is to be joined again. The number of the next one.
    fn lose(&mut self) -> u64 {
        self.connection = None;
        self.joined.clear();
        self.pending = self.followed.keys().cloned().collect();
        self.number += 1;
        self.number
    }
}

/// On the task that reads from the connection, so it must not wait.
fn hear(hints: &Weak<Hints>, number: u64, push: &PushInfo) {
    let Some(hints) = hints.upgrade() else { return };
    let mut state = hints.lock();
    if state.number != number {
        return;
    }
    state.heard = Some(Moment::now());
    match (&push.kind, push.data.as_slice()) {
        (PushKind::Disconnection, _) => {
            state.lose();
            drop(state);
            hints.feeds.wake_all();
            hints.keep();
        }
        (PushKind::Message, [Value::BulkString(channel), Value::BulkString(writer)]) => {
            let channel = str::from_utf8(channel).unwrap_or_default();
            if writer != hints.writer.as_bytes()
                && let Some(followed) = state.followed.get(channel)
            {
                hints.feeds.wake(&followed.key);
            }
        }
        _ => {}
    }
}

/// However it ends, also with its runtime: the next one can begin.
struct Mending(Arc<Hints>);

impl Drop for Mending {
    fn drop(&mut self) {
        self.0.lock().busy = false;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.hints.leave(&self.channel);
    }
}
