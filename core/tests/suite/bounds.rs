//! What is bounded in bytes or in number, and not by refusing a request: events, answers, pages, the
//! pieces of a stream, streams, appends. `core/src/limits/tests.rs` names the test of each limit.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use a2a_core::{
    http::HttpEndpoint,
    kafka::KafkaEndpoint,
    store::{
        AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError, Tail,
    },
    task::{Head, TaskKey, Version},
    *,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{
    http::{Answer, ask, message, read, request, rpc},
    kafka::{deliver, record},
    world::*,
};

fn limited(world: &World, change: impl FnOnce(&mut Limits)) -> DefaultRequestHandler {
    let mut limits = Limits::default();
    change(&mut limits);
    world.handler.clone().with_limits(limits)
}

fn over_http(handler: &DefaultRequestHandler) -> HttpEndpoint {
    HttpEndpoint::new(handler.clone()).unwrap()
}

async fn call(handler: &DefaultRequestHandler, method: &str, params: Value) -> Value {
    ask(&over_http(handler), "POST", "/", &[], &rpc(method, &params)).await.json()
}

async fn over_kafka(endpoint: &KafkaEndpoint, method: &str, params: Value) -> Vec<Value> {
    let asked = record(1, &crate::kafka::rpc(method, &params));
    let answers = deliver(endpoint, &asked).await.unwrap();
    answers.iter().map(crate::kafka::body).collect()
}

