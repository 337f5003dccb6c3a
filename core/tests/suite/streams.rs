//! Streams: the task first, then every event in order, ids one can come back with, an end where it
//! belongs; and no reader, however slow, is any other's business.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    Call, Caller, Cursor, DefaultRequestHandler, ErrorKind, Event, EventQueue, MemoryStore,
    StreamsEnd,
};
use futures_util::StreamExt;

use crate::world::*;

const STORY: &str = "working hm\nyield\nchunks 3\nartifact b x\nyield\nlast b y\ncomplete done";
const TOLD: [&str; 8] = [
    "task submitted",
    "working hm",
    "chunks 0;",
    "chunks 1;",
    "chunks 2;",
    "b x",
    "b y",
    "completed done",
];

fn at_rest() -> Caller {
    Caller { streams_end: StreamsEnd::AtRest, ..Caller::default() }
}

fn resuming(cursor: Cursor) -> Caller {
    Caller { resume: Some(cursor), ..Caller::default() }
}

async fn is_open(events: &mut a2a_core::Events) -> bool {
    tokio::time::timeout(Duration::from_secs(5), events.0.next()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn every_event_comes_in_order_after_the_task() {
    let world = World::new();
    let events = all(world.stream(say(STORY)).await).await;
    assert_eq!(told_all(&events), TOLD);
    let last: Vec<bool> = events.iter().map(|event| event.last).collect();
    assert_eq!(last, [false, false, false, false, false, false, false, true]);
    let cursors: Vec<Cursor> = events.iter().map(|event| event.cursor.unwrap()).collect();
    assert!(cursors.is_sorted_by(|a, b| a < b), "{cursors:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_task_is_as_it_was_before_the_first_event() {
    let world = World::new();
    let events =
        all(world.stream(configured(say(STORY), |it| it.history_length = Some(0))).await).await;
    let a2a_core::StreamResponse::Task(task) = &events[0].response else { panic!("no task") };
    assert!(task.history.is_empty() && task.artifacts.is_empty(), "{task:?}");
    let events = all(world.stream(say("complete done")).await).await;
    assert_eq!(told_all(&events), ["task submitted", "completed done"]);
    let a2a_core::StreamResponse::Task(task) = &events[0].response else { panic!("no task") };
    assert_eq!(history(task), ["complete done"]);
}

#[tokio::test(start_paused = true)]
async fn streams_end_where_they_should() {
    let world = World::new();
    for (story, told) in [
        ("fail why", "failed why"),
        ("reject no", "rejected no"),
        ("working\nask what?", "input_required what?"),
        ("auth how?\npause\ncomplete done", "completed done"),
    ] {
        let events = all(world.stream(say(story)).await).await;
        assert_eq!(told_all(&events).last().unwrap(), told, "{story}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_stream_stays_open_at_auth_required() {
    let world = World::new();
    let mut stream = world.stream(say("auth how?\ngate\ncomplete done")).await;
    assert_eq!(told(&next(&mut stream).await), "task submitted");
    assert_eq!(told(&next(&mut stream).await), "auth_required how?");
    assert!(is_open(&mut stream).await);
    world.script.gate.open();
    assert_eq!(told_all(&all(stream).await), ["completed done"]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_outlives_questions() {
    let world = World::new();
    for question in ["ask what?", "auth what?"] {
        let task = world.send(say(question)).await;
        let mut stream = world.subscribe(&task.id).await.unwrap();
        let first = next(&mut stream).await;
        assert_eq!(first.response, a2a_core::StreamResponse::Task(Box::new(task.clone())));
        assert!(!first.last && is_open(&mut stream).await);
        world.send(say_to(&task.id, "ask again?")).await;
        world.send(say_to(&task.id, "artifact a one\ncomplete done")).await;
        let rest = told_all(&all(stream).await);
        let expected = ["working", "input_required again?", "working", "a one", "completed done"];
        assert_eq!(rest, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_begins_with_the_task_as_it_stands() {
    let world = World::new();
    let task = world.at_work("working hm\nartifact a one\ngate\nappend a two\ncomplete done").await;
    let mut stream = world.subscribe(&task.id).await.unwrap();
    let first = next(&mut stream).await;
    let now = world.get(&task.id).await;
    assert_eq!(parts_text(&now.artifacts[0].parts), "one");
    assert_eq!(first.response, a2a_core::StreamResponse::Task(Box::new(now)));
    world.script.gate.open();
    assert_eq!(told_all(&all(stream).await), ["a two", "completed done"]);
}

#[tokio::test(start_paused = true)]
async fn streams_that_end_at_rest() {
    let world = World::new();
    for story in ["working\nask what?", "working\nauth what?\nhang"] {
        let call = Call::SendStreamingMessage(say(story));
        let sent = all(events(world.call(at_rest(), call).await.unwrap())).await;
        assert!(told(sent.last().unwrap()).ends_with("what?") && sent.last().unwrap().last);
        let a2a_core::StreamResponse::Task(task) = &sent[0].response else { panic!("no task") };
        let seen = all(events(world.call(at_rest(), subscribe(&task.id)).await.unwrap())).await;
        assert!(seen.len() == 1 && seen[0].last, "a task at rest is all there is: {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn subscribers_see_the_same() {
    let world = World::new();
    let task =
        world.at_work("working hm\ngate\nchunks 100\nyield\nchunks 100\ncomplete done").await;
    let (one, two) = (world.subscribe(&task.id).await, world.subscribe(&task.id).await);
    world.script.gate.open();
    let (one, two) = tokio::join!(all(one.unwrap()), all(two.unwrap()));
    assert_eq!((one.len(), &one), (202, &two));
}

#[tokio::test(start_paused = true)]
async fn ended_tasks_have_nothing_more_to_say() {
    let world = World::new();
    for end in ["complete", "fail why", "reject no"] {
        let id = world.send(say(end)).await.id;
        assert_eq!(kind(world.subscribe(&id).await), ErrorKind::UnsupportedOperation);
    }
}

/// Also the promise behind `Last-Event-ID`: nothing twice, nothing missed, wherever the reader
/// stood.
#[tokio::test(start_paused = true)]
async fn resuming_gives_exactly_the_rest() {
    let world = World::new();
    let sent = all(world.stream(say(STORY)).await).await;
    let id = world.script.context(0).task_id().to_owned();
    for (position, event) in sent.iter().enumerate() {
        let call = world.call(resuming(event.cursor.unwrap()), subscribe(&id)).await;
        let rest = &sent[position + 1..];
        match rest.is_empty() {
            true => assert_eq!(kind(call), ErrorKind::UnsupportedOperation),
            false => assert_eq!(all(events(call.unwrap())).await, rest),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resuming_while_the_agent_works_gives_the_rest_and_what_comes() {
    let world = World::new();
    let story = "working hm\nchunks 3\ngate\nchunks 2\nyield\ncomplete done";
    let mut stream = world.stream(say(story)).await;
    let mut seen: Vec<Event> = Vec::new();
    for _ in 0..5 {
        seen.push(next(&mut stream).await);
    }
    let id = world.script.context(0).task_id().to_owned();
    let mut resumed = Vec::new();
    for event in &seen {
        let caller = resuming(event.cursor.unwrap());
        resumed.push(events(world.call(caller, subscribe(&id)).await.unwrap()));
    }
    world.script.gate.open();
    seen.extend(all(stream).await);
    for (position, stream) in resumed.into_iter().enumerate() {
        assert_eq!(all(stream).await, seen[position + 1..]);
    }
}

#[tokio::test(start_paused = true)]
async fn resuming_where_no_event_is_is_refused() {
    let world = World::new();
    let task = world.send(say("ask what?")).await;
    for (version, index) in [(2, 0), (99, 0), (1, 99), (u64::MAX, u32::MAX)] {
        let call = world.call(resuming(Cursor { version, index }), subscribe(&task.id)).await;
        assert_eq!(kind(call), ErrorKind::InvalidParams, "{version}-{index}");
    }
}

#[tokio::test(start_paused = true)]
async fn resuming_at_the_newest_event_waits_for_the_next() {
    let world = World::new();
    let sent = all(world.stream(say("working\nask what?")).await).await;
    let id = world.script.context(0).task_id().to_owned();
    let caller = resuming(sent.last().unwrap().cursor.unwrap());
    let stream = events(world.call(caller, subscribe(&id)).await.unwrap());
    world.send(say_to(&id, "complete done")).await;
    assert_eq!(told_all(&all(stream).await), ["working", "completed done"]);
}

/// Readers of every kind while a thousand chunks flow: none holds up another, nor the agent.
#[tokio::test(start_paused = true)]
async fn slow_stalled_and_vanished_readers_block_no_run() {
    let world = World::new();
    let mut sender = world.stream(say("working\ngate\nchunks 1000\ncomplete done")).await;
    next(&mut sender).await;
    let id = world.script.context(0).task_id().to_owned();
    let quick = world.subscribe(&id).await.unwrap();
    let mut stalled = world.subscribe(&id).await.unwrap();
    let mut vanished = world.subscribe(&id).await.unwrap();
    let mut slow = world.subscribe(&id).await.unwrap();
    next(&mut stalled).await;
    next(&mut vanished).await;
    let slow = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(event) = slow.0.next().await {
            seen.push(told(&event.unwrap()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        seen
    });
    world.script.gate.open();
    next(&mut vanished).await;
    drop(vanished);
    // One reader alone, so that no other reader moves the run.
    let quick = told_all(&all(quick).await);
    assert_eq!(
        (quick.len(), &*quick[1001], &*quick[1000]),
        (1002, "completed done", "chunks 999;")
    );
    // The sender was never polled meanwhile; its events are all there.
    assert_eq!(told_all(&all(sender).await)[1..], quick[1..]);
    assert_eq!(soon(slow).await.unwrap(), quick);
    assert_eq!(told_all(&all(stalled).await), quick[1..]);
    assert_eq!(world.get(&id).await.artifacts[0].parts.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_chunks_arrive_in_order() {
    let world = World::new();
    let events = all(world.stream(say("chunks 10000\ncomplete done")).await).await;
    assert_eq!(events.len(), 10_002);
    for (number, event) in events[1..=10_000].iter().enumerate() {
        assert_eq!(told(event), format!("chunks {number};"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_streams_of_tasks_at_rest() {
    let world = World::new();
    let asked = world.send(say("ask what?")).await;
    let working = world.at_work("working\ngate\nworking hm\nask what?").await;
    let resting = world.subscribe(&asked.id).await.unwrap();
    let busy = world.subscribe(&working.id).await.unwrap();
    world.handler.shut_down();
    assert_eq!(told_all(&all(resting).await), ["task input_required"]);
    let mut busy = busy;
    assert_eq!(told(&next(&mut busy).await), "task working");
    assert!(is_open(&mut busy).await, "its agent is still at work");
    world.script.gate.open();
    // It is let go once its task rests too.
    assert_eq!(told_all(&all(busy).await), ["working hm", "input_required what?"]);
}

/// The store is full, and the task is one that may be dropped as soon as it has ended; who reads it
/// does not notice.
#[tokio::test(start_paused = true)]
async fn a_task_that_may_be_dropped_is_streamed_to_its_end() {
    let store = Arc::new(MemoryStore::new(12_000));
    let script = Arc::<Script>::default();
    let handler =
        DefaultRequestHandler::new(card(), Arc::clone(&script) as _, Arc::clone(&store) as _);
    let stream = |story: String| {
        let call = Call::SendStreamingMessage(say(&story));
        let handler = handler.clone();
        async move { events(call_on(&handler, Caller::default(), call).await.unwrap()) }
    };
    let large = "x".repeat(3_000);
    for (story, events) in [("working\nyield\ncomplete", 3), ("complete", 2)] {
        // Something to drop, or the next one would not be admitted.
        all(stream("complete".to_owned()).await).await;
        let sent = all(stream(format!("{story} {large}")).await).await;
        assert_eq!(sent.len(), events, "{story}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_although_its_agent_is_silent() {
    let world = World::new();
    let began = tokio::time::Instant::now();
    let mut stream = world.stream(say("gate\ncomplete")).await;
    assert_eq!(told(&next(&mut stream).await), "task submitted");
    let waited = began.elapsed();
    assert!((9..15).contains(&waited.as_secs()), "before a heartbeat is due: {waited:?}");
    world.script.gate.open();
    assert_eq!(told_all(&all(stream).await), ["completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_an_agent_that_says_nothing_ends_with_its_failure() {
    let handler =
        handler_on(Arc::<MemoryStore>::default(), Agent(|_, _: EventQueue| async { Ok(()) }));
    let call = Call::SendStreamingMessage(say("x"));
    let events = all(events(call_on(&handler, Caller::default(), call).await.unwrap())).await;
    let expected = ["task submitted", "failed The agent stopped without an outcome."];
    assert_eq!(told_all(&events), expected);
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_silent_continuation_begins_with_the_task() {
    let world = World::new();
    let asked = world.send(say("ask what?")).await;
    let mut stream = world.stream(say_to(&asked.id, "gate\ncomplete done")).await;
    assert_eq!(told(&next(&mut stream).await), "task working");
    world.script.gate.open();
    assert_eq!(told_all(&all(stream).await), ["completed done"]);
}
