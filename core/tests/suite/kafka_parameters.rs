//! What a record's headers ask for: another topic for the answers, a deadline, a stream continued;
//! and what an answer may not be.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use a2a_core::{
    Env, Error, ErrorKind, Limits, TaskState, Timestamp,
    kafka::Outgoing,
    store::conformance::append,
    task::{Entry, Fold, Started, Submitted, TaskKey},
    wire::kafka::Record,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    delivery::died,
    kafka::{ask, body, deliver, endpoint, header, message, record, rpc},
    world::*,
};

fn headed(offset: i64, value: &str, headers: &[(&str, &str)]) -> Record {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), owned(value)));
    Record { headers: headers.collect(), ..record(offset, value) }
}

fn owned(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn reason(answer: &Outgoing) -> Value {
    body(answer)["error"]["data"][0]["reason"].clone()
}

#[tokio::test(start_paused = true)]
async fn answers_go_where_the_client_may_have_them() {
    let world = World::new();
    let endpoint = endpoint(&world).with_reply_topics("clients.*,mine".parse().unwrap());
    let send = rpc("SendMessage", &message("complete"));
    for (offset, topic) in (1..).zip(["mine", "clients.a", "clients.a.b"]) {
        let answer = ask(&endpoint, &headed(offset, &send, &[("a2a-reply-to", topic)])).await;
        assert_eq!((&*answer.topic, answer.key.as_deref()), (topic, Some(&b"corr-1"[..])));
    }
    // Every event of a stream, and errors too.
    let stream = rpc("SendStreamingMessage", &message("working\ncomplete"));
    let events =
        deliver(&endpoint, &headed(5, &stream, &[("A2A-Reply-To", "mine")])).await.unwrap();
    assert!(events.len() == 3 && events.iter().all(|event| event.topic == "mine"), "{events:?}");
    let none = rpc("GetTask", &json!({"id": "none"}));
    assert_eq!(ask(&endpoint, &headed(6, &none, &[("a2a-reply-to", "mine")])).await.topic, "mine");
    assert_eq!(ask(&endpoint, &headed(7, "{", &[("a2a-reply-to", "mine")])).await.topic, "mine");
    // The agent's own topic needs no permission.
    let own = ("a2a-reply-to", "agent.script.responses");
    assert_eq!(ask(&endpoint, &headed(8, &send, &[own])).await.topic, "agent.script.responses");
    let runs = world.script.runs();
    for (offset, topic) in (10..).zip(["others", "clients.requests", "agent.registry", "x y"]) {
        let answer = ask(&endpoint, &headed(offset, &send, &[("a2a-reply-to", topic)])).await;
        assert_eq!(answer.topic, "agent.script.responses", "{topic}");
        assert_eq!(
            (reason(&answer), body(&answer)["id"].clone()),
            (json!("PERMISSION_DENIED"), json!("i"))
        );
    }
    assert_eq!(world.script.runs(), runs, "nothing is done for an answer that cannot be given");
}

#[tokio::test(start_paused = true)]
async fn an_agent_never_answers_itself() {
    let world = World::new();
    let strayed = Record { topic: "agent.script.responses".to_owned(), ..record(1, "{}") };
    let answer = ask(&endpoint(&world), &strayed).await;
    assert_eq!(answer.topic, "agent.script.dead-letter");
}

/// A world whose clock stands where it is put.
fn timed() -> (World, Arc<AtomicI64>) {
    let mut world = World::new();
    let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
    let time = Arc::clone(&clock);
    let now = move || Timestamp::from_millis(time.load(Ordering::SeqCst));
    world.handler = world.handler.clone().with_env(Env::new(now, uuid::Uuid::new_v4));
    (world, clock)
}

const LATER: (&str, &str) = ("a2a-deadline", "1800000010000");

#[tokio::test(start_paused = true)]
async fn an_expired_request_is_not_done() {
    let (world, clock) = timed();
    let endpoint = endpoint(&world);
    let waiting = world.send(say("ask what?")).await;
    let at_work = world.at_work("gate\ncomplete").await;
    let runs = world.script.runs();
    clock.fetch_add(10_000, Ordering::SeqCst);
    let mut to_one_at_work = message("complete");
    to_one_at_work["message"]["taskId"] = json!(at_work.id);
    for (offset, (method, params)) in (1..).zip([
        ("SendMessage", message("complete")),
        ("SendStreamingMessage", message("complete")),
        ("SendMessage", to_one_at_work),
        ("GetTask", json!({"id": waiting.id})),
        ("ListTasks", json!({})),
        ("CancelTask", json!({"id": waiting.id})),
        ("SubscribeToTask", json!({"id": at_work.id})),
    ]) {
        let answer = ask(&endpoint, &headed(offset, &rpc(method, &params), &[LATER])).await;
        assert_eq!(reason(&answer), "DEADLINE_EXCEEDED", "{method}");
        let streams = ["SendStreamingMessage", "SubscribeToTask"].contains(&method);
        assert_eq!(header(&answer, "a2a-last").is_some(), streams, "{method}");
    }
    assert_eq!(world.script.runs(), runs);
    assert_eq!(world.get(&waiting.id).await.status.state, waiting.status.state);
    world.script.gate.open();
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_before_its_deadline_is_answered_the_same_after_it() {
    let (world, clock) = timed();
    let endpoint = endpoint(&world);
    let waiting = world.send(say("ask what?")).await;
    let records: Vec<Record> = (1..)
        .zip([
            ("SendMessage", message("complete done")),
            ("SendMessage", message("reply hi")),
            ("SendStreamingMessage", message("working\nchunks 2\ncomplete")),
            ("CancelTask", json!({"id": waiting.id})),
        ])
        .map(|(offset, (method, params))| headed(offset, &rpc(method, &params), &[LATER]))
        .collect();
    let mut first = Vec::new();
    for record in &records {
        first.push(deliver(&endpoint, record).await.unwrap());
    }
    clock.fetch_add(3_600_000, Ordering::SeqCst);
    for (record, first) in records.iter().zip(first) {
        assert_eq!(deliver(&endpoint, record).await.unwrap(), first);
    }
    assert_eq!(world.script.runs(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_by_its_deadline() {
    let (world, _) = timed();
    let endpoint = endpoint(&world);
    let began = tokio::time::Instant::now();
    let hang = rpc("SendMessage", &message("working hm\nhang"));
    let task = body(&ask(&endpoint, &headed(1, &hang, &[LATER])).await)["result"]["task"].clone();
    assert_eq!(task["status"]["state"], "TASK_STATE_FAILED", "{task}");
    assert_eq!(began.elapsed().as_secs(), 10, "and not by the server's own");
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_failed_after_its_deadline_and_not_restarted() {
    let (world, clock) = timed();
    let position = "cluster|agent.script.requests|3|1|1800000000000";
    let (id, at) =
        (keyed(position).key.unwrap().id("task"), Timestamp::from_millis(1_800_000_000_000));
    let mut submitted = Submitted::new(Arc::new(say("working hm\nhang").message), at);
    submitted.request = Some(position.into());
    submitted.expires = LATER.1.parse().map(Timestamp::from_millis).ok();
    let started = Started { runner: "gone".into(), host: None, attempt: 1, at };
    let entries = [Entry::from(submitted), Entry::Started(started)];
    let head = Fold::new(Arc::clone(&id)).head_after(&"".into(), &entries);
    let key = TaskKey { tenant: "".into(), id };
    append(&(world.store.clone() as _), key, 0, entries, Some(head)).await.unwrap();
    clock.fetch_add(11_000, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    let record = headed(1, &rpc("SendMessage", &message("working hm\nhang")), &[LATER]);
    let task = body(&ask(&endpoint(&world), &record).await)["result"]["task"].clone();
    assert_eq!(task["status"]["state"], "TASK_STATE_FAILED", "{task}");
    assert_eq!(began.elapsed(), Limits::default().lease, "no longer than it may still be alive");
    assert_eq!(world.script.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_by_its_deadline() {
    let (world, _) = timed();
    let endpoint = endpoint(&world);
    let task = world.at_work("working hm\nhang").await;
    let watch = rpc("SubscribeToTask", &json!({"id": task.id}));
    let events = deliver(&endpoint, &headed(1, &watch, &[LATER])).await.unwrap();
    let [.., last] = &*events else { panic!("there is an end") };
    assert_eq!(reason(last), "DEADLINE_EXCEEDED");
    let lasts = events.iter().filter(|event| header(event, "a2a-last").is_some());
    assert_eq!(lasts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_continued_after_an_event() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let stream = rpc("SendStreamingMessage", &message("working\nyield\nchunks 3\ncomplete"));
    let whole = deliver(&endpoint, &record(1, &stream)).await.unwrap();
    let id = body(&whole[0])["result"]["task"]["id"].clone();
    let watch = rpc("SubscribeToTask", &json!({"id": id}));
    let values = |answers: &[Outgoing]| -> Vec<Value> {
        answers.iter().map(|answer| body(answer)["result"].clone()).collect()
    };
    for seen in 0..whole.len() - 1 {
        let event = header(&whole[seen], "a2a-event-id").unwrap().to_owned();
        let after = [("a2a-last-event-id", &*event)];
        // The same record, from the same offset; and a subscription, also to a task that has ended.
        for again in [headed(1, &stream, &after), headed(2, &watch, &after)] {
            let rest = deliver(&endpoint, &again).await.unwrap();
            assert_eq!(values(&rest), values(&whole[seen + 1..]), "after {event}");
        }
    }
    // After the last one, or one of no such stream, the stream is redelivered whole.
    let last = header(&whole[whole.len() - 1], "a2a-event-id").unwrap().to_owned();
    // To a subscription after the last one, the end is owed alone.
    let after = [("a2a-last-event-id", &*last)];
    let [end] = &*deliver(&endpoint, &headed(3, &watch, &after)).await.unwrap() else { panic!() };
    assert_eq!(body(end)["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED");
    assert_eq!(
        (header(end, "a2a-event-id"), header(end, "a2a-last")),
        (Some(&*last), Some("true"))
    );
    assert_eq!(header(end, "a2a-restart"), None);
    for event in [&*last, "99-0"] {
        let again = headed(1, &stream, &[("a2a-last-event-id", event)]);
        assert_eq!(deliver(&endpoint, &again).await.unwrap(), whole, "{event}");
    }
    assert_eq!(world.script.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_the_last_event_of_a_task_that_waits_the_end_is_owed() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let task = world.send(say("ask what?")).await;
    let watch = rpc("SubscribeToTask", &json!({ "id": task.id }));
    let first = ask(&endpoint, &record(1, &watch)).await;
    let last = header(&first, "a2a-event-id").unwrap().to_owned();
    let again = ask(&endpoint, &headed(2, &watch, &[("a2a-last-event-id", &last)])).await;
    assert_eq!((body(&again), &again.headers), (body(&first), &first.headers));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_lasts_ends_and_is_continued() {
    let world = World::new();
    let endpoint = endpoint(&world).with_stream_time(std::time::Duration::from_secs(1));
    let task = world.at_work("working hm\ngate\ncomplete done").await;
    let watch = rpc("SubscribeToTask", &json!({ "id": task.id }));
    let events = deliver(&endpoint, &record(1, &watch)).await.unwrap();
    let [first, end] = &*events else { panic!("{events:?}") };
    assert_eq!(body(end)["result"]["task"]["status"]["state"], "TASK_STATE_WORKING");
    assert_eq!(header(end, "a2a-last"), Some("true"));
    let seen = header(end, "a2a-event-id").unwrap();
    assert_eq!(Some(seen), header(first, "a2a-event-id"));
    world.script.gate.open();
    let rest = deliver(&endpoint, &headed(2, &watch, &[("a2a-last-event-id", seen)])).await;
    let rest = rest.unwrap();
    let [last] = &*rest else { panic!("{rest:?}") };
    assert_eq!(body(last)["result"]["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED");
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_marked() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let story = "working hm\nartifact a one\ngate\ncomplete done";
    let position = "cluster|agent.script.requests|3|1|1800000000000";
    died(&world, keyed(position), say(story));
    world.script.gate.open();
    let stream = record(1, &rpc("SendStreamingMessage", &message(story)));
    // It joins where the work began, and is told that it begins anew; so is every later delivery.
    let second = deliver(&endpoint, &stream).await.unwrap();
    let third = deliver(&endpoint, &stream).await.unwrap();
    let marked = |answers: &[Outgoing]| {
        Vec::from_iter(answers.iter().map(|it| header(it, "a2a-restart") == Some("true")))
    };
    assert_eq!(marked(&second), [false, false, false, true, false, false, false]);
    assert_eq!(third, second);
    assert_eq!(body(&second[3])["result"]["task"]["status"]["state"], "TASK_STATE_SUBMITTED");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_no_topic_takes_is_replaced_by_an_error() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let large = format!("artifact a {}\ncomplete", "x".repeat(1_000_000));
    let answer = ask(&endpoint, &record(1, &rpc("SendMessage", &message(&large)))).await;
    assert_eq!(reason(&answer), "TOO_LARGE");
    let id = body(&answer)["error"]["data"][0]["metadata"]["taskId"].clone();
    let bare = json!({"id": id, "historyLength": 0});
    let task = ask(&endpoint, &record(3, &rpc("GetTask", &bare))).await;
    assert_eq!(reason(&task), "TOO_LARGE", "its artifact is what is large");
    assert_eq!(world.get(id.as_str().unwrap()).await.status.state, TaskState::Completed);
    let stream = rpc("SendStreamingMessage", &message(&format!("working\nyield\n{large}")));
    let events = deliver(&endpoint, &record(2, &stream)).await.unwrap();
    let lasts: Vec<bool> = events.iter().map(|it| header(it, "a2a-last").is_some()).collect();
    assert_eq!(lasts.iter().filter(|last| **last).count(), 1);
    let last = &events[events.len() - 1];
    assert!(reason(last) == "TOO_LARGE" && lasts[events.len() - 1]);
    let task = body(last)["error"]["data"][0]["metadata"]["taskId"].clone();
    assert_eq!(*world.get(task.as_str().unwrap()).await.id, *task.as_str().unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_topics_own_limit_counts_and_what_it_refuses_names_the_task() {
    let world = World::new();
    let large = format!("artifact a {}\ncomplete", "x".repeat(1_000_000));
    let send = record(1, &rpc("SendMessage", &message(&large)));
    let roomy = endpoint(&world).with_max_answer(6_000_000);
    let task = body(&ask(&roomy, &send).await)["result"]["task"]["id"].clone();
    let narrow = endpoint(&world).with_max_answer(10_000);
    let refused = || Error::new(ErrorKind::TooLarge, "The broker says so.");
    for answer in [ask(&narrow, &send).await, narrow.refuse(&send, refused())] {
        assert_eq!(reason(&answer), "TOO_LARGE");
        assert_eq!(body(&answer)["error"]["data"][0]["metadata"], json!({ "taskId": task }));
    }
    for method in ["GetTask", "CancelTask", "SubscribeToTask"] {
        let named = record(2, &rpc(method, &json!({ "id": task })));
        let answer = narrow.refuse(&named, refused());
        assert_eq!(body(&answer)["error"]["data"][0]["metadata"]["taskId"], task, "{method}");
    }
    let list = narrow.refuse(&record(3, &rpc("ListTasks", &json!({}))), refused());
    assert_eq!(body(&list)["error"]["data"][0]["metadata"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn errors_have_an_order() {
    let (world, clock) = timed();
    let endpoint = endpoint(&world);
    let past = ("a2a-deadline", "2020-01-01T00:00:00Z");
    let asked = |method: &str, params: &Value| rpc(method, params);
    let none = json!({ "id": "none" });
    let push = json!({ "taskId": "none", "id": "1" });
    // Syntax, method, version, deadline, then what the call and its task are refused for.
    for (value, headers, expected) in [
        ("{".to_owned(), &[past, ("a2a-version", "9.9")][..], "PARSE_ERROR"),
        (asked("Nope", &none), &[past, ("a2a-version", "9.9")], "METHOD_NOT_FOUND"),
        (asked("GetTask", &json!({ "id": 5 })), &[past, ("a2a-version", "9.9")], "INVALID_PARAMS"),
        (asked("GetTask", &none), &[past, ("a2a-version", "9.9")], "VERSION_NOT_SUPPORTED"),
        (asked("GetTask", &none), &[past], "DEADLINE_EXCEEDED"),
        (asked("CancelTask", &none), &[past], "DEADLINE_EXCEEDED"),
        (asked("SubscribeToTask", &none), &[past], "DEADLINE_EXCEEDED"),
        (asked("GetTaskPushNotificationConfig", &push), &[past], "DEADLINE_EXCEEDED"),
        (asked("GetExtendedAgentCard", &json!({})), &[past], "DEADLINE_EXCEEDED"),
        (asked("SendMessage", &json!({})), &[past], "DEADLINE_EXCEEDED"),
        (asked("SendMessage", &message("complete")), &[past], "DEADLINE_EXCEEDED"),
        (asked("CancelTask", &none), &[], "TASK_NOT_FOUND"),
    ] {
        let answer = ask(&endpoint, &headed(7, &value, headers)).await;
        assert_eq!(reason(&answer), expected, "{value} {headers:?}");
    }
    clock.fetch_add(1, Ordering::SeqCst);
    assert_eq!(world.script.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_a_dead_letter_and_an_answer() {
    let world = World::new();
    let endpoint = endpoint(&world).with_reply_topics("mine".parse().unwrap());
    let asked = headed(7, &rpc("SendStreamingMessage", &message("x")), &[("a2a-reply-to", "mine")]);
    let outage = Error::new(ErrorKind::Unavailable, "The store is unavailable.");
    let [letter, answer] = endpoint.give_up(&asked, outage, Some(100));
    assert_eq!(letter.topic, "agent.script.dead-letter");
    assert_eq!((&letter.key, &letter.value[..]), (&asked.key, asked.value.as_deref().unwrap()));
    for (name, told) in [
        ("a2a-reply-to", "mine"),
        ("a2a-error", "The store is unavailable."),
        ("a2a-error-reason", "UNAVAILABLE"),
        ("a2a-error-topic", "agent.script.requests"),
        ("a2a-error-partition", "3"),
        ("a2a-error-offset", "7"),
        ("a2a-error-timestamp", "1800000000000"),
        ("a2a-error-attempts", "100"),
    ] {
        assert_eq!(header(&letter, name), Some(told), "{name}");
    }
    assert_eq!((&*answer.topic, reason(&answer)), ("mine", json!("UNAVAILABLE")));
    assert_eq!(header(&answer, "a2a-last"), Some("true"), "the subscriber waits for it");
    assert_eq!(body(&answer)["error"]["code"], -32052);
    let own = endpoint.refuse_topic(&asked).unwrap();
    assert_eq!((&*own.topic, reason(&own)), ("agent.script.responses", json!("PERMISSION_DENIED")));
    assert!(endpoint.refuse_topic(&record(1, "{}")).is_none(), "it named none");
}
