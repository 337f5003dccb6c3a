//! What the operations mean, whatever transport they came by: sending and waiting, histories, contexts, turns,
//! canceling, listing, refusals, and that callers of different owners never meet. Requests that are delivered more
//! than once are `delivery`'s.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    AgentCard, AgentExtension, Call, Caller, DeleteTaskPushNotificationConfigRequest, Env,
    ErrorKind, GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest,
    ListTaskPushNotificationConfigsRequest, ListTasksRequest, ListTasksResponse, Part, Reply, Task,
    TaskPushNotificationConfig, TaskState, TaskStore, Timestamp,
};

use crate::world::*;

async fn list(world: &World, request: ListTasksRequest) -> ListTasksResponse {
    match world.call(Caller::default(), Call::ListTasks(request)).await.unwrap() {
        Reply::Tasks(page) => page,
        other => panic!("not a page: {other:?}"),
    }
}

fn ids(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| &*task.id).collect()
}

async fn violation(world: &World, call: Call) -> String {
    let error = world.call(Caller::default(), call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidParams, "{error}");
    error.violations().iter().map(|it| &*it.field).collect::<Vec<_>>().join(" ")
}

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
async fn history_length_cuts_to_the_newest() {
    let world = World::new();
    let story = "working 1\nworking 2\nworking 3\ncomplete done";
    for (length, kept) in [
        (None, vec![story, "1", "2", "3"]),
        (Some(0), vec![]),
        (Some(2), vec!["2", "3"]),
        (Some(99), vec![story, "1", "2", "3"]),
    ] {
        let request = configured(say(story), |it| it.history_length = length);
        let task = world.send(request).await;
        assert_eq!(history(&task), kept, "send {length:?}");
        let request = GetTaskRequest { id: task.id.clone(), history_length: length, tenant: None };
        let got = world.call(Caller::default(), Call::GetTask(request)).await.unwrap();
        assert_eq!(history(&task_of(got)), kept, "get {length:?}");
        let request = ListTasksRequest { history_length: length, ..ListTasksRequest::default() };
        assert_eq!(history(&list(&world, request).await.tasks[0]), kept, "list {length:?}");
        assert_eq!(world.get(&task.id).await.history.len(), 4, "nothing is lost");
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_out_of_range_are_named() {
    let world = World::new();
    let size = |page_size| ListTasksRequest { page_size, ..ListTasksRequest::default() };
    let get = GetTaskRequest { id: "t".into(), history_length: Some(-1), tenant: None };
    let listed = ListTasksRequest { history_length: Some(-1), ..ListTasksRequest::default() };
    let send = configured(say("complete"), |it| it.history_length = Some(-1));
    for (call, field) in [
        (Call::SendMessage(send.clone()), "configuration.historyLength"),
        (Call::SendStreamingMessage(send), "configuration.historyLength"),
        (Call::GetTask(get), "historyLength"),
        (Call::ListTasks(listed), "historyLength"),
        (Call::ListTasks(size(Some(0))), "pageSize"),
        (Call::ListTasks(size(Some(101))), "pageSize"),
        (Call::ListTasks(size(Some(-5))), "pageSize"),
        (Call::GetTask(GetTaskRequest::default()), "id"),
        (cancel(""), "id"),
        (subscribe(""), "id"),
    ] {
        assert_eq!(violation(&world, call.clone()).await, field, "{call:?}");
    }
    assert_eq!(world.script.runs(), 0);
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
async fn messages_to_unknown_and_ended_tasks_are_refused() {
    let world = World::new();
    let send = |id: &str| Call::SendMessage(say_to(id, "complete"));
    let stream = |id: &str| Call::SendStreamingMessage(say_to(id, "complete"));
    for end in ["complete", "fail why", "reject no"] {
        let id = world.send(say(end)).await.id;
        for call in [send(&id), stream(&id)] {
            let refused = kind(world.call(Caller::default(), call).await);
            assert_eq!(refused, ErrorKind::UnsupportedOperation, "{end}");
        }
    }
    for call in [send("none"), stream("none"), get("none"), cancel("none"), subscribe("none")] {
        let refused = kind(world.call(Caller::default(), call.clone()).await);
        assert_eq!(refused, ErrorKind::TaskNotFound, "{call:?}");
    }
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
    // Whoever waits is told the truth, and the executor is gone.
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
async fn lists_are_newest_first_filtered_and_paged() {
    let world = World::new();
    let mut tasks = Vec::new();
    for number in 0..5 {
        let mut request = say(if number % 2 == 0 { "complete" } else { "ask what?" });
        request.message.context_id = Some(if number < 2 { "early" } else { "late" }.into());
        tasks.insert(0, world.send(request).await);
    }
    let all = list(&world, ListTasksRequest::default()).await;
    assert_eq!(ids(&all.tasks), ids(&tasks));
    assert_eq!((all.total_size, all.page_size, &*all.next_page_token), (5, 50, ""));
    let filtered = |change: fn(&mut ListTasksRequest)| {
        let mut request = ListTasksRequest::default();
        change(&mut request);
        request
    };
    let early = list(&world, filtered(|it| it.context_id = Some("early".into()))).await;
    assert_eq!(ids(&early.tasks), ids(&tasks[3..]));
    let waiting = list(&world, filtered(|it| it.status = TaskState::InputRequired)).await;
    assert_eq!(ids(&waiting.tasks), [&*tasks[1].id, &*tasks[3].id]);
    let since = tasks[1].status.timestamp;
    let request = ListTasksRequest { status_timestamp_after: since, ..ListTasksRequest::default() };
    assert_eq!(ids(&list(&world, request).await.tasks), ids(&tasks[..2]), "that time counts");
    let none = list(&world, filtered(|it| it.context_id = Some("none".into()))).await;
    assert_eq!((none.tasks.len(), none.total_size, &*none.next_page_token), (0, 0, ""));
    let mut request = filtered(|it| it.page_size = Some(2));
    let mut paged = Vec::new();
    for left in [2, 1, 0] {
        let page = list(&world, request.clone()).await;
        assert_eq!((page.total_size, page.page_size), (5, 2));
        assert_eq!(page.next_page_token.is_empty(), left == 0);
        request.page_token = Some((*page.next_page_token).into());
        paged.extend(page.tasks);
    }
    assert_eq!(ids(&paged), ids(&tasks));
}

#[tokio::test(start_paused = true)]
async fn page_tokens_nobody_gave_are_refused() {
    let world = World::new();
    world.send(say("complete")).await;
    for token in ["x", "!!", "AAAA", "bm90LWEtbnVtYmVyL3g", "\u{e9}"] {
        let request =
            ListTasksRequest { page_token: Some(token.into()), ..ListTasksRequest::default() };
        assert_eq!(violation(&world, Call::ListTasks(request)).await, "pageToken", "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn lists_show_artifacts_only_when_asked() {
    let world = World::new();
    world.send(say("artifact a one\ncomplete")).await;
    for (history_length, include_artifacts) in
        [(None, true), (Some(0), true), (None, false), (Some(0), false)]
    {
        let request = ListTasksRequest { history_length, include_artifacts, ..Default::default() };
        let page = list(&world, request).await;
        assert_eq!(page.tasks[0].artifacts.len(), usize::from(include_artifacts));
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_shows_what_a_get_shows() {
    let world = World::new();
    for story in ["complete done", "ask what?", "working hm\nhang", "artifact a b\nfail why"] {
        world.send(at_once(say(story))).await;
    }
    yields().await;
    let page =
        list(&world, ListTasksRequest { history_length: Some(0), ..Default::default() }).await;
    assert_eq!(page.tasks.len(), 4);
    for listed in page.tasks {
        let got = world.get(&listed.id).await;
        assert_eq!((listed.status, listed.context_id), (got.status, got.context_id));
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
async fn what_the_card_does_not_promise_is_refused() {
    let world = World::new();
    let config = TaskPushNotificationConfig { url: "http://x".into(), ..Default::default() };
    let (task_id, id) = ("t".into(), "c".into());
    let inline = configured(say("complete"), |it| {
        it.task_push_notification_config = Some(config.clone());
    });
    let push = [
        Call::SendMessage(inline.clone()),
        Call::SendStreamingMessage(inline),
        Call::CreateTaskPushNotificationConfig(config),
        Call::GetTaskPushNotificationConfig(GetTaskPushNotificationConfigRequest {
            tenant: None,
            task_id,
            id,
        }),
        Call::ListTaskPushNotificationConfigs(ListTaskPushNotificationConfigsRequest::default()),
        Call::DeleteTaskPushNotificationConfig(DeleteTaskPushNotificationConfigRequest::default()),
    ];
    for call in push {
        let refused = kind(world.call(Caller::default(), call.clone()).await);
        assert_eq!(refused, ErrorKind::PushNotificationNotSupported, "{call:?}");
    }
    let extended = || Call::GetExtendedAgentCard(GetExtendedAgentCardRequest::default());
    assert_eq!(
        kind(world.call(Caller::default(), extended()).await),
        ErrorKind::UnsupportedOperation
    );
    let mut declared = card();
    declared.capabilities.extended_agent_card = Some(true);
    declared.capabilities.streaming = None;
    let world = World::with_card(declared);
    let refused = kind(world.call(Caller::default(), extended()).await);
    assert_eq!(refused, ErrorKind::ExtendedAgentCardNotConfigured);
    for call in [Call::SendStreamingMessage(say("complete")), subscribe("t")] {
        let refused = kind(world.call(Caller::default(), call).await);
        assert_eq!(refused, ErrorKind::UnsupportedOperation);
    }
    assert_eq!(world.script.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn versions_and_required_extensions_are_checked() {
    let mut strict = card();
    strict.capabilities.extensions =
        vec![AgentExtension { uri: "urn:x".to_owned(), required: true, ..Default::default() }];
    let world = World::with_card(strict);
    let caller = |version: Option<&str>, extension: &str| Caller {
        version: version.map(Into::into),
        extensions: vec![extension.into()],
        ..Caller::default()
    };
    for (version, expected) in [
        (None, None),
        (Some(""), None),
        (Some("1.0"), None),
        (Some("1.0.1"), None),
        (Some("0.3"), Some(ErrorKind::VersionNotSupported)),
        (Some("1"), Some(ErrorKind::VersionNotSupported)),
        (Some("99.0"), Some(ErrorKind::VersionNotSupported)),
        (Some("x"), Some(ErrorKind::VersionNotSupported)),
    ] {
        let outcome =
            world.call(caller(version, "urn:x"), Call::SendMessage(say("complete"))).await;
        assert_eq!(outcome.err().map(|it| it.kind()), expected, "{version:?}");
    }
    let outcome = world.call(caller(None, "urn:y"), Call::SendMessage(say("complete"))).await;
    assert_eq!(kind(outcome), ErrorKind::ExtensionSupportRequired);
    // The card itself is how a client finds out.
    assert!(world.call(caller(Some("99.0"), "urn:y"), Call::GetAgentCard).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn media_types_the_card_does_not_name_are_refused() {
    let card = AgentCard {
        default_input_modes: vec!["text/plain".to_owned(), "image/*".to_owned()],
        ..card()
    };
    let world = World::with_card(card);
    for (media_type, read) in [
        ("text/plain", true),
        ("TEXT/Plain; charset=utf-8", true),
        ("image/png", true),
        ("text/html", false),
        ("application/json", false),
        ("imagex/png", false),
    ] {
        let mut request = say("complete");
        request.message.parts.push(Part::text("x").typed(media_type));
        let outcome = world.call(Caller::default(), Call::SendMessage(request.clone())).await;
        let refused = outcome.err().map(|it| it.kind());
        assert_eq!(refused, (!read).then_some(ErrorKind::ContentTypeNotSupported), "{media_type}");
        let lenient = world.handler.clone().check_media_types(false);
        assert!(call_on(&lenient, Caller::default(), Call::SendMessage(request)).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn owners_never_meet() {
    let world = World::new();
    let mut request = say("ask what?");
    request.message.context_id = Some("shared".into());
    let call = Call::SendMessage(request.clone());
    let task = sent_task(world.call(owner("ann"), call).await.unwrap());
    let theirs = || {
        [
            get(&task.id),
            cancel(&task.id),
            subscribe(&task.id),
            Call::SendMessage(say_to(&task.id, "complete")),
            Call::SendStreamingMessage(say_to(&task.id, "complete")),
        ]
    };
    for stranger in [owner("bob"), owner(""), owner("Ann")] {
        for call in theirs() {
            let refused = kind(world.call(stranger.clone(), call.clone()).await);
            assert_eq!(refused, ErrorKind::TaskNotFound, "{call:?}");
        }
        let listed = world.call(stranger.clone(), Call::ListTasks(ListTasksRequest::default()));
        let Reply::Tasks(page) = listed.await.unwrap() else { panic!("not a page") };
        assert_eq!(page.total_size, 0);
    }
    // The same context name of another owner is another context.
    let call = Call::SendMessage(request);
    sent_task(world.call(owner("bob"), call).await.unwrap());
    assert!(world.script.context(1).related().await.unwrap().is_empty());
    // Another tenant is as far away as another owner.
    let elsewhere =
        GetTaskRequest { tenant: Some("t".into()), id: task.id.clone(), history_length: None };
    let refused = kind(world.call(owner("ann"), Call::GetTask(elsewhere)).await);
    assert_eq!(refused, ErrorKind::TaskNotFound);
    assert_eq!(task_of(world.call(owner("ann"), get(&task.id)).await.unwrap()), task);
}

#[tokio::test(start_paused = true)]
async fn an_agent_reads_the_other_tasks_of_its_context() {
    let world = World::new();
    let mut ids = Vec::new();
    for story in ["artifact a one\ncomplete", "ask what?", "complete three"] {
        let mut request = say(story);
        request.message.context_id = Some("c".into());
        ids.insert(0, world.send(request).await.id);
    }
    world.send(say("complete elsewhere")).await;
    let related = world.script.context(2).related().await.unwrap();
    assert_eq!(
        related.iter().map(|it| &it.id).collect::<Vec<_>>(),
        ids[1..].iter().collect::<Vec<_>>()
    );
    assert_eq!(parts_text(&related[1].artifacts[0].parts), "one");
    // A later run of an earlier task reads the later ones, but not itself.
    world.send(say_to(&ids[1], "complete")).await;
    let related = world.script.context(4).related().await.unwrap();
    assert_eq!(related.iter().map(|it| &it.id).collect::<Vec<_>>(), [&ids[0], &ids[2]]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_reads_no_more_tasks_than_the_limit() {
    let mut world = World::new();
    let mut limits = a2a_core::Limits::default();
    limits.related = 2;
    world.handler = world.handler.with_limits(limits);
    for _ in 0..4 {
        let mut request = say("complete");
        request.message.context_id = Some("c".into());
        world.send(request).await;
    }
    assert_eq!(world.script.context(3).related().await.unwrap().len(), 2);
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
