//! Every bound, hit from outside: over JSON-RPC, HTTP+JSON and Kafka. What is refused leaves nothing
//! behind.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::json;

use super::Limits;
use crate::{
    agent::{AgentExecutor, EventQueue, RequestContext},
    call::{Call, Caller},
    error::AgentError,
    handler::DefaultRequestHandler,
    http::HttpEndpoint,
    kafka::KafkaEndpoint,
    store::MemoryStore,
    types::{
        AgentCapabilities, AgentCard, CancelTaskRequest, GetTaskRequest, ListTasksRequest, Message,
        Metadata, Part, SendMessageConfiguration, SendMessageRequest, SubscribeToTaskRequest,
    },
    wire::{jsonrpc, kafka::Record, rest},
};

/// How a bound is held.
enum Held {
    /// These calls are refused under it, with that in the sentence.
    Refuses(fn(&mut Limits), fn() -> Vec<Call>, &'static str),
    /// By that test, of that file of the suite.
    By(&'static str, &'static str),
}

use Held::{By, Refuses};

/// Where the runner's own tests stand.
const RUNNER: &str = "../../../functions/local/tests/suite/http_server";
const SOCKETS: &str = "../../../functions/local/src/http/tests";

/// Each field of [`Limits`] with how it is held: a new one does not compile before it stands here.
macro_rules! walk {
    ($($field:ident: $held:expr),* $(,)?) => {{
        let Limits { $($field: _),* } = Limits::default();
        vec![$((stringify!($field), $held)),*]
    }};
}

fn walk() -> Vec<(&'static str, Held)> {
    walk! {
        body: Refuses(|it| it.body = 500, || vec![send(|it| it.parts = parts(1, 600))], "500 bytes"),
        id: Refuses(|it| it.id = 40, long_ids, "has 50 bytes, and the limit is 40; shorten it"),
        ids: Refuses(|it| it.ids = 2, long_lists, "holds 3, and the limit is 2; send fewer"),
        parts: Refuses(
            |it| it.parts = 2,
            || vec![send(|it| it.parts = parts(3, 1))],
            "message.parts holds 3, and the limit is 2; send fewer",
        ),
        metadata: Refuses(
            |it| it.metadata = 70,
            large_metadata,
            "metadata has 75 bytes, and the limit is 70; send less",
        ),
        entry: By("bounds", "an_event_over_the_limit_says_so"),
        answer: By("bounds", "an_answer_over_the_limit_says_so"),
        page_bytes: By("bounds", "a_page_ends_within_its_bytes"),
        chunk: By("bounds", "a_stream_is_held_in_pieces"),
        streams_per_caller: By("bounds", "a_caller_has_so_many_streams"),
        queue: By("bounds", "what_is_appended_at_once_is_bounded"),
        batch_events: By("bounds", "what_is_appended_at_once_is_bounded"),
        batch_bytes: By("bounds", "what_is_appended_at_once_is_bounded"),
        run_time: By("misbehave", "silence_ends_at_the_time_limit"),
        first_event: By("streams", "a_stream_begins_although_its_agent_is_silent"),
        deadline_margin: By("polite", "its_deadline_its_lease_and_its_hosts_end_come"),
        cancel_time: By("misbehave", "a_clean_up_that_misbehaves_is_no_matter"),
        attempts: By("delivery", "attempts_are_limited"),
        lease: By("orphans", "it_is_found_within_a_lease_and_a_third"),
        steps: By("steps", "what_cannot_be_recorded_fails_the_agent"),
        step_name: By("steps", "what_cannot_be_recorded_fails_the_agent"),
        append_tries: By("bounds", "an_append_is_tried_so_often"),
        call_outage: By("faulty", "an_append_is_retried_in_a_short_outage"),
        run_outage: By("faulty", "a_run_that_cannot_record_ends_and_a_second_delivery_takes_it_up"),
        related: By("listing", "an_agent_reads_no_more_tasks_than_the_limit"),
        page: By("listing", "lists_are_newest_first_filtered_and_paged"),
        connections: By(RUNNER, "past_the_bound_the_oldest_idle_connection_makes_room"),
        connection_idle: By(SOCKETS, "heads_bodies_and_idle_connections_have_their_times"),
        head_time: By(SOCKETS, "heads_bodies_and_idle_connections_have_their_times"),
        body_time: By(SOCKETS, "heads_bodies_and_idle_connections_have_their_times"),
        read_stall: By(SOCKETS, "a_reader_that_takes_nothing_is_cut"),
        bytes_in_flight: By(SOCKETS, "past_the_bytes_in_flight_only_small_requests_are_taken"),
        runs: By(RUNNER, "runs_beyond_their_bound_are_to_come_again"),
        runs_per_caller: By(RUNNER, "runs_beyond_their_bound_are_to_come_again"),
    }
}

fn parts(count: usize, length: usize) -> Vec<Part> {
    vec![Part::text("x".repeat(length)); count]
}

fn send(change: impl FnOnce(&mut Message)) -> Call {
    let mut message = Message::user("m", parts(1, 1));
    change(&mut message);
    Call::SendMessage(SendMessageRequest { message, ..SendMessageRequest::default() })
}

fn long_ids() -> Vec<Call> {
    let long = || -> Arc<str> { "i".repeat(50).into() };
    let mut calls = vec![
        send(|it| it.message_id = long()),
        send(|it| it.context_id = Some(long())),
        send(|it| it.task_id = Some(long())),
        send(|it| it.extensions = vec!["urn:x".into(), long()]),
        send(|it| it.reference_task_ids = vec![long()]),
        send(|it| it.parts = vec![Part::text("x").typed(long())]),
        Call::GetTask(GetTaskRequest { id: long(), ..Default::default() }),
        Call::CancelTask(CancelTaskRequest { id: long(), ..Default::default() }),
        Call::SubscribeToTask(SubscribeToTaskRequest { id: long(), ..Default::default() }),
        Call::ListTasks(ListTasksRequest { context_id: Some(long()), ..Default::default() }),
    ];
    let tasks = [
        send(|_| ()),
        Call::GetTask(GetTaskRequest { id: "t".into(), ..Default::default() }),
        Call::CancelTask(CancelTaskRequest { id: "t".into(), ..Default::default() }),
        Call::SubscribeToTask(SubscribeToTaskRequest { id: "t".into(), ..Default::default() }),
        Call::ListTasks(ListTasksRequest::default()),
    ];
    calls.extend(tasks.map(|mut call| {
        *call.tenant_mut().unwrap() = Some(long());
        call
    }));
    calls
}

fn long_lists() -> Vec<Call> {
    let many = || vec![Arc::<str>::from("i"); 3];
    let mut modes = send(|_| ());
    if let Call::SendMessage(request) = &mut modes {
        let accepted_output_modes = many();
        let configuration =
            SendMessageConfiguration { accepted_output_modes, ..Default::default() };
        request.configuration = Some(configuration);
    }
    let lists =
        [send(|it| it.extensions = many()), send(|it| it.reference_task_ids = many()), modes];
    let streamed = |call: &Call| match call.clone() {
        Call::SendMessage(request) => Call::SendStreamingMessage(request),
        call => call,
    };
    lists.iter().map(streamed).chain(lists.clone()).collect()
}

fn large_metadata() -> Vec<Call> {
    let metadata = |length: usize| Metadata::new(&json!({"m": "x".repeat(length - 8)})).ok();
    let mut three = send(|it| {
        it.metadata = metadata(25);
        it.parts = vec![Part { metadata: metadata(25), ..Part::text("x") }];
    });
    if let Call::SendMessage(request) = &mut three {
        request.metadata = metadata(25);
    }
    let id = Arc::<str>::from("t");
    let cancel = CancelTaskRequest { id, metadata: metadata(75), ..Default::default() };
    vec![three, send(|it| it.metadata = metadata(75)), Call::CancelTask(cancel)]
}

struct Done;

#[async_trait]
impl AgentExecutor for Done {
    async fn execute(&self, _: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        Ok(queue.complete("done").await?)
    }
}

/// What each transport answers to a call, as text, and the store it was to leave alone.
async fn answers(limits: &Limits, call: &Call) -> Vec<(&'static str, String, Arc<MemoryStore>)> {
    let card = AgentCard {
        capabilities: AgentCapabilities { streaming: Some(true), ..Default::default() },
        ..AgentCard::default()
    };
    let handler = || {
        let store = Arc::<MemoryStore>::default();
        let handler = DefaultRequestHandler::new(card.clone(), Arc::new(Done), store.clone());
        let handler = handler.check_media_types(false).with_limits(limits.clone());
        (handler, store)
    };
    let over_http = async |method: http::Method, path: &str, body: Vec<u8>| {
        let (handler, store) = handler();
        let endpoint = HttpEndpoint::new(handler).unwrap();
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json").body(Bytes::from(body));
        let response = endpoint.serve(Caller::default(), request.unwrap()).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (String::from_utf8(body.to_vec()).unwrap(), store)
    };
    let value = jsonrpc::encode(&1.into(), call).unwrap();
    let (rpc, rpc_store) = over_http(http::Method::POST, "/", value.clone()).await;
    let rest::Encoded { method, path_and_query, body } = rest::encode(call);
    let (rest, rest_store) = over_http(method, &path_and_query, body).await;
    let (handler, kafka_store) = handler();
    let endpoint = KafkaEndpoint::new(handler, "a", "");
    let topic = "agent.a.requests".to_owned();
    let (key, value) = (Some(Bytes::from_static(b"k")), Some(value.into()));
    let mut incoming =
        endpoint.read(&Arc::default(), Record { topic, key, value, ..Record::default() });
    let mut kafka = String::new();
    let emit = |answer: crate::kafka::Outgoing| kafka += &String::from_utf8_lossy(&answer.value);
    endpoint.serve(&mut incoming, None, emit).await.unwrap();
    vec![("json-rpc", rpc, rpc_store), ("rest", rest, rest_store), ("kafka", kafka, kafka_store)]
}

/// A number as people write it.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|it| std::str::from_utf8(it).unwrap());
    groups.collect::<Vec<_>>().join(",")
}

