//! A function with a clock and ids of its own, and a producer that remembers and fails as it is
//! told.

pub(crate) mod proxy;
pub(crate) mod unavailable;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use a2a_agent::{DataAnalysisExecutor, Matches};
use a2a_core::{
    AgentExecutor, DefaultRequestHandler, Env, Limits, MemoryStore, TaskStore, Timestamp,
    kafka::{KafkaEndpoint, Outgoing},
};
use a2a_kafka::{
    Acknowledgement, BatchResponse, Fault, GiveUp, KafkaEvent, KafkaFunction, ProduceError,
    Producer, RecordHandler,
    response::{BatchItemFailure, ItemIdentifier},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;

const NEVER: GiveUp = GiveUp { attempts: None, age: None };

/// A function and what it produced.
pub(crate) struct Function {
    function: KafkaFunction,
    pub(crate) produced: Arc<Produced>,
}

impl Function {
    /// Its clock ticks at each look.
    pub(crate) fn new(agent: impl AgentExecutor) -> Self {
        Self::with(agent, Arc::new(MemoryStore::default()), 1, NEVER)
    }

    /// Its clock stands still.
    pub(crate) fn at_noon(agent: impl AgentExecutor) -> Self {
        Self::with(agent, Arc::new(MemoryStore::default()), 0, NEVER)
    }

    pub(crate) fn with_store(agent: impl AgentExecutor, store: Arc<dyn TaskStore>) -> Self {
        Self::with(agent, store, 1, NEVER)
    }

    /// Its records, see [`record`], are thirty days and twelve hours old.
    pub(crate) fn giving_up(
        agent: impl AgentExecutor,
        store: Arc<dyn TaskStore>,
        give_up: GiveUp,
    ) -> Self {
        Self::with(agent, store, 1, give_up)
    }

    fn with(
        agent: impl AgentExecutor,
        store: Arc<dyn TaskStore>,
        tick: i64,
        give_up: GiveUp,
    ) -> Self {
        let noon = "2026-01-31T12:00:00Z".parse::<Timestamp>().unwrap();
        let time = AtomicI64::new(noon.as_millis());
        let now = move || Timestamp::from_millis(time.fetch_add(tick, Ordering::Relaxed));
        let ids = AtomicU64::new(1);
        let id = move || Uuid::from_u128(ids.fetch_add(1, Ordering::Relaxed).into());
        let mut limits = Limits::default();
        // The outage outlasts any retry.
        limits.append_tries = 3;
        let handler = DefaultRequestHandler::new(a2a_agent::card(), Arc::new(agent), store)
            .with_env(Env::new(now, id))
            .with_limits(limits);
        let produced = Arc::new(Produced::default());
        let endpoint = KafkaEndpoint::new(handler, "data", "cluster")
            .with_reply_topics("clients.*".parse().unwrap());
        let records = RecordHandler::new(endpoint, Arc::clone(&produced) as Arc<dyn Producer>);
        Self { function: KafkaFunction::new(records.give_up_after(give_up)), produced }
    }

    pub(crate) async fn handle(&self, event: KafkaEvent) -> BatchResponse {
        self.function.handle(event, None).await
    }

    /// In an invocation that lasts so long.
    pub(crate) async fn handle_within(&self, event: KafkaEvent, time: Duration) -> BatchResponse {
        self.function.handle(event, Some(Instant::now() + time)).await
    }
}

/// A producer in memory.
#[derive(Default)]
pub(crate) struct Produced {
    records: Mutex<Vec<Outgoing>>,
    failing_keys: Mutex<HashSet<String>>,
    failing_answer: Mutex<Option<usize>>,
    closed_topics: Mutex<HashSet<String>>,
    max_value: Mutex<Option<usize>>,
}

impl Producer for Produced {
    fn send(&self, record: Outgoing) -> Acknowledgement {
        let mut records = self.records.lock().unwrap();
        let failing = *self.failing_answer.lock().unwrap() == Some(records.len());
        let fails = failing || self.failing_keys.lock().unwrap().contains(&text(&record.key));
        let too_large = record.value.len() > self.max_value.lock().unwrap().unwrap_or(usize::MAX);
        let closed = self.closed_topics.lock().unwrap().contains(&record.topic);
        let error = |reason: &str, fault| ProduceError { reason: reason.to_owned(), fault };
        let outcome = match () {
            () if too_large => Err(error("too large", Fault::Record)),
            () if closed => Err(error("there is no such topic", Fault::Topic)),
            () if fails => Err(error("the broker is unavailable", Fault::Broker)),
            () => Ok(()),
        };
        if !too_large && !closed {
            records.push(record);
        }
        Box::pin(async move { outcome })
    }
}

impl Produced {
    /// From now on answers under these keys are not acknowledged.
    pub(crate) fn fail(&self, keys: &[&str]) {
        *self.failing_keys.lock().unwrap() = keys.iter().map(|key| (*key).to_owned()).collect();
    }

    /// The answer of that number, from 0, is not acknowledged.
    pub(crate) fn fail_nth(&self, number: usize) {
        *self.failing_answer.lock().unwrap() = Some(number);
    }

    /// From now on these topics take nothing.
    pub(crate) fn close(&self, topics: &[&str]) {
        *self.closed_topics.lock().unwrap() = topics.iter().map(|it| (*it).to_owned()).collect();
    }

    /// From now on values of more bytes are never taken.
    pub(crate) fn limit(&self, bytes: usize) {
        *self.max_value.lock().unwrap() = Some(bytes);
    }

    /// The keys, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.records.lock().unwrap().iter().map(|record| text(&record.key)).collect()
    }

    /// The records, in order, as JSON.
    pub(crate) fn values(&self) -> Vec<Value> {
        self.records.lock().unwrap().iter().map(written).collect()
    }
}

