//! The function in this process, with a clock that stands still and counted ids; events as each
//! kind of gateway writes them; and what came of one.

#[path = "../../../kafka/tests/suite/support/unavailable.rs"]
pub(crate) mod unavailable;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use a2a_agent::{DataAnalysisExecutor, Matches};
use a2a_core::{
    AgentError, AgentExecutor, DefaultRequestHandler, Env, EventQueue, MemoryStore, Message, Part,
    RequestContext, TaskState, TaskStatus, TaskStatusUpdateEvent, TaskStore, Timestamp,
    async_trait,
    http::{Body, Origins},
    store::Change,
    task::{Entry, Fold, Started, Submitted, TaskKey},
};
use a2a_http::HttpFunction;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use lambda_http::{Context, RequestExt, request::LambdaRequest};
use serde_json::{Value, json};

/// The deadline that `cargo lambda watch` always says, ten minutes past 1970.
pub(crate) const EMULATORS_DEADLINE: u64 = 600_000;

/// A function.
pub(crate) struct Function(HttpFunction);

impl Function {
    /// The brief's agent.
    pub(crate) fn data() -> Self {
        Self::new(DataAnalysisExecutor::new(Matches::sample().unwrap()))
    }

    /// An agent that does what it is told.
    pub(crate) fn obedient() -> Self {
        Self::new(Obedient)
    }

    /// The same function, which these web pages may call.
    pub(crate) fn shared_with(self, origins: &[&str]) -> Self {
        Self(self.0.shared_with(Origins::new(origins).unwrap()))
    }

    fn new(agent: impl AgentExecutor) -> Self {
        Self::with(agent, Arc::new(MemoryStore::default()), None, 0)
    }

    /// The obedient agent at an address that is set.
    pub(crate) fn at(public_url: &str) -> Self {
        Self::with(Obedient, Arc::new(MemoryStore::default()), Some(public_url), 0)
    }

    /// The obedient agent over that store.
    pub(crate) fn over(store: Arc<dyn TaskStore>) -> Self {
        Self::with(Obedient, store, None, 0)
    }

    /// The obedient agent, with a clock that moves an hour at each look.
    pub(crate) fn hourly() -> Self {
        Self::with(Obedient, Arc::new(MemoryStore::default()), None, 3_600_000)
    }

    fn with(
        agent: impl AgentExecutor,
        store: Arc<dyn TaskStore>,
        public_url: Option<&str>,
        tick: i64,
    ) -> Self {
        let noon = "2026-01-31T12:00:00Z".parse::<Timestamp>().unwrap();
        let time = AtomicI64::new(noon.as_millis());
        let now = move || Timestamp::from_millis(time.fetch_add(tick, Ordering::Relaxed));
        let ids = AtomicU64::new(1);
        let id = move || uuid::Uuid::from_u128(ids.fetch_add(1, Ordering::Relaxed).into());
        let handler = DefaultRequestHandler::new(a2a_agent::card(), Arc::new(agent), store)
            .with_env(Env::new(now, id));
        Self(HttpFunction::new(handler, public_url.map(str::to_owned)).unwrap())
    }

    /// Answers an event, up to its body's end.
    pub(crate) async fn ask(&self, event: &Value) -> Answer {
        Answer::of(self.begin(event, EMULATORS_DEADLINE).await).await
    }

    /// The response, whose body is still to be read. `deadline` is as the Runtime API has it.
    pub(crate) async fn begin(&self, event: &Value, deadline: u64) -> Response<Body> {
        let event: LambdaRequest = serde_json::from_value(event.clone()).unwrap();
        let mut context = Context::default();
        context.deadline = deadline;
        let request: lambda_http::Request = a2a_http::tolerated(event).into();
        self.0.serve(request.with_lambda_context(context)).await
    }
}

/// As the Runtime API says a deadline: in milliseconds since 1970. A paused clock runs ahead of the
/// system's with each wait it passes over.
pub(crate) fn deadline_in(left: Duration) -> u64 {
    let ahead = tokio::time::Instant::now().into_std().saturating_duration_since(Instant::now());
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + ahead + left;
    u64::try_from(at.as_millis()).unwrap()
}

