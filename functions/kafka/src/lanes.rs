//! Records in lanes: which may begin.
//!
//! Owns: the order within a lane, how many records are worked on at once, and backoff. Pure but for
//! the clock. Must never know: partitions, offsets, what a record says.
//!
//! ```text
//!  put ─▶ behind (its lane is busy) ─▶ ready (its turn) ─▶ begin (there is a place) ─▶ done
//!                                        ▲                                      │
//!                                        └───────────── retry, after a pause ◀──┘
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};

use a2a_core::kafka::Lane;
use tokio::time::Instant;

/// What waits to be worked on, of type `T`, each in its [`Lane`].
#[derive(Debug)]
pub struct Lanes<T> {
    /// What does no work: it needs no place.
    unordered: VecDeque<T>,
    /// The first of each lane that has its turn, and waits for a place only.
    ready: VecDeque<(Lane, T)>,
    /// What waits behind the first of each busy lane.
    behind: HashMap<Lane, VecDeque<T>>,
    /// What is retried, and when.
    paused: BTreeMap<(Instant, u64), (Lane, T)>,
    /// How many pauses there were.
    pauses: u64,
    /// How many more may be worked on.
    places: usize,
}

impl<T> Lanes<T> {
    /// None yet; at most `places` are worked on at once.
    pub fn new(places: usize) -> Self {
        Self {
            unordered: VecDeque::new(),
            ready: VecDeque::new(),
            behind: HashMap::new(),
            paused: BTreeMap::new(),
            pauses: 0,
            places,
        }
    }

    /// Adds one at the end of its lane.
    pub fn put(&mut self, lane: Lane, item: T) {
        match lane {
            Lane::Unordered => self.unordered.push_back(item),
            Lane::Alone => self.ready.push_back((lane, item)),
            _ => match self.behind.get_mut(&lane) {
                Some(behind) => behind.push_back(item),
                None => {
                    self.behind.insert(lane.clone(), VecDeque::new());
                    self.ready.push_back((lane, item));
                }
            },
        }
    }

    /// One that may begin now. [`done`](Self::done), [`retry`](Self::retry) or
    /// [`abandon`](Self::abandon) follows.
    pub fn begin(&mut self) -> Option<(Lane, T)> {
        self.wake(Instant::now());
        if let Some(item) = self.unordered.pop_front() {
            return Some((Lane::Unordered, item));
        }
        self.places = self.places.checked_sub(usize::from(!self.ready.is_empty()))?;
        self.ready.pop_front()
    }