#[tokio::test(start_paused = true)]
async fn an_event_over_the_limit_says_so() {
    let agent = |_: RequestContext, queue: EventQueue| async move {
        Ok(queue.artifact(Artifact::new("a", vec![Part::text("x".repeat(5_000_000))])).await?)
    };
    let handler = handler_on(Arc::<MemoryStore>::default(), Agent(agent));
    let endpoint = KafkaEndpoint::new(handler.clone(), "script", "");
    let params = message("go");
    let rpc = call(&handler, "SendMessage", params.clone()).await;
    let kafka = over_kafka(&endpoint, "SendMessage", params).await.remove(0);
    for answer in [rpc, kafka] {
        let status = &answer["result"]["task"]["status"];
        assert_eq!(status["state"], "TASK_STATE_FAILED");
        let told = status["message"]["parts"][0]["text"].as_str().unwrap();
        let says = "The agent's answer was too large: an event of 50001";
        assert!(told.starts_with(says) && told.ends_with("and the limit is 4194304."), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_limit_says_so() {
    let world = World::new();
    let handler = limited(&world, |it| it.answer = 3_000);
    let endpoint = KafkaEndpoint::new(handler.clone(), "script", "");
    let params = message("chunks 200\nyield\nauth who?");
    let sent = call(&handler, "SendMessage", params.clone()).await;
    let id = sent["error"]["data"][0]["metadata"]["taskId"].as_str().unwrap().to_owned();
    let of_kafka = over_kafka(&endpoint, "SendMessage", params).await.remove(0);
    let named = json!({"id": id});
    let whole = json!({"includeArtifacts": true, "pageSize": 1});
    let answers = [
        sent,
        of_kafka,
        call(&handler, "GetTask", named.clone()).await,
        over_kafka(&endpoint, "GetTask", named.clone()).await.remove(0),
        call(&handler, "SubscribeToTask", named.clone()).await,
        over_kafka(&endpoint, "SubscribeToTask", named.clone()).await.remove(0),
        call(&handler, "ListTasks", whole.clone()).await,
        over_kafka(&endpoint, "ListTasks", whole).await.remove(0),
        call(&handler, "CancelTask", named.clone()).await,
    ];
    for answer in answers {
        let told = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(told.contains("is over the limit of 3000 bytes for an answer; ask for"), "{told}");
    }
    let small = call(&handler, "ListTasks", json!({})).await;
    assert!(small["result"]["tasks"][0]["id"].is_string(), "without artifacts: {small}");
    // As the sentence says, it is had in pieces.
    let (first, path) = ([("last-event-id", "1-0")], format!("/tasks/{id}:subscribe"));
    let pieces = ask(&over_http(&handler), "GET", &path, &first, "").await.events();
    assert!(pieces.len() > 200 && pieces.iter().all(|it| it.data.len() < 1_000));
}

#[tokio::test(start_paused = true)]
async fn a_page_ends_within_its_bytes() {
    const MOST: usize = 8_000;
    let world = World::new();
    let handler = limited(&world, |it| it.page_bytes = MOST);
    let mut ids = BTreeSet::new();
    for length in [1, 2_000, 1, 1, 9_000, 1, 3_000, 3_000, 3_000, 1, 1, 1, 9_000] {
        ids.insert(
            world.send(say(&format!("complete {}", "x".repeat(length)))).await.id.to_string(),
        );
    }
    // What the topic takes counts as well.
    let narrow = KafkaEndpoint::new(world.handler.clone(), "script", "").with_max_answer(30_000);
    for over_http in [true, false] {
        let (mut found, mut pages, mut token) = (BTreeSet::new(), 0, json!(""));
        loop {
            let params = json!({"pageToken": token});
            let page = match over_http {
                true => call(&handler, "ListTasks", params).await,
                false => over_kafka(&narrow, "ListTasks", params).await.remove(0),
            };
            let tasks = page["result"]["tasks"].as_array().unwrap();
            let is_large = page.to_string().len() > if over_http { MOST } else { 30_000 };
            assert!(!is_large || tasks.len() == 1, "{} of {}", page.to_string().len(), tasks.len());
            assert_eq!(page["result"]["totalSize"], 13);
            found.extend(tasks.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
            (pages, token) = (pages + 1, page["result"]["nextPageToken"].clone());
            if token == "" {
                break;
            }
        }
        assert_eq!(found, ids);
        assert!(pages > 2, "{pages}");
    }
    assert_eq!(list(&world, ListTasksRequest::default()).await.tasks.len(), 13, "by default");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_held_in_pieces() {
    const MOST: usize = 3_000;
    let world = World::new();
    let handler = limited(&world, |it| it.chunk = MOST);
    let large = "x".repeat(10_000);
    let story = message(&format!("artifact a {large}\nchunks 300\nyield\nask {large}"));
    let sent = ask(&over_http(&handler), "POST", "/message:send", &[], &story.to_string()).await;
    let path = format!("/tasks/{}:subscribe", sent.json()["task"]["id"].as_str().unwrap());
    let id = "i".repeat(Limits::REQUEST_ID - 2);
    let rpc = json!({"jsonrpc": "2.0", "id": id, "method": "SubscribeToTask",
        "params": {"id": sent.json()["task"]["id"]}});
    let first = [("last-event-id", "1-0")];
    for asked in [request("GET", &path, &first, ""), request("POST", "/", &first, &rpc.to_string())]
    {
        let (parts, bytes) = asked.clone().into_parts();
        let same = || ::http::Request::from_parts(parts.clone(), bytes.clone());
        let mut pieces = over_http(&handler).serve(Caller::default(), same()).await.into_body();
        let mut whole = over_http(&world.handler).serve(Caller::default(), same()).await;
        let mut told = Vec::new();
        while told.windows(14).all(|it| it != b"INPUT_REQUIRED") || !told.ends_with(b"\n\n") {
            let piece = soon(pieces.frame()).await.unwrap().unwrap().into_data().unwrap();
            assert!(piece.len() <= MOST, "{}", piece.len());
            told.extend_from_slice(&piece);
        }
        let mut expected = Vec::new();
        while expected.len() < told.len() {
            let piece = soon(whole.body_mut().frame()).await.unwrap().unwrap();
            expected.extend_from_slice(&piece.into_data().unwrap());
        }
        assert!(told == expected, "the pieces are not the whole");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_has_so_many_streams() {
    let world = World::new();
    let handler = limited(&world, |it| it.streams_per_caller = 2);
    let endpoint = over_http(&handler);
    let serve = |owner: &str, path: &str, body: &str| {
        let caller = Caller { owner: owner.into(), ..Caller::default() };
        let (endpoint, request) = (endpoint.clone(), request("POST", path, &[], body));
        async move { endpoint.serve(caller, request).await }
    };
    let story = message("auth who?").to_string();
    let one = serve("ann", "/message:stream", &story).await;
    let task = world.script.context(0).task_id().to_owned();
    let path = format!("/tasks/{task}:subscribe");
    let two = serve("ann", &path, "").await;
    assert_eq!((one.status().as_u16(), two.status().as_u16()), (200, 200));
    for path in [&*path, "/message:stream"] {
        let refused = read(serve("ann", path, &story).await).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains("the 2 streams"));
    }
    assert_eq!(world.script.runs(), 1, "what is refused is not begun");
    let mut of_kafka = record(1, &crate::kafka::rpc("SubscribeToTask", &json!({"id": task})));
    of_kafka.key = Some("k".into());
    let kafka = KafkaEndpoint::new(handler.clone(), "script", "");
    let mut incoming = kafka.read(&"ann".into(), of_kafka);
    let waits = soon(kafka.serve(&mut incoming, None, |_| ())).await;
    assert!(waits.is_err_and(|it| it.0.is_retriable()), "a record waits");
    assert_eq!(serve("bob", "/message:stream", &story).await.status().as_u16(), 200);
    drop(one);
    assert_eq!(serve("ann", &path, "").await.status().as_u16(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_at_once_is_bounded() {
    for (most, change) in [
        (3, (|it| it.batch_events = 3) as fn(&mut Limits)),
        (4, |it| it.batch_bytes = 600),
        (4, |it| it.queue = 2),
    ] {
        let world = World::new();
        let mut limits = Limits::default();
        change(&mut limits);
        let handler = world.handler.clone().with_limits(limits);
        let request = say("chunks 40\ncomplete");
        let task = sent_task(
            call_on(&handler, Caller::default(), Call::SendMessage(request)).await.unwrap(),
        );
        let key = TaskKey { tenant: "".into(), id: task.id };
        let slots = world.store.read(&key, 0).await.unwrap().unwrap().slots;
        // The message and the start stand before the first event.
        let largest = slots[1..].iter().map(|slot| slot.entries.len()).max();
        assert!((1..=most).contains(&largest.unwrap()), "{largest:?} of {most}");
    }
}

/// Where another writer is always first.
struct Busy(Arc<MemoryStore>, AtomicU32);

#[async_trait]
impl TaskStore for Busy {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        if change.after == 0 {
            return self.0.append(change).await;
        }
        self.1.fetch_add(1, Ordering::SeqCst);
        Err(AppendError::Conflict)
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.0.read_page(key, after, limit).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.0.head(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.0.list(query).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        self.0.running(after, limit, except).await
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        Arc::clone(&self.0).tail(key, after)
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_is_tried_so_often() {
    let store = Arc::new(Busy(Arc::default(), AtomicU32::new(0)));
    let mut limits = Limits::default();
    (limits.append_tries, limits.call_outage) = (3, std::time::Duration::ZERO);
    let handler = handler_on(Arc::clone(&store) as _, Script::default()).with_limits(limits);
    let asked = Call::SendMessage(say("ask what?"));
    let task = sent_task(call_on(&handler, Caller::default(), asked).await.unwrap());
    let refused = call_on(&handler, Caller::default(), cancel(&task.id)).await.unwrap_err();
    assert!(refused.is_retriable(), "{refused}");
    assert_eq!(store.1.load(Ordering::SeqCst), 4, "once, and three times more");
}

/// Or the answer that says so would be too large as well.
#[tokio::test(start_paused = true)]
async fn no_answer_carries_a_long_id_back() {
    let kafka = KafkaEndpoint::new(World::new().handler, "script", "");
    let long = "i".repeat(900_000);
    let mut named = message("complete");
    named["message"]["taskId"] = json!(long);
    for (method, params) in [
        ("SendMessage", named),
        ("GetTask", json!({"id": long})),
        ("CancelTask", json!({"id": long})),
        ("SubscribeToTask", json!({"id": long, "tenant": long})),
        (&*long, json!({})),
    ] {
        let mut asked = record(1, &crate::kafka::rpc(method, &params));
        let refused = || Error::new(ErrorKind::TooLarge, "The broker says so.");
        let mut answers = deliver(&kafka, &asked).await.unwrap();
        answers.push(kafka.refuse(&asked, refused()));
        asked.key = Some(long.clone().into());
        answers.extend(deliver(&kafka, &asked).await.unwrap());
        asked.value = Some(json!({"jsonrpc": 1, "id": long}).to_string().into());
        answers.extend(deliver(&kafka, &asked).await.unwrap());
        for answer in answers {
            let size = answer.value.len() + answer.key.map_or(0, |key| key.len());
            assert!(size < 3_000, "{method:.20}: {size}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn extensions_in_headers_are_bounded_too() {
    let world = World::new();
    let handler = limited(&world, |it| (it.id, it.ids) = (40, 2));
    let story = message("complete").to_string();
    let long = "urn:".repeat(11);
    for (value, says) in [
        ("a,b,c", "A2A-Extensions holds 3, and the limit is 2"),
        (&*long, "A2A-Extensions[0] has 44 bytes, and the limit is 40"),
    ] {
        let headers = [("a2a-extensions", value)];
        let answer: Answer =
            ask(&over_http(&handler), "POST", "/message:send", &headers, &story).await;
        assert_eq!((answer.status, &*answer.error()), (400, "INVALID_PARAMS"));
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(says));
        let mut asked = record(1, &crate::kafka::rpc("SendMessage", &message("complete")));
        asked.headers.push(("a2a-extensions".to_owned(), value.to_owned().into()));
        let kafka = KafkaEndpoint::new(handler.clone(), "script", "");
        let answer = crate::kafka::body(&deliver(&kafka, &asked).await.unwrap()[0]);
        assert!(answer["error"]["message"].as_str().unwrap().contains(says), "{answer}");
    }
    assert!(world.store.is_empty() && world.store.bytes() == 0);
}
