//! Records, failures and time, seen by one partition's queue alone.

use super::*;

fn queue(batch_size: usize, window: u64) -> PartitionQueue {
    queue_with(batch_size, window, Delivery::default())
}

fn queue_with(batch_size: usize, window: u64, delivery: Delivery) -> PartitionQueue {
    let delivery = Delivery { batch_size, window: Duration::from_millis(window), ..delivery };
    PartitionQueue::new(delivery, 1)
}

/// A batch, if one is due.
fn next(queue: &mut PartitionQueue) -> Option<Batch> {
    queue.is_due().then(|| queue.take(&mut queue.capacity.clone())).flatten()
}

fn record(offset: i64) -> Record {
    Record { partition: 7, offset, ..Record::default() }
}

fn offsets(batch: &Batch) -> Vec<i64> {
    batch.records.iter().map(|record| record.offset).collect()
}

#[tokio::test(start_paused = true)]
async fn one_batch_at_a_time_and_the_rest_gathers() {
    let mut queue = queue(2, 0);
    assert!(next(&mut queue).is_none());
    for offset in 0..5 {
        queue.put(record(offset));
    }
    let batch = next(&mut queue).unwrap();
    assert_eq!((batch.partition, batch.first, batch.last), (7, 0, 1));
    assert!(next(&mut queue).is_none(), "its invocation is under way");
    queue.done(batch, Settled::Done);
    assert_eq!(offsets(&next(&mut queue).unwrap()), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_its_window_unless_it_is_full() {
    let mut queue = queue(2, 500);
    queue.put(record(0));
    assert!(next(&mut queue).is_none());
    tokio::time::advance(Duration::from_millis(500)).await;
    let batch = next(&mut queue).unwrap();
    queue.done(batch, Settled::Done);
    queue.put(record(1));
    queue.put(record(2));
    assert_eq!(offsets(&next(&mut queue).unwrap()), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_redelivered_first_and_later() {
    let mut queue = queue(3, 0);
    for offset in 0..4 {
        queue.put(record(offset));
    }
    let batch = next(&mut queue).unwrap();
    queue.done(batch, Settled::From(1));
    assert!(next(&mut queue).is_none(), "there is a backoff first");
    tokio::time::advance(BACKOFF.0).await;
    let batch = next(&mut queue).unwrap();
    assert_eq!(offsets(&batch), [1, 2, 3]);
    queue.done(batch, Settled::From(1));
    tokio::time::advance(BACKOFF.0).await;
    assert!(next(&mut queue).is_none(), "the backoff grows");
    tokio::time::advance(BACKOFF.0).await;
    assert_eq!(offsets(&next(&mut queue).unwrap()), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_an_earlier_assignment_changes_nothing() {
    let mut earlier = PartitionQueue { generation: 0, ..queue(1, 0) };
    earlier.put(record(0));
    let old = next(&mut earlier).unwrap();
    let mut queue = queue(1, 0);
    queue.put(record(0));
    queue.put(record(1));
    let batch = next(&mut queue).unwrap();
    queue.done(old, Settled::From(0));
    assert!(next(&mut queue).is_none(), "its own invocation is under way");
    queue.done(batch, Settled::Done);
    assert_eq!(offsets(&next(&mut queue).unwrap()), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_says_so_once_and_again_when_it_has_drained() {
    let mut queue = queue(1, 0);
    let filled: Vec<bool> = (0..6).map(|offset| queue.put(record(offset))).collect();
    assert_eq!(filled, [false, false, false, true, false, false]);
    let mut drained = 0;
    while let Some(batch) = next(&mut queue) {
        drained += usize::from(queue.has_drained());
        queue.done(batch, Settled::Done);
    }
    assert_eq!(drained, 1);
}

/// Delivers until nothing waits: a batch with the poison in it makes its invocation fail.
/// Answers the batches' offsets, and what was discarded.
async fn deliver_all(queue: &mut PartitionQueue, poison: i64) -> (Vec<Vec<i64>>, Vec<i64>) {
    let (mut delivered, mut discarded) = (Vec::new(), Vec::new());
    while let Some(until) = queue.waits_until() {
        tokio::time::sleep_until(until).await;
        let batch = next(queue).unwrap();
        let offsets = offsets(&batch);
        let failed = offsets.contains(&poison);
        delivered.push(offsets);
        let settled = if failed { Settled::Failed { alone: true } } else { Settled::Done };
        discarded.extend(queue.done(batch, settled).into_iter().flat_map(|it| it.records));
    }
    (delivered, discarded.iter().map(|record| record.offset).collect())
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_fails_is_halved_until_its_poison_stands_alone() {
    let mut queue = queue(8, 0);
    queue.delivery =
        Delivery { together: true, bisect: true, retries: Some(1), ..Delivery::default() };
    for offset in 0..4 {
        queue.put(record(offset));
    }
    let (delivered, discarded) = deliver_all(&mut queue, 2).await;
    let expected: [&[i64]; 6] = [&[0, 1, 2, 3], &[0, 1], &[2, 3], &[2], &[2], &[3]];
    assert_eq!(delivered, expected);
    assert_eq!(discarded, [2]);
}

#[tokio::test(start_paused = true)]
async fn without_halving_the_whole_batch_is_passed_over_and_no_other() {
    let mut queue = queue(2, 0);
    queue.delivery = Delivery { together: true, retries: Some(2), ..Delivery::default() };
    for offset in 0..4 {
        queue.put(record(offset));
    }
    let (delivered, discarded) = deliver_all(&mut queue, 1).await;
    assert_eq!(delivered, [[0, 1], [0, 1], [0, 1], [2, 3]]);
    assert_eq!(discarded, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn progress_begins_the_count_anew() {
    let mut queue = queue(3, 0);
    queue.delivery.retries = Some(1);
    for offset in 0..3 {
        queue.put(record(offset));
    }
    for (first, from) in [(0, 0), (0, 1), (1, 2)] {
        tokio::time::advance(BACKOFF.1).await;
        let batch = next(&mut queue).unwrap();
        assert_eq!(batch.first, first);
        assert!(queue.done(batch, Settled::From(from)).is_none());
    }
    tokio::time::advance(BACKOFF.1).await;
    let batch = next(&mut queue).unwrap();
    let discarded = queue.done(batch, Settled::From(2)).unwrap();
    assert_eq!((discarded.first, offsets(&discarded)), (2, vec![2]));
    assert!(queue.waits_until().is_none());
}

#[tokio::test(start_paused = true)]
async fn after_a_shared_event_failed_each_partition_goes_by_itself() {
    let mut queue = queue(3, 0);
    queue.delivery =
        Delivery { together: true, bisect: true, retries: Some(0), ..Delivery::default() };
    queue.put(record(0));
    let batch = next(&mut queue).unwrap();
    assert!(queue.done(batch, Settled::Failed { alone: false }).is_none(), "it may be innocent");
    assert!(queue.is_alone());
    tokio::time::advance(BACKOFF.0).await;
    let batch = next(&mut queue).unwrap();
    assert!(queue.done(batch, Settled::Failed { alone: true }).is_some());
    assert!(!queue.is_alone());
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_what_an_event_has_room_for() {
    let heavy = |offset| Record { value: Some(vec![0; 30_000].into()), ..record(offset) };
    let payload = Some(FRAME + 2 * event::size(&heavy(0)));
    let mut queue = queue_with(10, 500, Delivery { payload, ..Delivery::default() });
    queue.put(heavy(0));
    assert!(!queue.is_due(), "it waits for its window");
    for offset in 1..3 {
        queue.put(heavy(offset));
    }
    assert!(queue.is_due(), "what waits fills an event");
    let batch = next(&mut queue).unwrap();
    assert_eq!(offsets(&batch), [0, 1]);
    queue.done(batch, Settled::Done);
    assert!(!queue.is_due(), "one more does not");
    assert_eq!(queue.load().records, 1);
    // What no event has capacity for goes all the same, by itself.
    queue.put(Record { value: Some(vec![0; 90_000].into()), ..record(3) });
    let batch = next(&mut queue).unwrap();
    assert_eq!(offsets(&batch), [2]);
    queue.done(batch, Settled::Done);
    let batch = next(&mut queue).unwrap();
    assert_eq!(offsets(&batch), [3]);
    queue.done(batch, Settled::Done);
    assert_eq!((queue.load().records, queue.load().bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_has_become_too_old_goes_no_more() {
    let age = Some(Duration::from_secs(60));
    let mut queue = queue_with(10, 0, Delivery { age, ..Delivery::default() });
    for (offset, timestamp) in [(0, 0), (1, 39_999), (2, 40_000), (3, 0)] {
        queue.put(Record { timestamp, ..record(offset) });
    }
    // In order: a record behind one that is young enough waits for it.
    assert_eq!(offsets(&queue.take_expired(100_000).unwrap()), [0, 1]);
    assert!(queue.take_expired(100_000).is_none());
    let batch = next(&mut queue).unwrap();
    assert_eq!(offsets(&batch), [2, 3]);
    assert!(queue.take_expired(200_000).is_none(), "its invocation is under way");
    assert!(queue.done(batch, Settled::From(2)).is_none());
    assert!(queue.take_expired(200_000).is_none(), "there is a backoff first");
    tokio::time::advance(BACKOFF.0).await;
    assert_eq!(offsets(&queue.take_expired(200_000).unwrap()), [2, 3]);
    assert!(queue.waits_until().is_none());
}
