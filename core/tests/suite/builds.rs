//! Two builds on one store, as during a rolling deploy: what the newer one records and the older
//! does not know is kept, counted by every cursor, and passed over by whatever reads a journal.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    AgentExecutor, Call, Caller, Cursor, DefaultRequestHandler, ErrorKind, IdempotencyKey, Json,
    MemoryStore, ReplyAddress, TaskState, TaskStore, Timestamp, TraceContext,
    http::HttpEndpoint,
    store::conformance::append,
    task::{Entry, Fold, Released, Slot, Step, Submitted, TaskKey, Unknown, Within},
    wire::kafka::Record,
};

use tokio::time::Instant;

use crate::{delivery::attempts, faulty::Faulty, kafka, world::*};

/// As a newer build would record it.
fn unknown() -> Entry {
    let content = serde_json::from_str::<Json>(r#"{"of":["a","newer",{"build":1e400}]}"#).unwrap();
    Entry::Unknown(Unknown { kind: "pushed".into(), content })
}

fn key_of(id: &str) -> TaskKey {
    TaskKey { tenant: "".into(), id: id.into() }
}

/// A newer build, which writes beside the run.
async fn newer_build_appends(store: &Arc<MemoryStore>, id: &str, entries: Vec<Entry>) {
    let journal = store.read(&key_of(id), 0).await.unwrap().unwrap();
    let after = journal.slots.last().unwrap().version;
    append(&(Arc::clone(store) as _), key_of(id), after, entries, None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_entry_in_the_middle_of_a_run_is_passed_over() {
    let world = World::new();
    let story = "working hm\ngate\nappend a one\ngate\nappend a two\ncomplete done";
    let task = world.at_work(story).await;
    let stream = tokio::spawn(all(world.subscribe(&task.id).await.unwrap()));
    yields().await;
    newer_build_appends(&world.store, &task.id, vec![unknown()]).await;
    world.script.gate.open();
    tokio::time::sleep(std::time::Duration::from_secs(90)).await;
    newer_build_appends(&world.store, &task.id, vec![unknown(), unknown()]).await;
    assert_eq!(world.get(&task.id).await.status.state, TaskState::Working);
    world.script.gate.open();
    let heard = soon(stream).await.unwrap();
    assert_eq!(told_all(&heard), ["task working", "a one", "a two", "completed done"]);
    let done = world.get(&task.id).await;
    assert_eq!((done.status.state, world.script.runs()), (TaskState::Completed, 1));
    // Whoever comes back from an event of either build misses nothing.
    let slots = world.store.read(&key_of(&task.id), 0).await.unwrap().unwrap().slots;
    for slot in &slots {
        for index in 0..slot.entries.len() as u32 {
            let resume = Some(Cursor { version: slot.version, index });
            let after = Caller { resume, ..Caller::default() };
            let Ok(reply) = world.call(after, subscribe(&task.id)).await else { continue };
            let rest = all(events(reply)).await;
            let common = rest.len().min(heard.len() - 1);
            assert_eq!(rest[rest.len() - common..], heard[heard.len() - common..], "{resume:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_stays_so_and_what_is_at_rest_goes_on() {
    let world = World::new();
    let send = || Call::SendMessage(say("ask what?"));
    let asked = sent_task(world.call(keyed("k"), send()).await.unwrap());
    newer_build_appends(&world.store, &asked.id, vec![unknown()]).await;
    assert_eq!(sent_task(world.call(keyed("k"), send()).await.unwrap()), asked);
    let done = world.send(say_to(&asked.id, "complete done")).await;
    newer_build_appends(&world.store, &asked.id, vec![unknown()]).await;
    assert_eq!(world.get(&asked.id).await, done);
    assert_eq!(
        world.cancel(&asked.id).await.unwrap_err().kind(),
        a2a_core::ErrorKind::TaskNotCancelable
    );
}

/// The world's handler beside that of a newer build, which records more with every slot.
fn both(world: &World) -> [DefaultRequestHandler; 2] {
    let store = Faulty::newer(&world.store, vec![unknown()]);
    let executor: Arc<dyn AgentExecutor> = Arc::clone(&world.script) as _;
    let newer = DefaultRequestHandler::new(card(), executor, Arc::new(store));
    [world.handler.clone(), newer.with_env(ticking())]
}

#[tokio::test(start_paused = true)]
async fn two_builds_take_turns_on_one_task() {
    for newer_begins in [false, true] {
        let world = World::new();
        let mut builds = both(&world);
        if newer_begins {
            builds.reverse();
        }
        let [first, second] = &builds;
        let send = async |handler: &DefaultRequestHandler, request| {
            let call = Call::SendMessage(request);
            sent_task(call_on(handler, Caller::default(), call).await.unwrap())
        };
        let task = send(first, say("working hm\nappend a one\nask what?")).await;
        assert_eq!(get_on(second, &task.id).await, get_on(first, &task.id).await);
        send(second, say_to(&task.id, "append a two\nask more?")).await;
        let done = send(first, say_to(&task.id, "append a three\ncomplete done")).await;
        assert_eq!(done.status.state, TaskState::Completed);
        assert_eq!(parts_text(&done.artifacts[0].parts), "onetwothree");
        let messages = 3 * 2;
        assert_eq!(done.history.len(), messages, "{done:?}");
        for handler in &builds {
            assert_eq!(get_on(handler, &task.id).await, done);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_one_build_released_is_taken_over_by_the_other() {
    for newer_begins in [false, true] {
        let world = World::new();
        let mut builds = both(&world);
        if newer_begins {
            builds.reverse();
        }
        let send = || Call::SendMessage(say("working hm\ngate\ncomplete done"));
        let cut = Some((Instant::now() + Duration::from_secs(10)).into_std());
        let call = call_on(&builds[0], Caller { cut, ..keyed("k") }, send());
        assert_eq!(kind(call.await), ErrorKind::Unavailable);
        world.script.gate.open();
        let done = sent_task(call_on(&builds[1], keyed("k"), send()).await.unwrap());
        assert_eq!((done.status.state, world.script.runs()), (TaskState::Completed, 2));
        assert_eq!(attempts(&world, &done.id).await, [1, 2]);
        assert_eq!(sent_task(call_on(&builds[0], keyed("k"), send()).await.unwrap()), done);
    }
}

#[test]
fn every_kind_is_read_as_it_was_written() {
    let at = Timestamp::from_millis(5);
    let mut submitted = Submitted::new(Arc::new(say("hi").message), at);
    submitted.extensions = vec!["urn:x".into()];
    submitted.trace = Some(TraceContext { parent: "00-1".into(), state: Some("a=b".into()) });
    submitted.transport = Some("JSONRPC".into());
    let key = bytes::Bytes::from_static(b"\xff\x00corr");
    submitted.reply_to = Some(ReplyAddress { topic: "replies".into(), key });
    let value = serde_json::from_str::<Json>(r#"{"n":9007199254740993}"#).unwrap();
    for (entry, kind) in [
        (Entry::from(submitted), "submitted"),
        (Entry::Released(Released { runner: "r".into(), at }), "released"),
        (Entry::Step(Step { name: "draft#2".into(), value, at }), "step"),
        (Entry::Within(Within { steps: vec!["a".into(), "b".into()] }), "within"),
        (unknown(), "pushed"),
    ] {
        let text = serde_json::to_string(&entry).unwrap();
        assert!(text.starts_with(&format!("{{\"{kind}\":")), "{text}");
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    }
    for wrong in ["{}", "[]", "\"started\"", r#"{"started":{}}"#, r#"{"a":1,"b":2}"#] {
        assert!(serde_json::from_str::<Entry>(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_trace_of_a_request_is_recorded_with_it() {
    let world = World::new();
    let headers = [("traceparent", "00-1-2-01"), ("tracestate", "a=b")];
    let over_http = HttpEndpoint::new(world.handler.clone()).unwrap();
    let body = kafka::message("complete").to_string();
    let mut request = http::Request::post("/message:send")
        .header("idempotency-key", "k")
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    over_http.serve(Caller::default(), request.body(body.into()).unwrap()).await;
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned().into());
    let asked = kafka::rpc("SendMessage", &kafka::message("complete"));
    let record = Record { headers: headers.map(owned).to_vec(), ..kafka::record(1, &asked) };
    let answer = kafka::ask(&kafka::endpoint(&world), &record).await;
    let over_kafka = kafka::body(&answer)["result"]["task"]["id"].as_str().unwrap().into();
    let over_http = IdempotencyKey::of_caller("script", "", "k").unwrap().id("task");
    let trace = TraceContext::new(Some("00-1-2-01"), Some("a=b"));
    for id in [over_http, over_kafka] {
        let slots = world.store.read(&key_of(&id), 0).await.unwrap().unwrap().slots;
        let Entry::Submitted(submitted) = &slots[0].entries[0] else { panic!("{slots:?}") };
        assert_eq!(submitted.trace, trace);
    }
    assert_eq!(TraceContext::new(Some(&"0".repeat(200)), None), None);
    assert_eq!(TraceContext::new(None, Some("a=b")), None);
}

#[test]
fn the_fold_counts_it_and_is_not_changed_by_it() {
    let submitted =
        || Entry::from(Submitted::new(Arc::new(say("hi").message), Timestamp::from_millis(1)));
    let slot = |entries: Vec<Entry>| [Slot { version: 1, entries: entries.into() }];
    let with = Fold::replay("t".into(), &slot(vec![submitted(), unknown()]));
    let without = Fold::replay("t".into(), &slot(vec![submitted()]));
    assert_eq!((with.task, with.cursor.index), (without.task, without.cursor.index + 1));
    let head = Fold::new("t".into()).head_after(&"".into(), &[submitted(), unknown()]);
    assert_eq!(head, Fold::new("t".into()).head_after(&"".into(), &[submitted()]));
}
