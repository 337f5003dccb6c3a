//! What the operations mean, whatever transport they came by: sending and waiting, contexts, turns,
//! canceling, answers without a task. Requests that are delivered more than once are `delivery`'s.

use std::{sync::Arc, time::Duration};

use a2a_core::{Call, Caller, Env, ErrorKind, ListTasksRequest, TaskState, TaskStore, Timestamp};

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn a_send_waits_until_the_task_rests() {
    let world = World::new();
    for (story, state) in [
        ("working\npause\ncomplete done", TaskState::Completed),
        ("working\npause\nfail why", TaskState::Failed),
        ("pause\nreject no", TaskState::Rejected),
        ("pause\nask what?", TaskState::InputRequired),
        // The agent may go on by itself, but the client has something to do.
        ("working\npause\nauth how?\nhang", TaskState::AuthRequired),
    ] {
        assert_eq!(world.send(say(story)).await.status.state, state, "{story}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_holds_what_was_said_and_made() {
    let world = World::new();
    let task = world.send(say("working hm\nartifact a one,\nlast a two\ncomplete done")).await;
    assert_eq!(history(&task).len(), 2, "{task:?}");
    assert_eq!(history(&task)[1], "hm");
    assert_eq!(parts_text(&task.artifacts[0].parts), "one,two");
    assert_eq!(status_text(&task), "done");
    let said = task.status.message.as_ref().unwrap();
    assert_eq!(
        (said.task_id.as_ref(), said.context_id.as_ref()),
        (Some(&task.id), Some(&task.context_id))
    );
    assert_eq!(task.history[0].task_id.as_ref(), Some(&task.id));
    assert_eq!(world.get(&task.id).await, task);
}

#[tokio::test(start_paused = true)]
async fn return_immediately_answers_while_the_agent_works() {
    let world = World::new();
    let task = world.send(at_once(say("gate\ncomplete done"))).await;
    assert_eq!(task.status.state, TaskState::Submitted);
    assert_eq!(world.script.over(), 0);
    world.script.gate.open();
    soon(world.handler.settled()).await;
    assert_eq!(world.get(&task.id).await.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn return_immediately_answers_in_a_continued_task_too() {
    let world = World::new();
    let task = world.send(say("ask what?")).await;
    let answer = world.send(at_once(say_to(&task.id, "gate\ncomplete done"))).await;
    assert_eq!(answer.status.state, TaskState::Working);
    assert_eq!(world.script.over(), 1, "the second run is at work");
    world.script.gate.open();
    soon(world.handler.settled()).await;
    assert_eq!(world.get(&task.id).await.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn contexts_are_kept_made_and_never_mixed() {
    let world = World::new();
    let made = world.send(say("complete")).await;
    assert!(!made.context_id.is_empty());
    assert_ne!(world.send(say("complete")).await.context_id, made.context_id);
    let mut request = say("ask what?");
    request.message.context_id = Some("mine".into());
    let kept = world.send(request).await;
    assert_eq!(&*kept.context_id, "mine");
    let mut other = say_to(&kept.id, "complete");
    other.message.context_id = Some("another".into());
    assert_eq!(violation(&world, Call::SendMessage(other)).await, "message.contextId");
    let mut same = say_to(&kept.id, "complete");
    same.message.context_id = Some("mine".into());
    assert_eq!(world.send(same).await.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_continues_a_task_that_waits_for_it() {
    for question in ["ask what?", "auth what?"] {
        let world = World::new();
        let task = world.send(say(question)).await;
        let next = world.send(say_to(&task.id, "complete done")).await;
        assert_eq!((&next.id, &next.context_id), (&task.id, &task.context_id));
        assert_eq!(next.status.state, TaskState::Completed);
        assert_eq!(history(&next), [question, "what?", "complete done"]);
        let context = world.script.context(1);
        assert_eq!(context.text(), "complete done");
        let before = context.task().unwrap();
        assert_eq!(before.status.state, task.status.state, "as it stood before the message");
        assert_eq!(history(before), [question]);
        assert!(world.script.context(0).task().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_task_at_work_waits_its_turn() {
    let world = World::new();
    let task = world.at_work("working\ngate\nask what?").await;
    let second = world.spawn(Caller::default(), say_to(&task.id, "complete done"));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!second.is_finished());
    assert_eq!(world.script.runs(), 1);
    world.script.gate.open();
    let ended = sent_task(soon(second).await.unwrap().unwrap());
    assert_eq!((ended.status.state, world.script.runs()), (TaskState::Completed, 2));
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_however_much_the_agent_says() {
    let world = World::new();
    let said = "working hm\npause\n".repeat(60);
    let task = world.at_work(&format!("{said}ask what?")).await;
    let second = world.call(Caller::default(), Call::SendMessage(say_to(&task.id, "complete")));
    assert_eq!(sent_task(second.await.unwrap()).status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_a_task_that_ends_is_refused() {
    let world = World::new();
    let task = world.at_work("working\ngate\ncomplete").await;
    let second = world.spawn(Caller::default(), say_to(&task.id, "complete done"));
    yields().await;
    world.script.gate.open();
    assert_eq!(kind(soon(second).await.unwrap()), ErrorKind::UnsupportedOperation);
}

#[tokio::test(start_paused = true)]
async fn of_many_answers_at_once_each_has_its_turn() {
    let world = World::new();
    let task = world.send(say("ask 0")).await;
    let sends =
        (1..=8).map(|n| world.spawn(Caller::default(), say_to(&task.id, &format!("ask {n}"))));
    for send in sends.collect::<Vec<_>>() {
        let answer = sent_task(soon(send).await.unwrap().unwrap());
        assert_eq!(answer.status.state, TaskState::InputRequired);
    }
    let task = world.get(&task.id).await;
    assert_eq!((world.script.runs(), task.history.len()), (9, 9 + 8));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_drops_the_executor() {
    let world = World::new();
    let blocked = world.spawn(Caller::default(), say("working\nhang"));
    world.script.begun.passed().await;
    yields().await;
    let id = list(&world, ListTasksRequest::default()).await.tasks[0].id.clone();
    assert_eq!(world.script.over(), 0);
    assert_eq!(world.cancel(&id).await.unwrap().status.state, TaskState::Canceled);
    // The waiter is told the truth, and the executor is dropped.
    let answer = sent_task(soon(blocked).await.unwrap().unwrap());
    assert_eq!(answer.status.state, TaskState::Canceled);
    soon(world.handler.settled()).await;
    assert_eq!(world.script.over(), 1);
    assert_eq!(*world.script.canceled.lock().unwrap(), [id.to_string()]);
    assert_eq!(kind(world.cancel(&id).await), ErrorKind::TaskNotCancelable);
    assert_eq!(world.get(&id).await.status.state, TaskState::Canceled);
}

#[tokio::test(start_paused = true)]
async fn another_instance_cancels_as_well() {
    let world = World::new();
    let task = world.at_work("working\nhang").await;
    let store: Arc<dyn TaskStore> = Arc::clone(&world.store) as _;
    let other = handler_on(store, Script::default());
    let canceled = call_on(&other, Caller::default(), cancel(&task.id)).await.unwrap();
    assert_eq!(task_of(canceled).status.state, TaskState::Canceled);
    soon(world.handler.settled()).await;
    assert_eq!(world.script.over(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_rests_can_be_canceled_and_what_has_ended_cannot() {
    let world = World::new();
    for question in ["ask what?", "auth how?"] {
        let id = world.send(say(question)).await.id;
        assert_eq!(world.cancel(&id).await.unwrap().status.state, TaskState::Canceled);
        assert_eq!(kind(world.cancel(&id).await), ErrorKind::TaskNotCancelable);
    }
    for end in ["complete", "fail why", "reject no"] {
        let task = world.send(say(end)).await;
        assert_eq!(kind(world.cancel(&task.id).await), ErrorKind::TaskNotCancelable, "{end}");
        assert_eq!(world.get(&task.id).await, task);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_reply_makes_no_task() {
    let world = World::new();
    let reply = world.call(Caller::default(), Call::SendMessage(say("reply hi"))).await.unwrap();
    let message = sent_message(reply);
    assert_eq!((message.text(), message.task_id.is_some()), ("hi".to_owned(), false));
    assert!(message.context_id.is_some());
    let events = all(world.stream(say("reply hi")).await).await;
    assert_eq!(told_all(&events), ["message hi"]);
    assert!(events[0].last && events[0].cursor.is_none());
    assert_eq!(list(&world, ListTasksRequest::default()).await.total_size, 0);
    assert!(world.store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reply_in_a_task_completes_it() {
    let world = World::new();
    let asked = world.send(say("ask what?")).await;
    for request in [say("working\nyield\nreply hi"), say_to(&asked.id, "reply hi")] {
        let task = world.send(request).await;
        assert_eq!(task.status.state, TaskState::Completed);
        assert_eq!(status_text(&task), "hi");
        assert_eq!(task.status.message.as_ref().unwrap().task_id, Some(task.id.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn times_and_ids_are_those_of_the_environment() {
    let mut world = World::new();
    let now = Timestamp::from_millis(START);
    world.handler = world.handler.with_env(Env::new(move || now, || uuid::Uuid::from_u128(7)));
    let task = world.send(say("complete done")).await;
    assert_eq!(task.status.timestamp, Some(now));
    for id in [&task.id, &task.context_id, &task.status.message.unwrap().message_id] {
        assert_eq!(&**id, "00000000-0000-0000-0000-000000000007");
    }
}
