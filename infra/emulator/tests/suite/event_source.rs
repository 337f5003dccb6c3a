//! A real topic's records, poured into a function that answers as it is told: `cargo xtask test`
//! starts Kafka and names it in `A2A_TEST_KAFKA`. The function is a small server in the place of
//! `cargo lambda watch`.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use a2a_core::kafka::Topics;
use a2a_emulator::event_source::WatchedFunction;
use a2a_local::{broker, consumer::Source, kafka, lane::Delivery};
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long a broker, or all of a test's deliveries, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough for a batch that what is there already comes together.
const TOGETHER: Duration = Duration::from_secs(2);

fn brokers() -> String {
    std::env::var("A2A_TEST_KAFKA").expect("run `cargo xtask test`, which starts Kafka")
}

/// One record of an event: its partition, its offset and its value.
type Got = (i64, i64, String);

/// What a function says of an event, knowing those before: a status, and the partition and offset
/// that is to come again.
type Say = fn(&[Got], &[Vec<Got>]) -> (u16, Option<(i64, i64)>);

/// A function: what it was given, event by event, and what it says of each.
#[derive(Clone)]
struct Told {
    topic: String,
    events: Arc<Mutex<Vec<Vec<Got>>>>,
    say: Say,
}

impl Told {
    async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let told = self.clone();
                let service = service_fn(move |request| told.clone().take(request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                tokio::spawn(async move { connection.await.unwrap() });
            }
        });
        address
    }

    async fn take(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
        assert_eq!(request.uri().path(), "/2015-03-31/functions/told/invocations");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let event: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(event["eventSource"], "aws:kafka");
        let got: Vec<Got> =
            event["records"].as_object().unwrap().values().flat_map(records).collect();
        let mut events = self.events.lock().unwrap();
        let (status, again) = (self.say)(&got, &events);
        events.push(got);
        let item = |(partition, offset)| {
            json!({ "itemIdentifier":
            { "partition": format!("{}-{partition}", self.topic), "offset": offset } })
        };
        let answer = json!({ "batchItemFailures": again.map(item).as_slice() });
        Ok(Response::builder().status(status).body(Full::from(answer.to_string())).unwrap())
    }
}

fn records(partition: &Value) -> Vec<Got> {
    let one = |record: &Value| {
        let value = STANDARD.decode(record["value"].as_str().unwrap()).unwrap();
        let number = |name: &str| record[name].as_i64().unwrap();
        (number("partition"), number("offset"), String::from_utf8(value).unwrap())
    };
    partition.as_array().unwrap().iter().map(one).collect()
}

/// Puts these values (partition, value) into a new topic, pours them into that function until
/// `enough`, and answers the events and the offsets committed at the end.
async fn pour(
    name: &str,
    window: Duration,
    values: &[(i32, &str)],
    say: Say,
    enough: fn(&[Vec<Got>]) -> bool,
) -> (Vec<Vec<Got>>, BTreeMap<i32, i64>) {
    let topics = Topics::of(name);
    broker::create_topics(&brokers(), &topics, 3).await.unwrap();
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    for (partition, value) in values {
        let record = FutureRecord::<(), str>::to(&topics.requests).payload(value);
        producer.send(record.partition(*partition), PATIENCE).await.unwrap();
    }
    let told = Told { topic: topics.requests.clone(), events: Arc::default(), say };
    let function = WatchedFunction::new(told.clone().serve().await, "told", PATIENCE);
    let source = Source {
        brokers: brokers(),
        topic: topics.requests.clone(),
        group: Some(name.to_owned()),
        batch_size: 100,
        window,
        fetch_wait: Duration::from_millis(500),
    };
    let delivery = Delivery { together: true, bisect: true, retries: Some(1) };
    let stop = CancellationToken::new();
    let pouring = tokio::spawn(kafka::deliver(source, delivery, function, stop.clone()));
    let waiting = async {
        while !enough(&told.events.lock().unwrap()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    stop.cancel();
    pouring.await.unwrap().unwrap();
    let events = told.events.lock().unwrap().clone();
    waited.unwrap_or_else(|_| panic!("not all came: {events:?}"));
    (events, committed(name, &topics.requests))
}

fn committed(group: &str, topic: &str) -> BTreeMap<i32, i64> {
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer =
        config.set("bootstrap.servers", brokers()).set("group.id", group).create().unwrap();
    let mut all = TopicPartitionList::new();
    all.add_partition_range(topic, 0, 2);
    let all = consumer.committed_offsets(all, PATIENCE).unwrap();
    let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
    let elements = all.elements();
    let known = elements.iter().filter_map(|it| Some((it.partition(), offset(it.offset())?)));
    known.collect()
}

fn new_name(test: &str) -> String {
    format!("{test}-{}", uuid::Uuid::new_v4().simple())
}

fn saw(events: &[Vec<Got>], value: &str) -> bool {
    events.iter().flatten().any(|(_, _, seen)| seen == value)
}

#[tokio::test]
async fn partitions_share_an_event_and_offsets_follow_the_answer() {
    let values = [(0, "a"), (0, "b"), (1, "c"), (2, "d"), (2, "e")];
    let say: Say = |_, _| (200, None);
    let enough = |events: &[Vec<Got>]| ["b", "c", "e"].iter().all(|value| saw(events, value));
    let (events, committed) = pour(&new_name("share"), TOGETHER, &values, say, enough).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(committed, BTreeMap::from([(0, 2), (1, 1), (2, 2)]));
}

#[tokio::test]
async fn what_the_function_names_comes_again_and_nothing_else() {
    let values = [(0, "a"), (0, "not yet"), (0, "b"), (1, "c")];
    let say: Say = |got, before| {
        let waits = got.iter().find(|(_, _, value)| value == "not yet" && before.is_empty());
        (200, waits.map(|(partition, offset, _)| (*partition, *offset)))
    };
    let enough = |events: &[Vec<Got>]| events.len() >= 2;
    let (events, committed) = pour(&new_name("again"), TOGETHER, &values, say, enough).await;
    let second: Vec<&str> = events[1].iter().map(|(_, _, value)| value.as_str()).collect();
    assert_eq!((events[0].len(), second), (4, vec!["not yet", "b"]), "{events:?}");
    assert_eq!(committed, BTreeMap::from([(0, 3), (1, 1)]));
}

#[tokio::test]
async fn poison_is_found_by_halving_and_passed_over() {
    let values = [(0, "a"), (0, "b"), (0, "poison"), (0, "c"), (1, "d")];
    let say: Say = |got, _| {
        let fails = got.iter().any(|(_, _, value)| value == "poison");
        (if fails { 500 } else { 200 }, None)
    };
    let enough = |events: &[Vec<Got>]| {
        let alone =
            |value: &str| events.iter().any(|event| event.len() == 1 && event[0].2 == value);
        alone("poison") && alone("c")
    };
    let (events, committed) = pour(&new_name("poison"), Duration::ZERO, &values, say, enough).await;
    let good = |value: &str| {
        let done = |event: &&Vec<Got>| !event.iter().any(|(_, _, value)| value == "poison");
        let with = events.iter().filter(done).filter(|event| event.iter().any(|it| it.2 == value));
        with.count()
    };
    for value in ["a", "b", "c", "d"] {
        assert_eq!(good(value), 1, "{value} is done once: {events:?}");
    }
    let alone = events.iter().filter(|event| event.len() == 1 && event[0].2 == "poison");
    assert_eq!(alone.count(), 2, "once, and one retry: {events:?}");
    assert_eq!(committed, BTreeMap::from([(0, 4), (1, 1)]));
}
