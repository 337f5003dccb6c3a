//! A host that stops in the middle of the work, at an invocation's or a shutdown's end: nobody's
//! fault. The work is released, whoever looks next goes on with it at once, and only an agent that
//! has had its own whole time fails.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    Call, Caller, DefaultRequestHandler, Error, ErrorKind, Event, Limits, ListTasksRequest, Reply,
    SendMessageRequest, TaskState, TaskStore, Timestamp, TraceContext,
    task::{Entry, TaskKey},
};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep};

use crate::{
    clocks::wrong_by,
    delivery::{attempts, died},
    world::*,
};

/// An invocation of ten seconds: eight of them are the agent's.
const INVOCATION: Duration = Duration::from_secs(10);
const STORY: &str = "working hm\ngate\ncomplete done";

/// Its clock goes with the runtime's: what an attempt had is told by its entries.
fn world(change: impl FnOnce(&mut Limits)) -> World {
    let mut world = World::new();
    let mut limits = Limits::default();
    change(&mut limits);
    world.handler = world.handler.with_limits(limits).with_env(wrong_by(0));
    world
}

fn in_invocation(caller: Caller) -> Caller {
    Caller { cut: Some((Instant::now() + INVOCATION).into_std()), ..caller }
}

async fn deliver(world: &World, request: SendMessageRequest) -> Result<Reply, Error> {
    world.call(in_invocation(keyed("k")), Call::SendMessage(request)).await
}

fn id() -> Arc<str> {
    keyed("k").key.unwrap().id("task")
}

/// The last entry of the journal.
async fn last(world: &World) -> Entry {
    let key = TaskKey { tenant: "".into(), id: id() };
    let journal = world.store.read(&key, 0).await.unwrap().unwrap();
    journal.slots.last().unwrap().entries.last().unwrap().clone()
}