#[test]
fn the_readme_has_the_table() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
    let readme = readme.unwrap();
    let Limits { body, id, ids, parts, metadata, entry, answer, page_bytes, chunk, .. } =
        Limits::default();
    for (name, value) in [
        ("body", body),
        ("id", id),
        ("ids", ids),
        ("parts", parts),
        ("metadata", metadata),
        ("entry", entry),
        ("answer", answer),
        ("page_bytes", page_bytes),
        ("chunk", chunk),
        ("streams_per_caller", Limits::default().streams_per_caller),
    ] {
        let row = format!("| `{name}` | {} ", grouped(value));
        assert!(readme.contains(&row), "README has no row {row:?}");
    }
    for fixed in [
        Limits::REQUEST_ID.max(Limits::CORRELATION_KEY),
        Limits::IDEMPOTENCY_KEY,
        Limits::HEADERS,
        Limits::HEADER_BYTES,
        Limits::HEADERS_BYTES,
    ] {
        assert!(readme.contains(&grouped(fixed)), "{fixed}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_bound_is_hit() {
    for (field, held) in walk() {
        match held {
            By(file, test) => {
                let path = format!("{}/tests/suite/{file}.rs", env!("CARGO_MANIFEST_DIR"));
                let text = std::fs::read_to_string(path).unwrap();
                assert!(text.contains(&format!("fn {test}(")), "{field}: no {file}::{test}");
            }
            Refuses(change, calls, says) => {
                let mut limits = Limits::default();
                change(&mut limits);
                for call in calls() {
                    for (transport, answer, store) in answers(&limits, &call).await {
                        assert!(answer.contains(says), "{field} over {transport}: {answer}");
                        assert_eq!((store.len(), store.bytes()), (0, 0), "{field}, {transport}");
                        assert!(!answer.contains(&"i".repeat(50)), "{field}: {answer}");
                    }
                    for (transport, answer, _) in answers(&Limits::default(), &call).await {
                        assert!(!answer.contains(says), "{field} over {transport}: {answer}");
                    }
                }
            }
        }
    }
}
