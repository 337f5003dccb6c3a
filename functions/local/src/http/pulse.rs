//! What a connection is doing, since when, and when that is too long.
//!
//! Owns: idle time, the time of a head, the time a reader takes nothing, and who makes room for a new
//! connection. Must never know: bytes, requests.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use a2a_core::Limits;
use tokio::{sync::Notify, time::Instant};

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing was asked for long enough, or another connection needs its place.
    Idle,
    /// A head did not arrive in time.
    Head,
    /// What was to be sent was not taken.
    Reader,
}

impl End {
    pub(super) fn is_idle(self) -> bool {
        self == Self::Idle
    }
}

#[derive(Debug)]
struct State {
    /// How many requests are in flight.
    requests: usize,
    /// Since when there is none, or since when a head arrives.
    since: Instant,
    /// Whether a part of a head is there.
    head: bool,
    /// Whether it is HTTP/2, where frames come that belong to no request.
    multiplexed: bool,
    /// Since when nothing of what is to be sent is taken.
    stalled: Option<Instant>,
    /// Whether another connection needs its place.
    evicted: bool,
}

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Pulse {
    state: Mutex<State>,
    changed: Notify,
    place: u64,
    connections: Weak<Mutex<Places>>,
}

impl Pulse {
    /// Bytes came.
    pub(super) fn received(&self, first: &[u8]) {
        let mut state = self.lock();
        if first.starts_with(b"PRI ") {
            state.multiplexed = true;
        }
        if state.requests == 0 && !state.head && !state.multiplexed {
            (state.head, state.since) = (true, Instant::now());
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Whether the other end takes what is to be sent.
    pub(super) fn sending(&self, is_taken: bool) {
        let mut state = self.lock();
        match is_taken {
            true => state.stalled = None,
            false if state.stalled.is_none() => {
                state.stalled = Some(Instant::now());
                drop(state);
                self.changed.notify_one();
            }
            false => {}
        }
    }

    /// A request's head is there. It is in flight until what is returned is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        let mut state = self.lock();
        state.requests += 1;
        state.head = false;
        InFlight(Arc::clone(self))
    }

    /// Ends when the connection is to end. One that is `closing` is not idle any more.
    pub(super) async fn overdue(&self, limits: &Limits, closing: bool) -> End {
        loop {
            let changed = self.changed.notified();
            let (at, end) = self.due(limits, closing);
            if at.is_some_and(|at| at <= Instant::now()) {
                return end;
            }
            // Far away where nothing is due: it is looked at again then.
            let at = at.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = changed => {}
            }
        }
    }

    fn due(&self, limits: &Limits, closing: bool) -> (Option<Instant>, End) {
        let state = self.lock();
        if let Some(stalled) = state.stalled {
            return (Some(stalled + limits.read_stall), End::Reader);
        }
        match state.requests {
            0 if state.evicted => {
                (Some(state.since), if state.head { End::Head } else { End::Idle })
            }
            0 if state.head => (Some(state.since + limits.head_time), End::Head),
            0 if closing => {
                (Some(state.since + limits.connection_idle + limits.read_stall), End::Idle)
            }
            0 => (Some(state.since + limits.connection_idle), End::Idle),
            _ => (None, End::Idle),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if let Some(places) = self.connections.upgrade() {
            lock(&places).open.remove(&self.place);
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Pulse>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        if state.requests == 0 {
            state.since = Instant::now();
            drop(state);
            self.0.changed.notify_one();
        }
    }
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    open: BTreeMap<u64, Weak<Pulse>>,
}

/// All connections of a listener.
pub(super) struct Connections {
    limit: usize,
    places: Arc<Mutex<Places>>,
}

fn lock(places: &Mutex<Places>) -> MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, places: Arc::default() }
    }

    /// A new connection. Past the limit the oldest one without a request in flight makes room; none
    /// where there is no such one.
    pub(super) fn join(&self) -> Option<Arc<Pulse>> {
        let is_full = lock(&self.places).open.len() >= self.limit;
        if is_full && !self.close_oldest() {
            return None;
        }
        let state = State {
            requests: 0,
            since: Instant::now(),
            head: false,
            multiplexed: false,
            stalled: None,
            evicted: false,
        };
        let mut places = lock(&self.places);
        places.next += 1;
        let place = places.next;
        let pulse = Arc::new(Pulse {
            state: Mutex::new(state),
            changed: Notify::new(),
            place,
            connections: Arc::downgrade(&self.places),
        });
        places.open.insert(place, Arc::downgrade(&pulse));
        Some(pulse)
    }

    /// Closes the connection that has been without a request in flight for longest. Answers whether
    /// there was one.
    pub(super) fn close_oldest(&self) -> bool {
        let open = Vec::from_iter(lock(&self.places).open.values().filter_map(Weak::upgrade));
        let idle = open.iter().filter_map(|pulse| {
            let state = pulse.lock();
            (state.requests == 0 && !state.evicted).then(|| (state.since, pulse))
        });
        let Some((_, oldest)) = idle.min_by_key(|(since, _)| *since) else { return false };
        oldest.lock().evicted = true;
        oldest.changed.notify_one();
        lock(&self.places).open.remove(&oldest.place);
        true
    }
}
