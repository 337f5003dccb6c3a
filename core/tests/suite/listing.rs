//! What is shown of tasks: lists in order, filtered and paged; histories cut to length; artifacts
//! on demand; and what an agent sees of the other tasks of its context.

use a2a_core::*;

use crate::world::*;

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

/// A part of a millisecond is in it: a task of that millisecond is from before.
#[tokio::test(start_paused = true)]
async fn a_lower_bound_is_rounded_up() {
    let world = World::new();
    let at = world.send(say("complete")).await.status.timestamp.unwrap().to_string();
    let at = at.strip_suffix('Z').unwrap();
    for (fraction, total) in [("", 1), ("000000", 1), ("000001", 0), ("999999", 0), ("9", 0)] {
        let time = format!("{at}{fraction}Z");
        let query = format!("statusTimestampAfter={time}");
        let rest = wire::rest::decode(&::http::Method::GET, "/tasks", Some(&query), b"").unwrap();
        let params = serde_json::json!({"status_timestamp_after": time});
        let rpc = crate::http::rpc("ListTasks", &params);
        for call in [rest, wire::jsonrpc::decode(rpc.as_bytes()).call.unwrap()] {
            let Call::ListTasks(request) = call else { panic!("{call:?}") };
            assert_eq!(list(&world, request).await.total_size, total, "{time}");
        }
    }
    let before_1970 = r#"{"statusTimestampAfter":"1969-12-31T23:59:59.9990001Z"}"#;
    let request: ListTasksRequest = serde_json::from_str(before_1970).unwrap();
    assert_eq!(request.status_timestamp_after, Some(Timestamp::from_millis(0)));
}

#[tokio::test(start_paused = true)]
async fn forged_page_tokens_are_refused() {
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
