//! One partition's window: the records between the committed offset and the newest one received.
//!
//! Owns: which of them are done, and how far the offset may be committed: to the end of the done
//! prefix. Pure. Must never know: lanes, rdkafka.
//!
//! A record that is done behind one that is not is remembered, also while its partition is assigned
//! to another runner: this process does not serve it again.

use std::collections::BTreeMap;

/// The records of one partition that are received and not committed.
#[derive(Debug, Default)]
pub(super) struct Window {
    records: BTreeMap<i64, Entry>,
    /// The newest offset received since the partition was assigned; none while it is not.
    newest: Option<i64>,
    bytes: usize,
    is_full: bool,
}

/// A record in the window.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Tells it from a record at the same offset of a topic that was deleted and made anew.
    timestamp: i64,
    /// What it holds in memory; nothing once it is done.
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    /// It is worked on.
    InHand,
    Done,
}

/// What a window holds at most before its partition is paused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Records between the committed offset and the newest, those done among them.
    pub records: usize,
    /// Bytes of records that are not done.
    pub bytes: usize,
}

impl Window {
    /// Takes a record that was received. Answers whether it is to be served: not, where this process
    /// serves it already or has served it.
    pub(super) fn receive(&mut self, offset: i64, timestamp: i64, bytes: usize) -> bool {
        if self.newest.is_none() {
            // The first since the assignment: what stands before it was committed by another runner.
            self.records = self.records.split_off(&offset);
        }
        self.newest = Some(offset);
        let known = self.records.get(&offset).is_some_and(|it| it.timestamp == timestamp);
        if !known {
            let entry = Entry { timestamp, bytes, state: State::Waiting };
            let replaced = self.records.insert(offset, entry);
            self.bytes = self.bytes + bytes - replaced.map_or(0, |it| it.bytes);
        }
        !known
    }

    /// A record is worked on from now on.
    pub(super) fn begin(&mut self, offset: i64) {
        if let Some(entry) = self.records.get_mut(&offset) {
            entry.state = State::InHand;
        }
    }

    /// A record is done.
    pub(super) fn done(&mut self, offset: i64, timestamp: i64) {
        if let Some(entry) = self.records.get_mut(&offset)
            && entry.timestamp == timestamp
        {
            entry.state = State::Done;
            self.bytes -= std::mem::take(&mut entry.bytes);
        }
    }

    /// A record that was worked on is not done. Answers whether it is retried here: not, where its
    /// partition is another's now.
    pub(super) fn retries(&mut self, offset: i64, timestamp: i64) -> bool {
        let retries = self.wants(offset, timestamp);
        if let Some(entry) = self.records.get_mut(&offset).filter(|_| retries) {
            entry.state = State::Waiting;
        } else if self.records.get(&offset).is_some_and(|it| it.timestamp == timestamp) {
            let entry = self.records.remove(&offset);
            self.bytes -= entry.map_or(0, |it| it.bytes);
        }
        retries
    }

    /// Takes the done prefix out. Answers the offset to commit, one past its last record, where it has
    /// any.
    pub(super) fn take_prefix(&mut self) -> Option<i64> {
        let newest = self.newest?;
        let mut end = None;
        while let Some(first) = self.records.first_entry()
            && first.get().state == State::Done
            && *first.key() <= newest
        {
            end = Some(first.remove_entry().0 + 1);
        }
        end
    }

    /// Whether everything received is done, and what stands before the consumer's position may be
    /// committed, such as the markers of a transaction.
    pub(super) fn is_empty(&self) -> bool {
        let newest = self.newest;
        self.records.first_key_value().is_none_or(|(first, _)| Some(*first) > newest)
    }

    /// The partition is another's: what waits is dropped, what is worked on or done is remembered.
    pub(super) fn revoke(&mut self) {
        self.records.retain(|_, entry| entry.state != State::Waiting);
        self.bytes = self.records.values().map(|entry| entry.bytes).sum();
        (self.newest, self.is_full) = (None, false);
    }

    /// Whether the partition is assigned and this record is still to be served.
    pub(super) fn wants(&self, offset: i64, timestamp: i64) -> bool {
        let entry = self.records.get(&offset);
        self.newest.is_some() && entry.is_some_and(|it| it.timestamp == timestamp)
    }

