//! The Kafka transports without a broker: the record, in both its forms, and the event that Lambda makes
//! of records.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use a2a_core::{
    Call,
    kafka::{KafkaEndpoint, Outgoing},
    wire::{jsonrpc, kafka::Record},
};
use a2a_kafka::{
    Acknowledgement, BatchResponse, KafkaFunction, Producer, RecordHandler,
    event::{self, Cluster},
};
use serde_json::{Value, json};

use super::{Asked, Transport};
use crate::agents::Agent;

/// The record with a JSON-RPC request.
pub(crate) struct RecordTransport(Records);

/// The record in the brief's form where it has one, which is for sending: `{"params": …}`.
pub(crate) struct BriefTransport(Records);

/// The same record in the event JSON that Lambda hands to the function.
pub(crate) struct EventTransport {
    function: KafkaFunction,
    produced: Arc<Produced>,
    offset: AtomicI64,
}

impl Transport for RecordTransport {
    async fn open(agent: Agent) -> Self {
        Self(Records::of(agent))
    }

    async fn call(&self, asked: Asked) -> Value {
        let answers = self.0.serve(&asked, request(&asked)).await;
        read(&asked, &answers)
    }
}

impl Transport for BriefTransport {
    async fn open(agent: Agent) -> Self {
        Self(Records::of(agent))
    }

    async fn call(&self, asked: Asked) -> Value {
        let Call::SendMessage(request) = &asked.call else {
            return read(&asked, &self.0.serve(&asked, self::request(&asked)).await);
        };
        let value = serde_json::to_vec(&json!({ "params": request })).unwrap();
        let answers = self.0.serve(&asked, value).await;
        let [answer] = &*answers else { panic!("one answer, not {answers:?}") };
        answer.check(&asked);
        let bare: Value = serde_json::from_slice(&answer.value).unwrap();
        // A task says its status, a message who speaks.
        match (bare.get("error"), bare.get("role")) {
            (Some(error), _) => super::jsonrpc_error(error),
            (None, Some(_)) => json!({ "message": bare }),
            (None, None) => json!({ "task": bare }),
        }
    }
}

impl Transport for EventTransport {
    async fn open(agent: Agent) -> Self {
        let produced = Arc::new(Produced::default());
        let endpoint = KafkaEndpoint::new(agent.handler(), "data", "cluster");
        let records = RecordHandler::new(endpoint, Arc::clone(&produced) as Arc<dyn Producer>);
        let function = KafkaFunction::new(records);
        Self { function, produced, offset: AtomicI64::new(0) }
    }

    async fn call(&self, asked: Asked) -> Value {
        let offset = self.offset.fetch_add(1, Ordering::Relaxed);
        let record = record(&asked, request(&asked), offset);
        let records = BTreeMap::from([("agent.data.requests-0".to_owned(), vec![record])]);
        let json =
            event::write(Cluster { arn: None, bootstrap_servers: "localhost:9092" }, &records)
                .unwrap();
        let event = serde_json::from_slice(&json).unwrap();
        assert_eq!(self.function.handle(event, None).await, BatchResponse::default());
        let answers = std::mem::take(&mut *self.produced.0.lock().unwrap());
        read(&asked, &answers)
    }
}

/// A producer in memory.
#[derive(Default)]
struct Produced(Mutex<Vec<Answered>>);

impl Producer for Produced {
    fn send(&self, record: Outgoing) -> Acknowledgement {
        self.0.lock().unwrap().push(record.into());
        Box::pin(async { Ok(()) })
    }
}

/// The endpoint, and the offset of its next record.
struct Records {
    endpoint: KafkaEndpoint,
    offset: AtomicI64,
}

impl Records {
    fn of(agent: Agent) -> Self {
        let endpoint = KafkaEndpoint::new(agent.handler(), "data", "cluster");
        Self { endpoint, offset: AtomicI64::new(0) }
    }

    async fn serve(&self, asked: &Asked, value: Vec<u8>) -> Vec<Answered> {
        let record = record(asked, value, self.offset.fetch_add(1, Ordering::Relaxed));
        let mut answers = Vec::new();
        let emit = |answer: Outgoing| answers.push(Answered::from(answer));
        let mut incoming = self.endpoint.read(&Arc::default(), record);
        self.endpoint.serve(&mut incoming, None, emit).await.expect("nothing is unavailable");
        answers
    }
}

/// The step as a JSON-RPC request.
pub(crate) fn request(asked: &Asked) -> Vec<u8> {
    jsonrpc::encode(&jsonrpc::Id::from(&*asked.key), &asked.call).unwrap()
}

/// What travels beside it.
pub(crate) fn headers(asked: &Asked) -> Vec<(String, String)> {
    let mut headers = vec![("a2a-version".to_owned(), asked.version.to_owned())];
    if !asked.extensions.is_empty() {
        headers.push(("a2a-extensions".to_owned(), asked.extensions.to_owned()));
    }
    headers
}

fn record(asked: &Asked, value: Vec<u8>, offset: i64) -> Record {
    Record {
        topic: "agent.data.requests".to_owned(),
        partition: 0,
        offset,
        timestamp: 1_767_225_600_000 + offset,
        broker_time: false,
        key: Some(asked.key.clone().into()),
        value: Some(value.into()),
        headers: headers(asked).into_iter().map(|(name, value)| (name, value.into())).collect(),
    }
}

/// A record that answers, however it came.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) topic: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
}

impl From<Outgoing> for Answered {
    fn from(outgoing: Outgoing) -> Self {
        let text = |value: bytes::Bytes| String::from_utf8(value.to_vec()).unwrap();
        let headers = outgoing.headers.into_iter();
        let headers = headers.map(|(name, value)| (name.into_owned(), text(value)));
        Self {
            topic: outgoing.topic,
            key: outgoing.key.map(Into::into),
            value: outgoing.value,
            headers: headers.collect(),
        }
    }
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// Whether nothing follows it in its stream.
    pub(crate) fn is_last(&self) -> bool {
        self.header("a2a-last") == Some("true")
    }

    fn check(&self, asked: &Asked) {
        assert_eq!(self.topic, "agent.data.responses");
        assert_eq!(self.key.as_deref(), Some(asked.key.as_bytes()));
        assert_eq!(self.header("a2a-version"), Some("1.0"));
    }
}

/// Reads the answers to a JSON-RPC request. A stream's last one says that it is, whatever it holds.
pub(crate) fn read(asked: &Asked, answers: &[Answered]) -> Value {
    let items = answers.iter().map(|answer| {
        answer.check(asked);
        let response: Value = serde_json::from_slice(&answer.value).unwrap();
        assert_eq!((&response["jsonrpc"], &response["id"]), (&json!("2.0"), &json!(asked.key)));
        match response.get("error") {
            Some(error) => super::jsonrpc_error(error),
            None => response["result"].clone(),
        }
    });
    let mut items: Vec<Value> = items.collect();
    if !asked.call.is_streaming() {
        assert_eq!(items.len(), 1, "a call that is no stream has one answer");
        return items.remove(0);
    }
    let lasts: Vec<bool> = answers.iter().map(Answered::is_last).collect();
    let expected: Vec<bool> = (1..=answers.len()).map(|at| at == answers.len()).collect();
    assert_eq!(lasts, expected, "the last of a stream's answers says so, and no other does");
    super::stream(items)
}
