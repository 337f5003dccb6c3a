//! Orphans: found by a sweeper or by a waiter, taken over or failed, by the rule of attempts; and
//! never taken from a runner that is alive, however silent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use a2a_core::{
    Caller, DefaultRequestHandler, EventQueue, Limits, TaskState, TaskStore,
    task::{Entry, TaskKey},
};
use tokio_util::sync::CancellationToken;

use crate::{
    delivery::{attempts, died},
    faulty::Faulty,
    world::*,
};

const LEASE: Duration = Duration::from_secs(30);

fn key(id: &str) -> TaskKey {
    TaskKey { tenant: "".into(), id: id.into() }
}

/// Passes of a sweeper over this time, a third of a lease apart, and how many tasks they took over.
async fn sweep(handler: &DefaultRequestHandler, time: Duration) -> usize {
    let mut sweeper = handler.sweeper();
    let began = tokio::time::Instant::now();
    let mut taken = sweeper.pass().await.unwrap();
    while began.elapsed() < time {
        tokio::time::sleep(LEASE / 3).await;
        taken += sweeper.pass().await.unwrap();
    }
    taken
}

/// How many heartbeats a journal holds.
async fn heartbeats(store: &dyn TaskStore, id: &str) -> usize {
    let journal = store.read(&key(id), 0).await.unwrap().unwrap();
    let entries = journal.slots.iter().flat_map(|slot| slot.entries.iter());
    entries.filter(|entry| matches!(entry, Entry::Heartbeat(_))).count()
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_takes_over_orphans() {
    let world = World::new();
    let story = "working hm\nartifact a one\ngate\nappend a two\ncomplete done";
    died(
        &world,
        keyed("k"),
        configured(say(story), |it| it.accepted_output_modes = vec!["x/y".into()]),
    );
    let id = keyed("k").key.unwrap().id("task");
    assert_eq!(world.get(&id).await.status.state, TaskState::Working);
    world.script.gate.open();
    assert_eq!(sweep(&world.handler, LEASE * 2).await, 1, "once");
    soon(world.handler.settled()).await;
    let task = world.get(&id).await;
    assert_eq!(
        (task.status.state, attempts(&world, &id).await),
        (TaskState::Completed, vec![1, 2])
    );
    assert_eq!(parts_text(&task.artifacts[0].parts), "onetwo");
    let again = world.script.context(1);
    assert_eq!((again.attempt(), again.text()), (2, story.to_owned()));
    let modes = &again.configuration().unwrap().accepted_output_modes;
    assert_eq!(*modes, ["x/y"].map(Arc::<str>::from), "it is asked as the first one was");
}

#[tokio::test(start_paused = true)]
async fn it_is_found_within_a_lease_and_a_third() {
    let world = World::new();
    died(&world, keyed("k"), say("working\ngate\ncomplete done"));
    world.script.gate.open();
    let stop = CancellationToken::new();
    let sweeper = tokio::spawn(world.handler.sweeper().run(stop.clone()));
    let id = keyed("k").key.unwrap().id("task");
    let ended = async {
        while world.get(&id).await.status.state != TaskState::Completed {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let within = LEASE + LEASE / 3 + Duration::from_secs(1);
    tokio::time::timeout(within, ended).await.unwrap();
    stop.cancel();
    soon(sweeper).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_is_alive_keeps_its_work() {
    let world = World::new();
    // Silent for ten leases, in each state that is at work.
    let silent = world.at_work("gate\ncomplete done").await;
    let working = world.at_work("working hm\ngate\ncomplete done").await;
    let asked = world.send(say("ask what?")).await;
    world.script.begun.passed().await;
    let answer = at_once(say_to(&asked.id, "gate\ncomplete done"));
    let continued = world.send(answer).await;
    world.script.begun.passed().await;
    let other = handler_on(Arc::clone(&world.store) as _, Agent(|_, _| std::future::pending()));
    assert_eq!(sweep(&other, LEASE * 10).await, 0);
    for id in [&silent.id, &working.id, &continued.id] {
        let count = heartbeats(&*world.store, id).await;
        assert!((29..=31).contains(&count), "three in each lease: {count}");
        assert_eq!(world.script.over(), 1, "only the one that asked");
    }
    for _ in 0..3 {
        world.script.gate.open();
    }
    soon(world.handler.settled()).await;
    for id in [&silent.id, &working.id, &continued.id] {
        assert_eq!(world.get(id).await.status.state, TaskState::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_makes_no_task_and_is_not_streamed() {
    let world = World::new();
    let first = world.spawn(keyed("k"), say("gate\nreply hi"));
    world.script.begun.passed().await;
    tokio::time::sleep(LEASE * 3).await;
    let id = keyed("k").key.unwrap().id("task");
    assert!(heartbeats(&*world.store, &id).await >= 8);
    assert_eq!(list(&world, Default::default()).await.total_size, 0);
    world.script.gate.open();
    assert_eq!(sent_message(soon(first).await.unwrap().unwrap()).text(), "hi");

    let task = world.at_work("working hm\ngate\ncomplete done").await;
    let stream = world.subscribe(&task.id).await.unwrap();
    tokio::time::sleep(LEASE * 3).await;
    world.script.gate.open();
    assert_eq!(told_all(&all(stream).await), ["task working", "completed done"]);
}

#[tokio::test(start_paused = true)]
async fn what_dies_too_often_is_failed() {
    let mut world = World::new();
    let mut limits = Limits::default();
    limits.attempts = 1;
    world.handler = world.handler.with_limits(limits);
    died(&world, keyed("k"), say("working\nhang"));
    assert_eq!(sweep(&world.handler, LEASE * 2).await, 1);
    let id = keyed("k").key.unwrap().id("task");
    let task = world.get(&id).await;
    assert_eq!((task.status.state, world.script.runs()), (TaskState::Failed, 1));
    assert!(status_text(&task).contains("several times"), "{task:?}");
}

#[tokio::test(start_paused = true)]
async fn many_sweepers_take_a_task_over_once() {
    let world = World::new();
    died(&world, keyed("k"), say("working\ngate\ncomplete done"));
    let runs = Arc::new(AtomicUsize::new(0));
    let instance = || {
        let runs = Arc::clone(&runs);
        let agent = move |_, queue: EventQueue| {
            runs.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(LEASE * 2).await;
                Ok(queue.complete("done").await?)
            }
        };
        handler_on(Arc::clone(&world.store) as _, Agent(agent))
    };
    let instances: Vec<_> = (0..8).map(|_| instance()).collect();
    let sweeps = instances.iter().map(|instance| sweep(instance, LEASE * 4));
    let taken: usize = futures_util::future::join_all(sweeps).await.into_iter().sum();
    for instance in &instances {
        soon(instance.settled()).await;
    }
    assert_eq!((taken, runs.load(Ordering::SeqCst)), (1, 1));
    let id = keyed("k").key.unwrap().id("task");
    assert_eq!(world.get(&id).await.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn who_waits_behind_a_dead_runner_takes_its_work_over() {
    // No sweeper: this is a function, alone with its invocation.
    let world = World::new();
    died(&world, keyed("k"), say("working\ngate\nask what?"));
    let id = keyed("k").key.unwrap().id("task");
    world.script.gate.open();
    let task = world.send(say_to(&id, "complete done")).await;
    assert_eq!((task.status.state, world.script.runs()), (TaskState::Completed, 3));
    assert_eq!(history(&task), ["working\ngate\nask what?", "what?", "complete done"]);
}

#[tokio::test(start_paused = true)]
async fn no_lease_expires_in_an_outage_of_the_store() {
    let (store, script) = (Arc::<Faulty>::default(), Arc::<Script>::default());
    let handler =
        DefaultRequestHandler::new(card(), Arc::clone(&script) as _, Arc::clone(&store) as _);
    let handler = handler.with_env(ticking());
    let call = a2a_core::Call::SendMessage(at_once(say("working\ngate\ncomplete done")));
    let task = sent_task(call_on(&handler, Caller::default(), call).await.unwrap());
    script.begun.passed().await;
    let mut sweeper = handler.sweeper();
    for _ in 0..3 {
        assert_eq!(sweeper.pass().await.unwrap(), 0);
        tokio::time::sleep(LEASE / 3).await;
    }
    store.unavailable.store(true, Ordering::SeqCst);
    tokio::time::sleep(LEASE).await;
    assert!(sweeper.pass().await.unwrap_err().is_retriable());
    tokio::time::sleep(LEASE / 2).await;
    store.unavailable.store(false, Ordering::SeqCst);
    assert_eq!(sweeper.pass().await.unwrap(), 0, "its runner has had no time yet");
    // It went on, for a minute at most, and so is there now.
    for _ in 0..12 {
        tokio::time::sleep(LEASE / 3).await;
        assert_eq!(sweeper.pass().await.unwrap(), 0);
    }
    script.gate.open();
    soon(handler.settled()).await;
    assert_eq!(get_on(&handler, &task.id).await.status.state, TaskState::Completed);
    assert_eq!(script.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_run_hears_a_cancel_after_an_outage() {
    let (store, script) = (Arc::<Faulty>::default(), Arc::<Script>::default());
    let handler =
        DefaultRequestHandler::new(card(), Arc::clone(&script) as _, Arc::clone(&store) as _);
    let handler = handler.with_env(ticking());
    let call = a2a_core::Call::SendMessage(at_once(say("working\nhang")));
    let task = sent_task(call_on(&handler, Caller::default(), call).await.unwrap());
    script.begun.passed().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.unavailable.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3)).await;
    store.unavailable.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    call_on(&handler, Caller::default(), cancel(&task.id)).await.unwrap();
    let hears = async {
        while script.over() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), hears).await.unwrap();
}
