//! A case: a script of calls, each built from the replies before it, and the replies it expects.
//!
//! A script runs once through the handler itself and once through a transport. Both runs are normalised
//! the same way: ids become `task-1`, `context-1`, `message-1` by order of appearance, times `T`,
//! page tokens `TOKEN`. Then every reply of the transport must equal the handler's, and match the
//! script's template.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use a2a_core::{
    Call, CancelTaskRequest, GetTaskRequest, Message, Part, SendMessageConfiguration,
    SendMessageRequest, SubscribeToTaskRequest,
};
use serde_json::Value;

use crate::{
    agents::Agent,
    expect,
    transports::{Asked, Transport, handler::Handler},
};

/// How long a reply may take, and a task to come to its end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A named script.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) agent: Agent,
    pub(crate) steps: Vec<Step>,
}

/// One call and what it is to answer.
pub(crate) struct Step {
    call: Box<dyn Fn(&Said) -> Call + Send + Sync>,
    expected: Value,
    version: &'static str,
    extensions: &'static str,
    eventually: bool,
    leaves_after: Option<usize>,
}

/// A step: the call, built from what was said before, and the template of its reply.
pub(crate) fn step(call: impl Fn(&Said) -> Call + Send + Sync + 'static, expected: Value) -> Step {
    Step {
        call: Box::new(call),
        expected,
        version: "1.0",
        extensions: "",
        eventually: false,
        leaves_after: None,
    }
}

impl Step {
    /// Names another version of the protocol.
    pub(crate) fn version(self, version: &'static str) -> Self {
        Self { version, ..self }
    }

    /// Names extensions the caller knows.
    pub(crate) fn extensions(self, extensions: &'static str) -> Self {
        Self { extensions, ..self }
    }

    /// Polls until the task has ended.
    pub(crate) fn eventually(self) -> Self {
        Self { eventually: true, ..self }
    }

    /// THE documented difference between the transports: a stream that would stay open over HTTP,
    /// because the task waits for its client, ends over Kafka, where the client's next message
    /// stands behind it. Where streams stay open the reader disconnects after that many events, and
    /// the stream must not have ended.
    pub(crate) fn leaves_after(self, events: usize) -> Self {
        Self { leaves_after: Some(events), ..self }
    }
}

/// The replies so far, as they came.
#[derive(Default)]
pub(crate) struct Said(Vec<Value>);

impl Said {
    /// The id of the task in the reply to that step, from 0.
    pub(crate) fn task_id(&self, step: usize) -> String {
        self.find(step, "id")
    }

    /// The id of the context in the reply to that step.
    pub(crate) fn context_id(&self, step: usize) -> String {
        self.find(step, "contextId")
    }

    /// Where the page after that step's goes on.
    pub(crate) fn page_token(&self, step: usize) -> String {
        self.0[step]["nextPageToken"].as_str().expect("a page").to_owned()
    }

    fn find(&self, step: usize, field: &str) -> String {
        let reply = &self.0[step];
        let places = [&reply["task"], &reply["stream"][0]["task"], reply];
        let found = places.iter().find_map(|place| place[field].as_str());
        found.unwrap_or_else(|| panic!("no {field} in reply {step}: {reply}")).to_owned()
    }
}

/// A user's message on its way to being a call.
pub(crate) fn say(text: &str) -> Say {
    say_parts(vec![Part::text(text)])
}

/// The same of any parts.
pub(crate) fn say_parts(parts: Vec<Part>) -> Say {
    let message = Message::user("from-user", parts);
    Say(SendMessageRequest { message, ..SendMessageRequest::default() })
}

pub(crate) struct Say(pub(crate) SendMessageRequest);

impl Say {
    pub(crate) fn context(mut self, id: String) -> Self {
        self.0.message.context_id = Some(id.into());
        self
    }

    pub(crate) fn task(mut self, id: String) -> Self {
        self.0.message.task_id = Some(id.into());
        self
    }

    pub(crate) fn tenant(mut self, tenant: &str) -> Self {
        self.0.tenant = Some(tenant.into());
        self
    }

    pub(crate) fn history(mut self, length: i32) -> Self {
        self.configuration().history_length = Some(length);
        self
    }

    pub(crate) fn at_once(mut self) -> Self {
        self.configuration().return_immediately = true;
        self
    }

    pub(crate) fn configuration(&mut self) -> &mut SendMessageConfiguration {
        self.0.configuration.get_or_insert_default()
    }