fn text(key: &Option<bytes::Bytes>) -> String {
    String::from_utf8(key.as_deref().unwrap_or_default().to_vec()).unwrap()
}

fn written(record: &Outgoing) -> Value {
    let headers =
        record.headers.iter().map(|(name, value)| (&**name, String::from_utf8_lossy(value)));
    json!({
        "topic": record.topic,
        "key": record.key.as_ref().map(|_| text(&record.key)),
        "headers": std::collections::BTreeMap::from_iter(headers),
        "value": serde_json::from_slice::<Value>(&record.value)
            .unwrap_or_else(|_| String::from_utf8_lossy(&record.value).into()),
    })
}

/// The brief's agent.
pub(crate) fn data() -> impl AgentExecutor {
    DataAnalysisExecutor::new(Matches::sample().unwrap())
}

/// A record as Lambda delivers it; its topic is its key's first letter, so that no two share a
/// position. A value of `null` is a tombstone.
pub(crate) fn record(offset: usize, key: &str, value: &Value) -> Value {
    let value = (!value.is_null()).then(|| STANDARD.encode(value.to_string()));
    json!({
        "topic": &key[..1], "partition": 0, "offset": offset, "timestamp": 1_767_225_600_000_u64,
        "timestampType": "CREATE_TIME", "key": STANDARD.encode(key), "value": value, "headers": [],
    })
}

/// A record for each key, from offset 0.
pub(crate) fn partition(keys: &[&str], value: impl Fn(&str) -> Value) -> Vec<Value> {
    keys.iter().enumerate().map(|(offset, key)| record(offset, key, &value(key))).collect()
}

/// The response that asks for a redelivery of these.
pub(crate) fn failed(positions: &[(&str, i64)]) -> BatchResponse {
    let failure = |(partition, offset): &(&str, i64)| BatchItemFailure {
        item_identifier: ItemIdentifier { partition: (*partition).to_owned(), offset: *offset },
    };
    BatchResponse { batch_item_failures: positions.iter().map(failure).collect() }
}
