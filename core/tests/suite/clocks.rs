//! Instances whose clocks differ by hours: what they do for one another does not depend on them.

use std::{sync::Arc, time::Duration};

use a2a_core::{Call, Caller, DefaultRequestHandler, Env, TaskState, Timestamp};

use crate::{
    delivery::{attempts, died},
    world::*,
};

const HOUR: i64 = 3_600_000;
const LEASE: Duration = Duration::from_secs(30);

/// A clock that is wrong by so much, and goes.
pub(crate) fn wrong_by(millis: i64) -> Env {
    let began = tokio::time::Instant::now();
    let now = move || {
        let passed = i64::try_from(began.elapsed().as_millis()).unwrap();
        Timestamp::from_millis(1_800_000_000_000 + millis + passed)
    };
    Env::new(now, uuid::Uuid::new_v4)
}

/// One instance is at work, the other looks on, and its clock is ahead or behind.
async fn beside_one_that_is_wrong_by(millis: i64) {
    let mut world = World::new();
    world.handler = world.handler.with_env(wrong_by(0));
    let store = Arc::clone(&world.store);
    let other = DefaultRequestHandler::new(card(), Arc::clone(&world.script) as _, store as _)
        .with_env(wrong_by(millis));
    let call = |call| call_on(&other, Caller::default(), call);

    // A silent runner is alive for as long as it says so.
    let silent = world.at_work("working hm\ngate\ncomplete done").await;
    let stream = events(call(subscribe(&silent.id)).await.unwrap());
    let mut sweeper = other.sweeper();
    for _ in 0..12 {
        assert_eq!(sweeper.pass().await.unwrap(), 0);
        assert_eq!(get_on(&other, &silent.id).await.status.state, TaskState::Working);
        tokio::time::sleep(LEASE / 3).await;
    }
    call(cancel(&silent.id)).await.unwrap();
    assert_eq!(told_all(&all(stream).await), ["task working", "canceled"]);
    assert_eq!(world.get(&silent.id).await.status.state, TaskState::Canceled);

    // An orphan is found, by either.
    died(&world, keyed("k"), say("working\ngate\ncomplete done"));
    world.script.gate.open();
    let id = keyed("k").key.unwrap().id("task");
    while sweeper.pass().await.unwrap() == 0 {
        tokio::time::sleep(LEASE / 3).await;
    }
    soon(other.settled()).await;
    assert_eq!(attempts(&world, &id).await, [1, 2]);

    // What one asks, the other is told; what comes later stands later, whatever it is dated.
    let asked = world.send(say("ask what?")).await;
    let answer = Call::SendMessage(say_to(&asked.id, "complete done"));
    let task = sent_task(call(answer).await.unwrap());
    assert_eq!(history(&task), ["ask what?", "what?", "complete done"]);
    assert_eq!((status_text(&task), world.get(&asked.id).await), ("done".to_owned(), task));
    let page = list(&world, Default::default()).await;
    assert_eq!(page.total_size, 3);
    assert!(page.tasks.iter().all(|task| task.status.state.is_terminal()), "{page:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_makes_no_orphan() {
    beside_one_that_is_wrong_by(5 * HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_behind_makes_no_orphan() {
    beside_one_that_is_wrong_by(-5 * HOUR).await;
}