    pub(crate) fn send(self) -> Call {
        Call::SendMessage(self.0)
    }

    pub(crate) fn stream(self) -> Call {
        Call::SendStreamingMessage(self.0)
    }
}

pub(crate) fn get(id: impl Into<String>) -> GetTaskRequest {
    GetTaskRequest { id: id.into().into(), ..GetTaskRequest::default() }
}

pub(crate) fn cancel(id: impl Into<String>) -> Call {
    Call::CancelTask(CancelTaskRequest { id: id.into().into(), ..CancelTaskRequest::default() })
}

pub(crate) fn subscribe(id: impl Into<String>) -> Call {
    let id = id.into().into();
    Call::SubscribeToTask(SubscribeToTaskRequest { id, ..SubscribeToTaskRequest::default() })
}

/// Runs a case through a transport and compares.
pub(crate) async fn run<L: Transport>(case: Case) {
    let reference = replies::<Handler>(&case).await;
    let replies = replies::<L>(&case).await;
    for (index, (reply, step)) in replies.iter().zip(&case.steps).enumerate() {
        let name = case.name;
        if let Err(difference) = expect::matches(&step.expected, reply) {
            panic!("{name}, step {index}: {difference}\nthe whole reply: {reply:#}");
        }
        assert_eq!(*reply, reference[index], "{name}, step {index}: not as the handler answers");
    }
}

async fn replies<L: Transport>(case: &Case) -> Vec<Value> {
    let transport = L::open(case.agent).await;
    let mut said = Said::default();
    for (index, step) in case.steps.iter().enumerate() {
        let patient = tokio::time::timeout(PATIENCE, reply(&transport, case, index, step, &said));
        match patient.await {
            Ok(reply) => said.0.push(reply),
            Err(_) => panic!("{}, step {index}: no reply within {PATIENCE:?}", case.name),
        }
    }
    transport.close().await;
    let mut normaliser = Normaliser::default();
    said.0.into_iter().map(|reply| normaliser.value("", reply)).collect()
}

async fn reply<L: Transport>(
    transport: &L,
    case: &Case,
    index: usize,
    step: &Step,
    said: &Said,
) -> Value {
    let began = Instant::now();
    for attempt in 0.. {
        let asked = Asked {
            key: format!("{}-{index}-{attempt}", case.name),
            call: (step.call)(said),
            version: step.version,
            extensions: step.extensions,
            leaves_after: step.leaves_after,
        };
        let reply = transport.call(asked).await;
        if !step.eventually || has_ended(&reply) || began.elapsed() > PATIENCE / 2 {
            return reply;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    unreachable!("one of endless attempts is the last")
}

fn has_ended(reply: &Value) -> bool {
    let state = reply["status"]["state"].as_str().unwrap_or_default();
    ["COMPLETED", "FAILED", "CANCELED", "REJECTED"].iter().any(|end| state.ends_with(end))
}

/// Gives ids, times and page tokens names that are the same in every run.
#[derive(Default)]
struct Normaliser {
    names: HashMap<String, String>,
    counts: HashMap<&'static str, usize>,
}

impl Normaliser {
    fn value(&mut self, field: &str, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(field, text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(field, item)).collect(),
            Value::Object(members) => {
                let named = members.into_iter().map(|(name, value)| {
                    let value = self.value(&name, value);
                    (name, value)
                });
                Value::Object(named.collect())
            }
            other => other,
        }
    }

    fn text(&mut self, field: &str, text: String) -> String {
        let role = match field {
            "timestamp" => {
                let time: Result<a2a_core::Timestamp, _> = text.parse();
                return time.map_or_else(|why| format!("{text}: {why}"), |_| "T".to_owned());
            }
            "nextPageToken" if !text.is_empty() => return "TOKEN".to_owned(),
            "id" | "taskId" => "task",
            "contextId" => "context",
            "messageId" => "message",
            // A sentence may name what was seen before.
            _ => {
                let known = self.names.iter();
                return known.fold(text, |text, (id, name)| text.replace(id, name));
            }
        };
        if uuid::Uuid::try_parse(&text).is_err() {
            return text;
        }
        let counts = &mut self.counts;
        let name = self.names.entry(text).or_insert_with(|| {
            let count = counts.entry(role).or_default();
            *count += 1;
            format!("{role}-{count}")
        });
        name.clone()
    }
}