/// A world whose work on a message was cut once.
async fn released() -> World {
    let world = world(|_| {});
    assert_eq!(kind(deliver(&world, say(STORY)).await), ErrorKind::Unavailable);
    world
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_recorded_and_the_waiter_is_to_retry() {
    let world = world(|_| {});
    let began = Instant::now();
    let error = deliver(&world, say(STORY)).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    assert_eq!(began.elapsed(), Duration::from_secs(8), "a margin before");
    assert!(matches!(last(&world).await, Entry::Released(_)));
    assert_eq!((world.script.runs(), world.script.over()), (1, 1));
    assert_eq!(world.handler.released(), 1);
    let task = world.get(&id()).await;
    assert_eq!((task.status.state, status_text(&task)), (TaskState::Working, "hm".to_owned()));
    let page = list(&world, ListTasksRequest::default()).await;
    assert_eq!(page.tasks[0].status.state, TaskState::Working);
}

#[tokio::test(start_paused = true)]
async fn a_redelivery_goes_on_at_once() {
    let world = released().await;
    let began = Instant::now();
    world.script.gate.open();
    let task = sent_task(deliver(&world, say(STORY)).await.unwrap());
    assert_eq!((task.status.state, began.elapsed()), (TaskState::Completed, Duration::ZERO));
    assert_eq!(attempts(&world, &id()).await, [1, 2]);
    assert_eq!(world.script.context(1).attempt(), 2);
    assert_eq!(history(&task), [STORY, "hm"], "what the first attempt said does not count");
}

#[tokio::test(start_paused = true)]
async fn who_looks_goes_on_at_once() {
    // A get, a list, a subscriber, the next message, a sweeper: each in a process of its own.
    for look in 0..5 {
        let world = released().await;
        let (store, script) = (Arc::clone(&world.store), Arc::clone(&world.script));
        let other = DefaultRequestHandler::new(card(), script, store).with_env(wrong_by(0));
        let began = Instant::now();
        world.script.gate.open();
        let call = |call| call_on(&other, Caller::default(), call);
        match look {
            0 => _ = call(get(&id())).await.unwrap(),
            1 => _ = call(Call::ListTasks(ListTasksRequest::default())).await.unwrap(),
            2 => {
                let told = told_all(&all(events(call(subscribe(&id())).await.unwrap())).await);
                assert_eq!(
                    told,
                    ["task working", "task submitted", "working hm", "completed done"]
                );
            }
            3 => {
                let next = Call::SendMessage(say_to(&id(), "complete more"));
                assert_eq!(kind(call(next).await), ErrorKind::UnsupportedOperation, "it is done");
            }
            _ => assert_eq!(other.sweeper().pass().await.unwrap(), 1),
        }
        soon(other.settled()).await;
        assert_eq!(world.get(&id()).await.status.state, TaskState::Completed, "{look}");
        assert_eq!(began.elapsed(), Duration::ZERO, "{look}");
        assert_eq!(attempts(&world, &id()).await, [1, 2], "{look}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_agents_own_time_fails_it() {
    let world = world(|limits| limits.run_time = Duration::from_secs(20));
    let began = Instant::now();
    for _ in 0..2 {
        assert_eq!(kind(deliver(&world, say(STORY)).await), ErrorKind::Unavailable);
    }
    let task = sent_task(deliver(&world, say(STORY)).await.unwrap());
    assert_eq!((task.status.state, began.elapsed()), (TaskState::Failed, Duration::from_secs(20)));
    assert!(status_text(&task).contains("out of time"), "{task:?}");
    assert_eq!(attempts(&world, &id()).await, [1, 2, 3]);
    assert_eq!(sent_task(deliver(&world, say(STORY)).await.unwrap()), task);
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_is_given_up() {
    let world = world(|limits| limits.attempts = 3);
    for _ in 0..3 {
        assert_eq!(kind(deliver(&world, say(STORY)).await), ErrorKind::Unavailable);
    }
    let task = sent_task(deliver(&world, say(STORY)).await.unwrap());
    assert_eq!((task.status.state, world.script.runs()), (TaskState::Failed, 3));
    assert!(status_text(&task).contains("several times"), "{task:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_cut_and_goes_on() {
    let world = world(|_| {});
    let story = "working hm\ngate\nartifact a one\ncomplete done";
    let stream = || async {
        let call = Call::SendStreamingMessage(say(story));
        let stream = events(world.call(in_invocation(keyed("k")), call).await.unwrap());
        let heard = soon(stream.0.collect::<Vec<Result<Event, Error>>>()).await;
        soon(world.handler.settled()).await;
        heard
    };
    let mut first = stream().await;
    assert_eq!(kind(first.pop().unwrap()), ErrorKind::Unavailable);
    let first: Vec<_> = first.into_iter().map(Result::unwrap).collect();
    assert_eq!(told_all(&first), ["task submitted", "working hm"]);
    world.script.gate.open();
    let second: Vec<_> = stream().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(told_all(&second), ["task submitted", "working hm", "a one", "completed done"]);
    assert_eq!(attempts(&world, &id()).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_cut_and_its_task_is_not() {
    let world = world(|_| {});
    let task = world.at_work(STORY).await;
    let reply = world.call(in_invocation(Caller::default()), subscribe(&task.id)).await.unwrap();
    let mut heard = soon(events(reply).0.collect::<Vec<_>>()).await;
    assert_eq!(kind(heard.pop().unwrap()), ErrorKind::Unavailable);
    assert_eq!(heard.len(), 1);
    world.script.gate.open();
    soon(world.handler.settled()).await;
    assert_eq!(world.get(&task.id).await.status.state, TaskState::Completed);
    assert_eq!(world.handler.released(), 0);
}

#[tokio::test(start_paused = true)]
async fn work_that_was_answered_at_once_is_released_too() {
    let world = world(|_| {});
    let invocation = world.handler.invocation();
    let call = || Call::SendMessage(at_once(say(STORY)));
    let first = sent_task(call_on(&invocation, in_invocation(keyed("k")), call()).await.unwrap());
    assert!(!first.status.state.is_terminal() && invocation.released() == 0);
    soon(invocation.settled()).await;
    assert_eq!((invocation.released(), world.handler.released()), (1, 0));
    world.script.gate.open();
    let invocation = world.handler.invocation();
    call_on(&invocation, in_invocation(keyed("k")), call()).await.unwrap();
    soon(invocation.settled()).await;
    assert_eq!(
        (world.get(&id()).await.status.state, invocation.released()),
        (TaskState::Completed, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_released_task_can_be_canceled() {
    let world = released().await;
    assert_eq!(world.cancel(&id()).await.unwrap().status.state, TaskState::Canceled);
    let task = sent_task(deliver(&world, say(STORY)).await.unwrap());
    assert_eq!((task.status.state, world.script.runs()), (TaskState::Canceled, 1));
}

#[tokio::test(start_paused = true)]
async fn a_question_is_the_end_of_a_run_and_not_cut() {
    let world = world(|_| {});
    let task = sent_task(deliver(&world, say("auth how?\ngate\ncomplete done")).await.unwrap());
    assert_eq!(task.status.state, TaskState::AuthRequired);
    soon(world.handler.settled()).await;
    assert_eq!(world.get(&id()).await, task, "its host's end leaves it at that");
    let next = world.send(say_to(&id(), "complete done")).await;
    assert_eq!(next.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_what_they_were() {
    let deadline = Some((Instant::now() + INVOCATION).into_std());
    let expires = Some(Timestamp::from_millis(START + 8_000));
    for limit in [
        Caller { deadline, ..keyed("k") },
        Caller { expires, ..keyed("k") },
        // The first end is the one that counts.
        Caller { expires, ..in_invocation(in_invocation(keyed("k"))) },
    ] {
        let world = world(|_| {});
        let began = Instant::now();
        let call = Call::SendMessage(say(STORY));
        let outcome = world.call(Caller { cut: None, ..limit.clone() }, call).await;
        let task = sent_task(outcome.unwrap());
        assert_eq!(task.status.state, TaskState::Failed, "{limit:?}");
        assert!(began.elapsed() <= Duration::from_secs(8));
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_could_find_again_is_not_recorded() {
    let world = world(|_| {});
    let call = Call::SendMessage(say("gate\ncomplete done"));
    let outcome = world.call(in_invocation(Caller::default()), call).await;
    assert_eq!(kind(outcome), ErrorKind::Unavailable);
    assert_eq!(list(&world, ListTasksRequest::default()).await.total_size, 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_in_the_last_moment() {
    let world = world(|_| {});
    let cut = Some((Instant::now() + Duration::from_secs(1)).into_std());
    let call = || Call::SendMessage(say("complete done"));
    let outcome = world.call(Caller { cut, ..keyed("k") }, call()).await;
    assert_eq!((kind(outcome), world.script.runs()), (ErrorKind::Unavailable, 0));
    let task = sent_task(world.call(keyed("k"), call()).await.unwrap());
    // What was done is answered, however late.
    assert_eq!(sent_task(world.call(Caller { cut, ..keyed("k") }, call()).await.unwrap()), task);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_releases_what_it_did_not_drain() {
    let world = world(|_| {});
    let sent = world.spawn(keyed("k"), say(STORY));
    world.script.begun.passed().await;
    let stream = world.subscribe(&id()).await;
    sleep(Duration::from_secs(30)).await;
    world.handler.release();
    assert_eq!(kind(soon(sent).await.unwrap()), ErrorKind::Unavailable);
    let mut heard = soon(stream.unwrap().0.collect::<Vec<_>>()).await;
    assert_eq!(kind(heard.pop().unwrap()), ErrorKind::Unavailable);
    soon(world.handler.settled()).await;
    assert!(matches!(last(&world).await, Entry::Released(_)));
    // Nothing begins here any more, not even for who looks.
    let call = Call::SendMessage(say("complete done"));
    assert_eq!(kind(world.call(Caller::default(), call).await), ErrorKind::Unavailable);
    assert_eq!(world.get(&id()).await.status.state, TaskState::Working);
    assert_eq!(world.handler.sweeper().pass().await.unwrap(), 0);
    assert_eq!(attempts(&world, &id()).await, [1]);
    world.script.gate.open();
    let (store, script) = (Arc::clone(&world.store), Arc::clone(&world.script));
    let other = DefaultRequestHandler::new(card(), script, store).with_env(wrong_by(0));
    let task = call_on(&other, keyed("k"), Call::SendMessage(say(STORY))).await.unwrap();
    assert_eq!(sent_task(task).status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_reader_with_little_time_releases_what_it_took_over() {
    let world = world(|_| {});
    let trace = TraceContext::new(Some("00-1-2-01"), Some("a=b"));
    let extensions = vec!["urn:x".into()];
    let caller = Caller { extensions, trace: trace.clone(), ..keyed("k") };
    died(&world, caller, say(STORY));
    world.get(&id()).await;
    sleep(Duration::from_secs(30)).await;
    let deadline = Some((Instant::now() + INVOCATION).into_std());
    let reader = Caller { deadline, ..Caller::default() };
    task_of(world.call(reader, get(&id())).await.unwrap());
    tokio::time::timeout(INVOCATION, world.handler.settled()).await.unwrap();
    assert!(matches!(last(&world).await, Entry::Released(_)));
    let context = world.script.context(1);
    assert_eq!((context.attempt(), &context.caller().extensions), (2, &vec!["urn:x".into()]));
    assert_eq!(context.caller().trace, trace);
    world.script.gate.open();
    world.get(&id()).await;
    soon(world.handler.settled()).await;
    assert_eq!(world.get(&id()).await.status.state, TaskState::Completed);
}
