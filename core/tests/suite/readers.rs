//! A reader takes an orphan over, where no sweeper runs: a client that polls, one that lists, one
//! that subscribes. The task of a living runner is not taken over.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use a2a_core::{Call, Caller, DefaultRequestHandler, ListTasksRequest, TaskState};
use tokio::time::{Instant, sleep};

use crate::{
    delivery::{attempts, died},
    faulty::Faulty,
    world::*,
};

const LEASE: Duration = Duration::from_secs(30);

fn orphan(world: &World, story: &str) -> Arc<str> {
    died(world, keyed("k"), say(story));
    world.script.gate.open();
    keyed("k").key.unwrap().id("task")
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_finds_its_orphan_taken_over() {
    let world = World::new();
    let id = orphan(&world, "working\ngate\ncomplete done");
    let began = Instant::now();
    while world.get(&id).await.status.state == TaskState::Working {
        assert!(began.elapsed() <= LEASE + Duration::from_secs(5));
        sleep(Duration::from_secs(5)).await;
    }
    assert!(began.elapsed() >= LEASE, "not before");
    assert_eq!(world.get(&id).await.status.state, TaskState::Completed);
    assert_eq!(attempts(&world, &id).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn so_does_who_lists() {
    let world = World::new();
    let id = orphan(&world, "working\ngate\ncomplete done");
    for _ in 0..2 {
        let page = list(&world, ListTasksRequest::default()).await;
        assert_eq!(page.tasks[0].status.state, TaskState::Working);
        sleep(LEASE).await;
    }
    soon(world.handler.settled()).await;
    assert_eq!(attempts(&world, &id).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn so_does_who_listens() {
    let world = World::new();
    let id = orphan(&world, "working\ngate\nartifact a one\ncomplete done");
    let stream = world.subscribe(&id).await.unwrap();
    let told = told_all(&all(stream).await);
    assert_eq!(told[0], "task working");
    assert_eq!(told.last().unwrap(), "completed done");
    assert!(told.contains(&"a one".to_owned()), "{told:?}");
    assert_eq!(attempts(&world, &id).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_retried_stream_does_not_hang_behind_a_dead_runner() {
    let world = World::new();
    let story = "working\ngate\ncomplete done";
    let key = || {
        let key = a2a_core::IdempotencyKey::of_caller("script", "", "k").unwrap();
        Caller { key: Some(key), ..Caller::default() }
    };
    died(&world, key(), say(story));
    world.script.gate.open();
    let call = Call::SendStreamingMessage(say(story));
    let stream = events(world.call(key(), call).await.unwrap());
    assert_eq!(told_all(&all(stream).await).last().unwrap(), "completed done");
    assert_eq!(world.script.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_living_runners_task_is_not_taken_over() {
    let world = World::new();
    let task = world.at_work("working\ngate\ncomplete done").await;
    let other = handler_on(Arc::clone(&world.store) as _, Agent(|_, _| std::future::pending()));
    let stream = events(call_on(&other, Caller::default(), subscribe(&task.id)).await.unwrap());
    let listener = tokio::spawn(all(stream));
    for _ in 0..18 {
        assert_eq!(get_on(&other, &task.id).await.status.state, TaskState::Working);
        sleep(LEASE / 6).await;
    }
    world.script.gate.open();
    let told = told_all(&soon(listener).await.unwrap());
    assert_eq!(told, ["task working", "completed done"]);
    assert_eq!(attempts(&world, &task.id).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_makes_no_orphans() {
    let (store, script) = (Arc::<Faulty>::default(), Arc::<Script>::default());
    let handler =
        DefaultRequestHandler::new(card(), Arc::clone(&script) as _, Arc::clone(&store) as _);
    let call = Call::SendMessage(at_once(say("working\ngate\ncomplete done")));
    let task = sent_task(call_on(&handler, Caller::default(), call).await.unwrap());
    script.begun.passed().await;
    get_on(&handler, &task.id).await;
    store.unavailable.store(true, Ordering::SeqCst);
    sleep(LEASE).await;
    assert!(call_on(&handler, Caller::default(), get(&task.id)).await.is_err());
    store.unavailable.store(false, Ordering::SeqCst);
    get_on(&handler, &task.id).await;
    yields().await;
    script.gate.open();
    soon(handler.settled()).await;
    assert_eq!(get_on(&handler, &task.id).await.status.state, TaskState::Completed);
    assert_eq!(script.runs(), 1);
}
