//! A request that is delivered more than once, as Kafka does and as clients that retry do: executed
//! once, answered the same; another message under its key is refused; work whose runner died is
//! taken over, visibly and not for ever, and the runner before is fenced off.

use std::sync::Arc;

use a2a_core::{
    Call, Caller, Cursor, Env, ErrorKind, Limits, Reply, SendMessageRequest, Task, TaskState,
    TaskStore, Timestamp,
    task::{Entry, TaskKey},
};

use crate::world::*;

async fn deliver(world: &World, key: &str, request: SendMessageRequest) -> Reply {
    world.call(keyed(key), Call::SendMessage(request)).await.unwrap()
}

async fn deliver_stream(
    world: &World,
    key: &str,
    request: SendMessageRequest,
) -> Vec<(Option<Cursor>, String, bool)> {
    let call = Call::SendStreamingMessage(request);
    let events = all(events(world.call(keyed(key), call).await.unwrap())).await;
    events.iter().map(|event| (event.cursor, told(event), event.last)).collect()
}

/// The attempts a journal holds, in order.
pub(crate) async fn attempts(world: &World, id: &str) -> Vec<u32> {
    let key = TaskKey { tenant: "".into(), id: id.into() };
    let journal = world.store.read(&key, 0).await.unwrap().unwrap();
    let entries = journal.slots.iter().flat_map(|slot| slot.entries.iter());
    let started = entries.filter_map(|entry| match entry {
        Entry::Started(started) => Some(started.attempt),
        _ => None,
    });
    started.collect()
}

/// A first delivery whose whole process dies while its story hangs or waits at the gate.
pub(crate) fn died(world: &World, caller: Caller, request: SendMessageRequest) {
    let (store, script) = (Arc::clone(&world.store), Arc::clone(&world.script));
    let dead = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let executor = Arc::clone(&script);
            let handler =
                a2a_core::DefaultRequestHandler::new(card(), executor, store).with_env(ticking());
            let call =
                tokio::spawn(async move { handler.call(caller, Call::SendMessage(request)).await });
            script.begun.passed().await;
            yields().await;
            call.abort();
        });
    });
    // The thread's runtime takes the run with it.
    dead.join().unwrap();
}

