//! Records, failures and time, seen by one lane alone.

use super::*;

fn lane(batch_size: usize, window: u64) -> Lane {
    lane_with(batch_size, window, Delivery::default())
}

fn lane_with(batch_size: usize, window: u64, delivery: Delivery) -> Lane {
    let source = Source { batch_size, window: Duration::from_millis(window), ..Source::default() };
    Lane::new(&source, delivery, 1)
}

/// A batch, if one is due.
fn next(lane: &mut Lane) -> Option<Batch> {
    lane.is_due().then(|| lane.take(&mut lane.room.clone())).flatten()
}

fn record(offset: i64) -> Record {
    Record { partition: 7, offset, ..Record::default() }
}

fn offsets(batch: &Batch) -> Vec<i64> {
    batch.records.iter().map(|record| record.offset).collect()
}

#[tokio::test(start_paused = true)]
async fn one_batch_at_a_time_and_the_rest_gathers() {
    let mut lane = lane(2, 0);
    assert!(next(&mut lane).is_none());
    for offset in 0..5 {
        lane.put(record(offset));
    }
    let batch = next(&mut lane).unwrap();
    assert_eq!((batch.partition, batch.first, batch.last), (7, 0, 1));
    assert!(next(&mut lane).is_none(), "its invocation is under way");
    lane.done(batch, Settled::Done);
    assert_eq!(offsets(&next(&mut lane).unwrap()), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_its_window_unless_it_is_full() {
    let mut lane = lane(2, 500);
    lane.put(record(0));
    assert!(next(&mut lane).is_none());
    tokio::time::advance(Duration::from_millis(500)).await;
    let batch = next(&mut lane).unwrap();
    lane.done(batch, Settled::Done);
    lane.put(record(1));
    lane.put(record(2));
    assert_eq!(offsets(&next(&mut lane).unwrap()), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_comes_again_first_and_later() {
    let mut lane = lane(3, 0);
    for offset in 0..4 {
        lane.put(record(offset));
    }
    let batch = next(&mut lane).unwrap();
    lane.done(batch, Settled::From(1));
    assert!(next(&mut lane).is_none(), "there is a pause first");
    tokio::time::advance(PAUSE.0).await;
    let batch = next(&mut lane).unwrap();
    assert_eq!(offsets(&batch), [1, 2, 3]);
    lane.done(batch, Settled::From(1));
    tokio::time::advance(PAUSE.0).await;
    assert!(next(&mut lane).is_none(), "the pause grows");
    tokio::time::advance(PAUSE.0).await;
    assert_eq!(offsets(&next(&mut lane).unwrap()), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_an_earlier_lane_changes_nothing() {
    let mut earlier = Lane { generation: 0, ..lane(1, 0) };
    earlier.put(record(0));
    let old = next(&mut earlier).unwrap();
    let mut lane = lane(1, 0);
    lane.put(record(0));
    lane.put(record(1));
    let batch = next(&mut lane).unwrap();
    lane.done(old, Settled::From(0));
    assert!(next(&mut lane).is_none(), "its own invocation is under way");
    lane.done(batch, Settled::Done);
    assert_eq!(offsets(&next(&mut lane).unwrap()), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_says_so_once_and_again_when_it_has_drained() {
    let mut lane = lane(1, 0);
    let filled: Vec<bool> = (0..6).map(|offset| lane.put(record(offset))).collect();
    assert_eq!(filled, [false, false, false, true, false, false]);
    let mut drained = 0;
    while let Some(batch) = next(&mut lane) {
        drained += usize::from(lane.has_drained());
        lane.done(batch, Settled::Done);
    }
    assert_eq!(drained, 1);
}

/// Delivers until nothing waits: a batch with the poison in it makes its invocation fail.
/// Answers the batches' offsets, and what was passed over.
async fn deliver_all(lane: &mut Lane, poison: i64) -> (Vec<Vec<i64>>, Vec<i64>) {
    let (mut delivered, mut passed_over) = (Vec::new(), Vec::new());
    while let Some(until) = lane.waits_until() {
        tokio::time::sleep_until(until).await;
        let batch = next(lane).unwrap();
        let offsets = offsets(&batch);
        let failed = offsets.contains(&poison);
        delivered.push(offsets);
        let settled = if failed { Settled::Failed { alone: true } } else { Settled::Done };
        passed_over.extend(lane.done(batch, settled).into_iter().flat_map(|it| it.records));
    }
    (delivered, passed_over.iter().map(|record| record.offset).collect())
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_fails_is_halved_until_its_poison_stands_alone() {
    let mut lane = lane(8, 0);
    lane.delivery =
        Delivery { together: true, bisect: true, retries: Some(1), ..Delivery::default() };
    for offset in 0..4 {
        lane.put(record(offset));
    }
    let (delivered, passed_over) = deliver_all(&mut lane, 2).await;
    let expected: [&[i64]; 6] = [&[0, 1, 2, 3], &[0, 1], &[2, 3], &[2], &[2], &[3]];
    assert_eq!(delivered, expected);
    assert_eq!(passed_over, [2]);
}

#[tokio::test(start_paused = true)]
async fn without_halving_the_whole_batch_is_passed_over_and_no_other() {
    let mut lane = lane(2, 0);
    lane.delivery = Delivery { together: true, retries: Some(2), ..Delivery::default() };
    for offset in 0..4 {
        lane.put(record(offset));
    }
    let (delivered, passed_over) = deliver_all(&mut lane, 1).await;
    assert_eq!(delivered, [[0, 1], [0, 1], [0, 1], [2, 3]]);
    assert_eq!(passed_over, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn progress_begins_the_count_anew() {
    let mut lane = lane(3, 0);
    lane.delivery.retries = Some(1);
    for offset in 0..3 {
        lane.put(record(offset));
    }
    for (first, from) in [(0, 0), (0, 1), (1, 2)] {
        tokio::time::advance(PAUSE.1).await;
        let batch = next(&mut lane).unwrap();
        assert_eq!(batch.first, first);
        assert!(lane.done(batch, Settled::From(from)).is_none());
    }
    tokio::time::advance(PAUSE.1).await;
    let batch = next(&mut lane).unwrap();
    let passed_over = lane.done(batch, Settled::From(2)).unwrap();
    assert_eq!((passed_over.first, offsets(&passed_over)), (2, vec![2]));
    assert!(lane.waits_until().is_none());
}

#[tokio::test(start_paused = true)]
async fn after_a_shared_event_failed_each_partition_goes_by_itself() {
    let mut lane = lane(3, 0);
    lane.delivery =
        Delivery { together: true, bisect: true, retries: Some(0), ..Delivery::default() };
    lane.put(record(0));
    let batch = next(&mut lane).unwrap();
    assert!(lane.done(batch, Settled::Failed { alone: false }).is_none(), "it may be innocent");
    assert!(lane.is_alone());
    tokio::time::advance(PAUSE.0).await;
    let batch = next(&mut lane).unwrap();
    assert!(lane.done(batch, Settled::Failed { alone: true }).is_some());
    assert!(!lane.is_alone());
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_what_an_event_has_room_for() {
    let heavy = |offset| Record { value: Some(vec![0; 30_000].into()), ..record(offset) };
    let payload = Some(FRAME + 2 * event::size(&heavy(0)));
    let mut lane = lane_with(10, 500, Delivery { payload, ..Delivery::default() });
    lane.put(heavy(0));
    assert!(!lane.is_due(), "it waits for its window");
    for offset in 1..3 {
        lane.put(heavy(offset));
    }
    assert!(lane.is_due(), "what waits fills an event");
    let batch = next(&mut lane).unwrap();
    assert_eq!(offsets(&batch), [0, 1]);
    lane.done(batch, Settled::Done);
    assert!(!lane.is_due(), "one more does not");
    assert_eq!(lane.load().records, 1);
    // What no event has room for goes all the same, by itself.
    lane.put(Record { value: Some(vec![0; 90_000].into()), ..record(3) });
    let batch = next(&mut lane).unwrap();
    assert_eq!(offsets(&batch), [2]);
    lane.done(batch, Settled::Done);
    let batch = next(&mut lane).unwrap();
    assert_eq!(offsets(&batch), [3]);
    lane.done(batch, Settled::Done);
    assert_eq!((lane.load().records, lane.load().bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_has_become_too_old_goes_no_more() {
    let age = Some(Duration::from_secs(60));
    let mut lane = lane_with(10, 0, Delivery { age, ..Delivery::default() });
    for (offset, timestamp) in [(0, 0), (1, 39_999), (2, 40_000), (3, 0)] {
        lane.put(Record { timestamp, ..record(offset) });
    }
    // In order: a record behind one that is young enough waits for it.
    assert_eq!(offsets(&lane.take_old(100_000).unwrap()), [0, 1]);
    assert!(lane.take_old(100_000).is_none());
    let batch = next(&mut lane).unwrap();
    assert_eq!(offsets(&batch), [2, 3]);
    assert!(lane.take_old(200_000).is_none(), "its invocation is under way");
    assert!(lane.done(batch, Settled::From(2)).is_none());
    assert!(lane.take_old(200_000).is_none(), "there is a pause first");
    tokio::time::advance(PAUSE.0).await;
    assert_eq!(offsets(&lane.take_old(200_000).unwrap()), [2, 3]);
    assert!(lane.waits_until().is_none());
}