/// What came of an event.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// All of a response. With a paused clock, one that never ends is found out at once.
    pub(crate) async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(Duration::from_secs(3_600), body.collect()).await;
        let body = body.expect("a body that never ends").unwrap().to_bytes();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The events of a stream, each as its lines.
    pub(crate) fn events(&self) -> Vec<Vec<&str>> {
        self.text().split_terminator("\n\n").map(|event| event.lines().collect()).collect()
    }

    /// The reason an error names, in either binding; empty where there is none.
    pub(crate) fn reason(&self) -> String {
        let error = &self.json()["error"];
        let details = if error["data"].is_null() { &error["details"] } else { &error["data"] };
        details[0]["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// Which kind of gateway writes an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Gateway {
    /// A REST API: payload version 1.
    Rest,
    /// An HTTP API or a Function URL: payload version 2.
    Http,
}

pub(crate) const GATEWAYS: [Gateway; 2] = [Gateway::Rest, Gateway::Http];

impl Gateway {
    /// An event with no more than a gateway always says; the files in `events/` have all of it.
    /// The target is a path and perhaps a query; a body of bytes is base64 already.
    pub(crate) fn event(self, method: &str, target: &str, headers: Value, body: Value) -> Value {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut said = json!({ "host": DOMAIN, "x-forwarded-proto": "https" });
        said.as_object_mut().unwrap().append(headers.clone().as_object_mut().unwrap());
        let encoded = body.is_object();
        let body = if encoded { &body["base64"] } else { &body };
        let mut event = json!({ "headers": said, "body": body, "isBase64Encoded": encoded });
        let of_kind = match self {
            Self::Rest => json!({
                "resource": if path == "/" { "/" } else { "/{proxy+}" },
                "path": path,
                "httpMethod": method,
                "multiValueQueryStringParameters": queries(query),
                "pathParameters": { "proxy": path.strip_prefix('/') },
                "requestContext": {
                    "resourcePath": if path == "/" { "/" } else { "/{proxy+}" },
                    "httpMethod": method, "path": format!("/prod{path}"), "stage": "prod",
                    "domainName": DOMAIN, "identity": { "sourceIp": "203.0.113.24" },
                },
            }),
            Self::Http => json!({
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": path,
                "rawQueryString": query,
                "requestContext": {
                    "routeKey": "$default", "stage": "$default", "domainName": DOMAIN,
                    "http": { "method": method, "path": path },
                },
            }),
        };
        event.as_object_mut().unwrap().append(of_kind.clone().as_object_mut().unwrap());
        event
    }

    pub(crate) fn get(self, target: &str) -> Value {
        self.event("GET", target, json!({}), Value::Null)
    }

    pub(crate) fn post(self, target: &str, body: &Value) -> Value {
        let headers = json!({ "content-type": "application/json" });
        self.event("POST", target, headers, body.to_string().into())
    }

    /// The same event of this caller, as the gateway's authorization describes them.
    pub(crate) fn of(self, caller: &Value, mut event: Value) -> Value {
        let context = event["requestContext"].as_object_mut().unwrap();
        context.append(caller.clone().as_object_mut().unwrap());
        event
    }
}

/// The gateway's domain in every event made here.
pub(crate) const DOMAIN: &str = "agents.example.com";

/// A query as a REST API takes it apart.
fn queries(query: &str) -> Value {
    let mut all = json!({});
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match &mut all[name] {
            Value::Array(values) => values.push(value.into()),
            none => *none = json!([value]),
        }
    }
    all
}

pub(crate) fn message(text: &str) -> Value {
    json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": text }] } })
}

pub(crate) fn rpc(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// Does what it is told: `complete`, `ask` or `work 5` (for so many seconds, then completes).
struct Obedient;

#[async_trait]
impl AgentExecutor for Obedient {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let text = context.text();
        if let Some(seconds) = text.strip_prefix("work ") {
            queue.working("At work.").await?;
            tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap())).await;
        }
        match &*text {
            "ask" => queue.require_input("What?").await?,
            _ => queue.complete("Done.").await?,
        }
        Ok(())
    }
}

/// A store with an orphan: a task whose runner has died.
pub(crate) async fn abandoned(id: &str, text: &str) -> Arc<dyn TaskStore> {
    let (at, store) = (Timestamp::from_millis(0), Arc::new(MemoryStore::default()));
    let ids = |mut message: Message| {
        (message.task_id, message.context_id) = (Some(id.into()), Some("c".into()));
        Arc::new(message)
    };
    let message = ids(Message::user("m", vec![Part::text(text)]));
    let status =
        TaskStatus { state: TaskState::Working, timestamp: Some(at), ..TaskStatus::default() };
    let working = TaskStatusUpdateEvent {
        task_id: id.into(),
        context_id: "c".into(),
        status,
        ..TaskStatusUpdateEvent::default()
    };
    let entries = [
        Entry::from(Submitted::new(message, at)),
        Entry::Started(Started { runner: "gone".into(), host: None, attempt: 1, at }),
        Entry::Status(Arc::new(working)),
    ];
    let key = TaskKey { tenant: "".into(), id: id.into() };
    let head = Some(Fold::new(key.id.clone()).head_after(&"".into(), &entries));
    let change = Change { key, after: 0, entries: entries.into(), head };
    store.append(change).await.unwrap();
    store
}