    fn wake(&mut self, now: Instant) {
        while self.paused.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            match self.paused.pop_first() {
                Some((_, (Lane::Unordered, item))) => self.unordered.push_back(item),
                Some((_, next)) => self.ready.push_back(next),
                None => {}
            }
        }
    }

    /// The lane's record is done: the next one has its turn, behind other lanes that wait.
    pub fn done(&mut self, lane: Lane) {
        self.free(&lane);
        self.advance(lane);
    }

    /// The next one of a lane has its turn.
    fn advance(&mut self, lane: Lane) {
        let Some(behind) = self.behind.get_mut(&lane) else { return };
        match behind.pop_front() {
            Some(next) => self.ready.push_back((lane, next)),
            None => _ = self.behind.remove(&lane),
        }
    }

    /// The lane's record is to be retried, not before that time. Its lane waits; others go on.
    pub fn retry(&mut self, lane: Lane, item: T, at: Instant) {
        self.free(&lane);
        self.pauses += 1;
        self.paused.insert((at, self.pauses), (lane, item));
    }

    /// The lane's record is not done and is not retried here: what waits behind it is given back.
    pub fn abandon(&mut self, lane: &Lane) -> VecDeque<T> {
        self.free(lane);
        self.behind.remove(lane).unwrap_or_default()
    }

    fn free(&mut self, lane: &Lane) {
        self.places += usize::from(lane.is_work());
    }

    /// When the next pause is over.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.paused.first_key_value().map(|((at, _), _)| *at)
    }

    /// Drops what waits and is not to be kept. A lane that loses its first goes on with its next.
    pub fn retain(&mut self, mut keeps: impl FnMut(&T) -> bool) {
        self.unordered.retain(&mut keeps);
        self.behind.values_mut().for_each(|behind| behind.retain(&mut keeps));
        let paused = std::mem::take(&mut self.paused).into_iter();
        let (kept, dropped) = paused.partition::<BTreeMap<_, _>, _>(|(_, (_, item))| keeps(item));
        self.paused = kept;
        let mut lost: Vec<Lane> = dropped.into_values().map(|(lane, _)| lane).collect();
        self.ready.retain(|(lane, item)| {
            let kept = keeps(item);
            lost.extend((!kept).then(|| lane.clone()));
            kept
        });
        // Those held no place.
        lost.into_iter().for_each(|lane| self.advance(lane));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lane(name: &str) -> Lane {
        Lane::IdempotencyKey(name.into())
    }

    /// What may begin now, and is begun.
    fn begun(lanes: &mut Lanes<u32>) -> Vec<u32> {
        std::iter::from_fn(|| lanes.begin()).map(|(_, item)| item).collect()
    }

    #[test]
    fn a_lane_is_in_order_and_lanes_are_parallel() {
        let mut lanes = Lanes::new(10);
        for (name, item) in [("a", 1), ("a", 2), ("b", 3), ("a", 4), ("b", 5)] {
            lanes.put(lane(name), item);
        }
        lanes.put(Lane::Alone, 6);
        lanes.put(Lane::Alone, 7);
        assert_eq!(begun(&mut lanes), [1, 3, 6, 7]);
        lanes.done(lane("a"));
        assert_eq!(begun(&mut lanes), [2]);
        lanes.done(lane("b"));
        lanes.done(lane("a"));
        assert_eq!(begun(&mut lanes), [5, 4]);
        lanes.done(lane("a"));
        lanes.put(lane("a"), 8);
        assert_eq!(begun(&mut lanes), [8], "a lane that has ended begins anew");
    }

    #[test]
    fn work_waits_for_a_place_and_reads_do_not() {
        let mut lanes = Lanes::new(2);
        (0..4).for_each(|item| lanes.put(Lane::Alone, item));
        lanes.put(Lane::Unordered, 9);
        assert_eq!(begun(&mut lanes), [9, 0, 1]);
        lanes.put(Lane::Unordered, 10);
        assert_eq!(begun(&mut lanes), [10]);
        lanes.done(Lane::Unordered);
        assert_eq!(begun(&mut lanes), [0; 0], "a read gives no place back");
        lanes.done(Lane::Alone);
        assert_eq!(begun(&mut lanes), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_waits_in_its_lane_while_others_go_on() {
        let mut lanes = Lanes::new(1);
        let pause = Duration::from_secs(5);
        (1..3).for_each(|item| lanes.put(lane("a"), item));
        lanes.put(lane("b"), 3);
        assert_eq!(begun(&mut lanes), [1]);
        lanes.retry(lane("a"), 1, Instant::now() + pause);
        assert_eq!(begun(&mut lanes), [3]);
        lanes.done(lane("b"));
        assert_eq!((begun(&mut lanes).len(), lanes.wakes_at()), (0, Some(Instant::now() + pause)));
        tokio::time::advance(pause).await;
        assert_eq!(begun(&mut lanes), [1]);
        lanes.done(lane("a"));
        assert_eq!(begun(&mut lanes), [2]);
    }

    #[test]
    fn what_is_behind_an_abandoned_one_is_given_back() {
        let mut lanes = Lanes::new(1);
        (1..4).for_each(|item| lanes.put(lane("a"), item));
        lanes.put(Lane::Alone, 5);
        assert_eq!(begun(&mut lanes), [1]);
        assert_eq!(lanes.abandon(&lane("a")), [2, 3]);
        assert_eq!(begun(&mut lanes), [5]);
    }

    #[test]
    fn what_is_dropped_leaves_no_lane_stuck() {
        let mut lanes = Lanes::new(1);
        (1..4).for_each(|item| lanes.put(lane("a"), item));
        (4..6).for_each(|item| lanes.put(lane("b"), item));
        lanes.put(Lane::Unordered, 6);
        lanes.retain(|item| ![1, 3, 4, 6].contains(item));
        assert_eq!(begun(&mut lanes), [2]);
        lanes.done(lane("a"));
        assert_eq!(begun(&mut lanes), [5]);
        lanes.retry(lane("b"), 5, Instant::now());
        lanes.retain(|_| false);
        lanes.put(lane("b"), 7);
        assert_eq!(begun(&mut lanes), [7], "neither a place nor a lane is lost");
    }

    #[test]
    fn what_is_dropped_while_every_place_is_taken_gives_none_back() {
        let mut lanes = Lanes::new(1);
        lanes.put(lane("a"), 1);
        (2..4).for_each(|item| lanes.put(lane("b"), item));
        assert_eq!(begun(&mut lanes), [1]);
        lanes.retain(|item| *item == 3);
        assert_eq!(begun(&mut lanes), [0; 0]);
        lanes.done(lane("a"));
        assert_eq!(begun(&mut lanes), [3]);
    }
}