    /// Whether it has filled up, so that its partition is to be paused; true once per filling.
    pub(super) fn fills(&mut self, bounds: Bounds) -> bool {
        let over = self.records.len() >= bounds.records || self.bytes >= bounds.bytes;
        let fills = over && !self.is_full;
        self.is_full |= over;
        fills
    }

    /// Whether a full window has drained to the half, so that its partition is to be resumed; true
    /// once per filling.
    pub(super) fn drains(&mut self, Bounds { records, bytes }: Bounds) -> bool {
        let drains = self.is_full && self.records.len() <= records / 2 && self.bytes <= bytes / 2;
        self.is_full &= !drains;
        drains
    }

    /// Whether a record of it is worked on.
    pub(super) fn is_busy(&self) -> bool {
        self.records.values().any(|entry| entry.state == State::InHand)
    }

    /// Whether its partition is paused.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window that has received these, each begun.
    fn begun(offsets: &[i64]) -> Window {
        let mut window = Window::default();
        for offset in offsets {
            assert!(window.receive(*offset, 1, 10));
            window.begin(*offset);
        }
        window
    }

    #[test]
    fn the_offset_moves_to_the_end_of_the_done_prefix() {
        let mut window = begun(&[5, 6, 9, 10]);
        window.done(6, 1);
        window.done(10, 1);
        assert_eq!(window.take_prefix(), None, "5 is not done");
        window.done(5, 1);
        assert_eq!(window.take_prefix(), Some(7));
        assert_eq!((window.take_prefix(), window.is_empty()), (None, false));
        window.done(9, 1);
        assert_eq!((window.take_prefix(), window.is_empty()), (Some(11), true));
    }

    #[test]
    fn what_is_done_behind_a_hole_is_not_served_again_after_a_rebalance() {
        let mut window = begun(&[5, 6, 7]);
        assert!(window.receive(8, 1, 10));
        window.done(6, 1);
        window.revoke();
        assert!(!window.wants(7, 1), "nothing is assigned");
        // Another runner has committed 5; 7 ends here meanwhile.
        window.done(7, 1);
        assert_eq!(window.take_prefix(), None, "nothing is committed for another's partition");
        assert!(!window.receive(6, 1, 10));
        assert_eq!(window.take_prefix(), Some(7), "7 was not received yet");
        assert!(!window.receive(7, 1, 10));
        assert!(window.receive(8, 1, 10), "it had only waited");
        assert_eq!((window.take_prefix(), window.is_empty()), (Some(8), false));
    }

    #[test]
    fn what_is_in_hand_over_a_rebalance_is_not_begun_again() {
        let mut window = begun(&[5]);
        window.revoke();
        assert!(!window.receive(5, 1, 10));
        assert_eq!(window.take_prefix(), None);
        window.done(5, 1);
        assert_eq!(window.take_prefix(), Some(6));
    }

    #[test]
    fn what_fails_after_a_rebalance_is_its_next_owners() {
        let mut window = begun(&[5]);
        assert!(window.retries(5, 1));
        window.revoke();
        assert!(!window.retries(5, 1));
        assert!(window.receive(5, 1, 10), "should it come back, it is served");
    }

    #[test]
    fn a_topic_made_anew_has_other_records() {
        let mut window = begun(&[5]);
        window.revoke();
        assert!(window.receive(5, 2, 10));
        window.done(5, 1);
        assert_eq!(window.take_prefix(), None, "that was the old topic's");
        window.done(5, 2);
        assert_eq!(window.take_prefix(), Some(6));
    }

    #[test]
    fn it_is_bounded_in_records_and_bytes() {
        let bounds = Bounds { records: 4, bytes: 1000 };
        let mut window = begun(&[1, 2, 3]);
        assert!(!window.fills(bounds));
        assert!(window.receive(4, 1, 10));
        assert!(window.fills(bounds) && !window.fills(bounds) && window.is_full());
        window.done(2, 1);
        assert!(window.take_prefix().is_none() && !window.drains(bounds), "done ones count too");
        window.done(1, 1);
        assert!(window.take_prefix().is_some() && window.drains(bounds) && !window.drains(bounds));
        assert!(window.receive(5, 1, 990) && window.fills(bounds));
        window.done(5, 1);
        assert!(window.drains(Bounds { records: 100, ..bounds }), "what is done holds no bytes");
    }
}