/// Another process takes over the work on that task whose runner only seems to be gone.
pub(crate) async fn overtake(world: &World, id: &str) -> a2a_core::DefaultRequestHandler {
    let mut limits = Limits::default();
    limits.lease = std::time::Duration::from_millis(10);
    let (store, script) = (Arc::clone(&world.store), Arc::clone(&world.script));
    let other = a2a_core::DefaultRequestHandler::new(card(), script, store);
    let other = other.with_limits(limits).with_env(ticking());
    let before = attempts(world, id).await.len();
    while attempts(world, id).await.len() == before {
        task_of(call_on(&other, Caller::default(), get(id)).await.unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    world.script.begun.passed().await;
    yields().await;
    other
}

fn limited(mut world: World, change: impl FnOnce(&mut Limits)) -> World {
    let mut limits = Limits::default();
    change(&mut limits);
    world.handler = world.handler.with_limits(limits);
    world
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_is_answered_and_not_executed() {
    for story in
        ["complete done", "working\nartifact a one\ncomplete done", "ask what?", "fail why"]
    {
        let world = World::new();
        let first = sent_task(deliver(&world, "k", say(story)).await);
        let second = sent_task(deliver(&world, "k", say(story)).await);
        assert_eq!(second, first, "{story}");
        assert_eq!(world.script.runs(), 1, "{story}");
        assert_ne!(sent_task(deliver(&world, "other", say(story)).await).id, first.id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_hears_the_same_message() {
    let world = World::new();
    let first = sent_message(deliver(&world, "k", say("reply hi")).await);
    assert_eq!(sent_message(deliver(&world, "k", say("reply hi")).await), first);
    assert_eq!(deliver_stream(&world, "k", say("reply hi")).await.len(), 1);
    assert_eq!(world.script.runs(), 1);
    let Reply::Tasks(page) =
        world.call(Caller::default(), Call::ListTasks(Default::default())).await.unwrap()
    else {
        panic!("not a page")
    };
    assert_eq!(page.total_size, 0, "a reply is no task");
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_streams_the_same_events() {
    let world = World::new();
    let story = "working hm\nyield\nchunks 3\nyield\ncomplete done";
    let first = deliver_stream(&world, "k", say(story)).await;
    assert_eq!(first.len(), 6, "{first:?}");
    assert_eq!(deliver_stream(&world, "k", say(story)).await, first);
    assert_eq!(world.script.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_to_a_continued_task_streams_the_same_events() {
    let world = World::new();
    let task = world.send(say("ask what?")).await;
    let request = say_to(&task.id, "working hm\nyield\nchunks 2\ncomplete done");
    let first = deliver_stream(&world, "k", request.clone()).await;
    assert_eq!(first.len(), 5, "{first:?}");
    assert_eq!(deliver_stream(&world, "k", request).await, first);
    assert_eq!(world.script.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_old_delivery_hears_its_own_answer() {
    let world = World::new();
    let first = sent_task(deliver(&world, "k1", say("ask what?")).await);
    let answer = say_to(&first.id, "complete done");
    let second = sent_task(deliver(&world, "k2", answer.clone()).await);
    assert_eq!(second.status.state, TaskState::Completed);
    assert_eq!(sent_task(deliver(&world, "k1", say("ask what?")).await), first);
    assert_eq!(sent_task(deliver(&world, "k2", answer).await), second);
    assert_eq!(world.script.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_message_under_the_same_key_is_refused() {
    let world = World::new();
    deliver(&world, "k", say("complete done")).await;
    let other = world.call(keyed("k"), Call::SendMessage(say("complete other"))).await;
    assert_eq!(kind(other), ErrorKind::InvalidRequest);
    let mut renamed = say("complete done");
    renamed.message.message_id = "n".into();
    let other = world.call(keyed("k"), Call::SendMessage(renamed)).await;
    assert_eq!(kind(other), ErrorKind::InvalidRequest);
    assert_eq!(world.script.runs(), 1);
}

/// The clock may stand still between two deliveries: time is not what tells them apart.
#[tokio::test(start_paused = true)]
async fn a_second_delivery_of_a_cancel_hears_the_same() {
    let world = World::new();
    let task = world.send(say("ask what?")).await;
    let first = task_of(world.call(keyed("k"), cancel(&task.id)).await.unwrap());
    assert_eq!(first.status.state, TaskState::Canceled);
    let again = task_of(world.call(keyed("k"), cancel(&task.id)).await.unwrap());
    assert_eq!(again, first);
    // Another request finds that the task has ended, at each delivery.
    for _ in 0..2 {
        let other = world.call(keyed("other"), cancel(&task.id)).await;
        assert_eq!(kind(other), ErrorKind::TaskNotCancelable);
    }
    assert_eq!(*world.script.canceled.lock().unwrap(), [&*task.id, &*task.id]);
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_in_the_same_millisecond_is_recognised() {
    let mut world = World::new();
    let now = Timestamp::from_millis(1_800_000_000_000);
    world.handler = world.handler.with_env(Env::new(move || now, uuid::Uuid::new_v4));
    let first = sent_task(deliver(&world, "k", say("complete done")).await);
    let second = sent_task(deliver(&world, "k", say("complete done")).await);
    assert_eq!((world.script.runs(), second), (1, first));
}

#[tokio::test(start_paused = true)]
async fn deliveries_at_once_end_in_one_answer() {
    let world = World::new();
    let story = "working\npause\ncomplete done";
    let sends: Vec<_> = (0..4).map(|_| world.spawn(keyed("k"), say(story))).collect();
    let mut answers: Vec<Task> = Vec::new();
    for send in sends {
        answers.push(sent_task(soon(send).await.unwrap().unwrap()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(world.script.runs(), 1, "a living run is joined");
    let completed = |task: &Task| task.history.iter().filter(|it| it.text() == story).count();
    assert_eq!(completed(&world.get(&answers[0].id).await), 1);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_starts_another_attempt() {
    let world = World::new();
    let story = "working\nartifact a one\ngate\nappend a two\ncomplete done";
    died(&world, keyed("k"), say(story));
    world.script.gate.open();
    let task = sent_task(deliver(&world, "k", say(story)).await);
    assert_eq!(task.status.state, TaskState::Completed);
    assert_eq!(attempts(&world, &task.id).await, [1, 2]);
    assert_eq!((world.script.context(0).attempt(), world.script.context(1).attempt()), (1, 2));
    assert_eq!(
        parts_text(&task.artifacts[0].parts),
        "onetwo",
        "what attempt 1 made does not count"
    );
    assert_eq!(world.get(&task.id).await, task, "the answer is what the journal says");
    assert_eq!(sent_task(deliver(&world, "k", say(story)).await), task);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_runner_made_does_not_come_back() {
    let world = World::new();
    died(&world, keyed("k"), say("append a one\ngate\ncomplete done"));
    world.script.gate.open();
    let task = sent_task(deliver(&world, "k", say("append a one\ngate\ncomplete done")).await);
    assert_eq!(parts_text(&task.artifacts[0].parts), "one");
    assert_eq!(world.get(&task.id).await, task);
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_sees_the_task_as_the_first_did() {
    let world = World::new();
    let asked = world.send(say("ask what?")).await;
    world.script.begun.passed().await;
    let request = say_to(&asked.id, "working hm\nartifact a one\ngate\ncomplete done");
    died(&world, keyed("k"), request.clone());
    world.script.gate.open();
    let task = sent_task(deliver(&world, "k", request).await);
    assert_eq!(task.status.state, TaskState::Completed);
    let (first, second) = (world.script.context(1), world.script.context(2));
    assert_eq!((first.attempt(), second.attempt()), (1, 2));
    assert_eq!(second.task(), first.task());
    assert_eq!(task.history.iter().filter(|it| it.text() == "hm").count(), 1);
    assert_eq!(world.get(&task.id).await, task);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_task_lists_as_it_is() {
    let world = World::new();
    let story = "working hm\ngate\ncomplete done";
    died(&world, keyed("k"), say(story));
    // Taken over, with nothing said yet.
    let quiet = handler_on(Arc::clone(&world.store) as _, Agent(|_, _| std::future::pending()));
    let run =
        tokio::spawn(async move { quiet.call(keyed("k"), Call::SendMessage(say(story))).await });
    tokio::time::sleep(Limits::default().lease * 2).await;
    let listed = a2a_core::ListTasksRequest { history_length: Some(0), ..Default::default() };
    let Reply::Tasks(page) = world.call(Caller::default(), Call::ListTasks(listed)).await.unwrap()
    else {
        panic!("not a page")
    };
    let got = world.get(&page.tasks[0].id).await;
    assert_eq!(page.tasks[0].status, got.status, "the head is the fold's");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_second_attempt_begins_anew() {
    let world = World::new();
    let story = "working hm\nartifact a one\ngate\ncomplete done";
    died(&world, keyed("k"), say(story));
    world.script.gate.open();
    let call = Call::SendStreamingMessage(say(story));
    let events = all(events(world.call(keyed("k"), call).await.unwrap())).await;
    // It is joined where it began, and told that there is another attempt.
    let once = ["task submitted", "working hm", "a one"];
    assert_eq!(told_all(&events), [&once[..], &once[..], &["completed done"]].concat());
    let a2a_core::StreamResponse::Task(task) = &events[3].response else { panic!("no task") };
    assert!(task.artifacts.is_empty(), "what attempt 1 made does not count: {task:?}");
}

/// An event's id stands for one event, whichever delivery it is told to.
#[tokio::test(start_paused = true)]
async fn a_restarted_stream_has_the_same_events_at_each_delivery() {
    let world = World::new();
    let asked = world.send(say("ask what?")).await;
    world.script.begun.passed().await;
    let story = "working hm\nartifact a one\ngate\ncomplete done";
    for (key, request) in [("new", say(story)), ("old", say_to(&asked.id, story))] {
        died(&world, keyed(key), request.clone());
        world.script.gate.open();
        let second = deliver_stream(&world, key, request.clone()).await;
        world.script.begun.passed().await;
        let third = deliver_stream(&world, key, request).await;
        assert_eq!(third, second, "both are told of the first attempt, too");
    }
}

/// Who is overtaken before its stream began hears every event of the other attempt.
#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_after_a_takeover() {
    let world = World::new();
    let story = "gate\nworking hm\nartifact a one\ncomplete done";
    let stream = || {
        let (handler, call) = (world.handler.clone(), Call::SendStreamingMessage(say(story)));
        tokio::spawn(async move {
            let events = all(events(handler.call(keyed("k"), call).await.unwrap())).await;
            events.iter().map(|it| (it.cursor, told(it), it.last)).collect::<Vec<_>>()
        })
    };
    let first = stream();
    world.script.begun.passed().await;
    // Only what is a task can be seen to be orphaned.
    tokio::time::sleep(Limits::default().first_event * 2).await;
    let _other = overtake(&world, &keyed("k").key.unwrap().id("task")).await;
    let second = stream();
    yields().await;
    world.script.gate.open();
    let (first, second) = (soon(first).await.unwrap(), soon(second).await.unwrap());
    let common = first.len().min(second.len()) - 1;
    assert_eq!(first[first.len() - common..], second[second.len() - common..]);
    assert_eq!(deliver_stream(&world, "k", say(story)).await, second);
    assert_eq!(world.script.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_is_told_of_another_attempt() {
    let world = World::new();
    let story = "working hm\nartifact a one\ngate\nartifact b two\ncomplete done";
    died(&world, keyed("k"), say(story));
    let id = keyed("k").key.unwrap().id("task");
    let mut stream = world.subscribe(&id).await.unwrap();
    assert_eq!(told(&next(&mut stream).await), "task working");
    world.script.gate.open();
    deliver(&world, "k", say(story)).await;
    let rest = told_all(&all(stream).await);
    assert_eq!(rest, ["task submitted", "working hm", "a one", "b two", "completed done"]);
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_is_overtaken_is_dropped() {
    let world = World::new();
    let story = "working\ngate\ncomplete done";
    let first = world.spawn(keyed("k"), say(story));
    world.script.begun.passed().await;
    yields().await;
    let _other = overtake(&world, &keyed("k").key.unwrap().id("task")).await;
    assert_eq!(world.script.context(1).attempt(), 2);
    assert_eq!(world.script.over(), 1, "the first executor was dropped, though its caller waits");
    let second = world.spawn(keyed("k"), say(story));
    yields().await;
    world.script.gate.open();
    let second = sent_task(soon(second).await.unwrap().unwrap());
    assert_eq!(sent_task(soon(first).await.unwrap().unwrap()), second, "both hear the same");
    assert_eq!((second.status.state, world.script.runs()), (TaskState::Completed, 2));
}

#[tokio::test(start_paused = true)]
async fn who_is_overtaken_in_a_continued_task_hears_the_answer_to_this_message() {
    let world = World::new();
    let asked = world.send(say("ask what?")).await;
    world.script.begun.passed().await;
    let request = say_to(&asked.id, "working\ngate\ncomplete done");
    let first = world.spawn(keyed("k"), request.clone());
    world.script.begun.passed().await;
    let _other = overtake(&world, &asked.id).await;
    let second = world.spawn(keyed("k"), request);
    yields().await;
    world.script.gate.open();
    let second = sent_task(soon(second).await.unwrap().unwrap());
    assert_eq!(second.status.state, TaskState::Completed);
    assert_eq!(sent_task(soon(first).await.unwrap().unwrap()), second);
}

/// What was recorded together with the rest was in the first answer.
#[tokio::test(start_paused = true)]
async fn a_second_delivery_hears_all_of_the_first_answer() {
    for story in
        ["auth how?\nappend a one\npause\ncomplete done", "auth how?\nworking\npause\ncomplete"]
    {
        let world = World::new();
        let first = sent_task(deliver(&world, "k", say(story)).await);
        assert_eq!(sent_task(deliver(&world, "k", say(story)).await), first, "{story}");
        soon(world.handler.settled()).await;
        assert_eq!(sent_task(deliver(&world, "k", say(story)).await), first, "{story}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_limited() {
    let world = limited(World::new(), |limits| limits.attempts = 3);
    let story = "working\nhang";
    for attempt in 1..=3 {
        died(&world, keyed("k"), say(story));
        assert_eq!(world.script.context(attempt - 1).attempt() as usize, attempt);
    }
    let task = sent_task(deliver(&world, "k", say(story)).await);
    assert_eq!(task.status.state, TaskState::Failed);
    assert!(status_text(&task).contains("several times"), "{task:?}");
    assert_eq!(world.script.runs(), 3);
    assert_eq!(sent_task(deliver(&world, "k", say(story)).await), task);
}

#[tokio::test(start_paused = true)]
async fn return_immediately_answers_a_keyed_request_at_once() {
    let world = World::new();
    let task = sent_task(deliver(&world, "k", at_once(say("gate\ncomplete done"))).await);
    assert_eq!(task.status.state, TaskState::Submitted);
    assert_eq!(world.script.over(), 0);
    assert_eq!(world.get(&task.id).await.status.state, TaskState::Submitted, "it can be seen");
    world.script.gate.open();
    soon(world.handler.settled()).await;
    assert_eq!(world.get(&task.id).await.status.state, TaskState::Completed);
    // At each delivery the same, whatever has become of it since.
    assert_eq!(sent_task(deliver(&world, "k", at_once(say("gate\ncomplete done"))).await), task);
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_at_once_is_answered_the_same_once_it_is_done() {
    let world = World::new();
    let asked = world.send(say("ask what?")).await;
    world.script.begun.passed().await;
    let story = "working hm\ngate\ncomplete done";
    for (key, request) in [("new", say(story)), ("old", say_to(&asked.id, story))] {
        died(&world, keyed(key), request.clone());
        let first = sent_task(deliver(&world, key, at_once(request.clone())).await);
        world.script.gate.open();
        soon(world.handler.settled()).await;
        assert_eq!(sent_task(deliver(&world, key, at_once(request)).await), first);
    }
    assert_eq!(world.script.runs(), 3);
}
