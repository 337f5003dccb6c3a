//! A real topic's records, poured into a function that answers as it is told: `cargo xtask test`
//! starts Kafka and names it in `A2A_TEST_KAFKA`. The function is a small server in the place of
//! `cargo lambda watch`.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use a2a_core::{Timestamp, kafka::Topics};
use a2a_emulator::{
    destination::{Destination, FAILURE},
    event_source::LambdaFunction,
    invoke::{Endpoint, PAYLOAD},
    mapping,
    partition::Delivery,
    start::Start,
};
use a2a_local::{broker, consumer::Source};
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long a broker, or all of a test's deliveries, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A batch window in which all that is there already comes together.
const TOGETHER: Duration = Duration::from_secs(2);

fn brokers() -> String {
    std::env::var("A2A_TEST_KAFKA").expect("run `cargo xtask test`, which starts Kafka")
}

/// One record of an event: its partition, its offset and its value.
type Got = (i64, i64, String);

/// What a function says of an event, knowing those before.
type Say = fn(&[Got], &[Vec<Got>]) -> Answer;

/// A function's answer.
enum Answer {
    /// All is done.
    Done,
    /// This partition is to be redelivered from this offset on.
    Redeliver(i64, i64),
    /// An error, as `cargo lambda watch` has it: a status.
    Status(u16),
    /// An error, as Lambda itself has it: a header.
    Header,
    /// An error, as AWS's container emulator has it: nothing but its shape.
    Shape,
}

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
        assert!(body.len() <= PAYLOAD, "{} bytes", body.len());
        let event: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(event["eventSource"], "aws:kafka");
        let got: Vec<Got> =
            event["records"].as_object().unwrap().values().flat_map(records).collect();
        let mut events = self.events.lock().unwrap();
        let answer = (self.say)(&got, &events);
        events.push(got);
        Ok(self.answer(&answer))
    }

    fn answer(&self, answer: &Answer) -> Response<Full<bytes::Bytes>> {
        let error = json!({ "errorType": "Poison", "errorMessage": "told to" });
        let (status, body) = match answer {
            Answer::Done => (200, json!({ "batchItemFailures": [] })),
            Answer::Redeliver(partition, offset) => {
                let partition = format!("{}-{partition}", self.topic);
                let item = json!({ "partition": partition, "offset": offset });
                (200, json!({ "batchItemFailures": [{ "itemIdentifier": item }] }))
            }
            Answer::Status(status) => (*status, error),
            Answer::Header => (200, json!("failed")),
            Answer::Shape => (200, error),
        };
        let mut response = Response::builder().status(status);
        if matches!(answer, Answer::Header) {
            response = response.header("x-amz-function-error", "Unhandled");
        }
        response.body(Full::from(body.to_string())).unwrap()
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

/// A mapping, and what is poured through it.
struct Case {
    name: &'static str,
    /// Partition, value, and how old it is, in seconds.
    values: Vec<(i32, String, u64)>,
    start: Start,
    window: Duration,
    delivery: Delivery,
    reports: bool,
    say: Say,
    /// Whether what came is all that is awaited.
    complete: fn(&[Vec<Got>]) -> bool,
}

impl Case {
    fn new(name: &'static str, values: &[(i32, &str)], say: Say) -> Self {
        let values = values.iter().map(|(partition, value)| (*partition, (*value).to_owned(), 0));
        let delivery = Delivery {
            together: true,
            bisect: true,
            retries: Some(1),
            payload: Some(PAYLOAD),
            ..Delivery::default()
        };
        Self {
            name,
            values: values.collect(),
            start: Start::TrimHorizon,
            window: TOGETHER,
            delivery,
            reports: true,
            say,
            complete: |events| !events.is_empty(),
        }
    }
}

/// What came of a case.
struct Poured {
    /// The events that the function was given.
    events: Vec<Vec<Got>>,
    /// The offsets committed at the end.
    committed: BTreeMap<i32, i64>,
    /// The on-failure topic's records: value, and the condition.
    given_up: Vec<(String, String)>,
}

/// Puts the values into a new topic and pours them into the function until they are `complete`.
async fn pour(case: Case) -> Poured {
    let name = format!("{}-{}", case.name, uuid::Uuid::new_v4().simple());
    let topics = Topics::of(&name);
    broker::create_topics(&brokers(), &topics, 3).await.unwrap();
    produce(&topics.requests, &case.values).await;
    let told = Told { topic: topics.requests.clone(), events: Arc::default(), say: case.say };
    let source = Source {
        brokers: brokers(),
        topic: topics.requests.clone(),
        group: Some(name.clone()),
        fetch_wait: Duration::from_millis(500),
    };
    let failures = format!("agent.{name}.failures");
    let destination = Destination::open(&source, &failures, 1).await.unwrap();
    let url =
        format!("http://{}/2015-03-31/functions/told/invocations", told.clone().serve().await);
    let endpoint = Endpoint::at(&url, PATIENCE).unwrap();
    let function = LambdaFunction {
        name: "told".into(),
        endpoint,
        reports: case.reports,
        destination: Some(destination),
    };
    case.start.prepare(&source.brokers, &source.topic, &name).await.unwrap();
    if case.start == Start::Latest {
        produce(&topics.requests, &[(0, "after".to_owned(), 0)]).await;
    }
    let stop = CancellationToken::new();
    let pouring = tokio::spawn(mapping::deliver(
        source,
        Delivery { batch_size: 100, window: case.window, ..case.delivery },
        function,
        stop.clone(),
    ));
    let waiting = async {
        while !(case.complete)(&told.events.lock().unwrap()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    stop.cancel();
    pouring.await.unwrap().unwrap();
    let events = told.events.lock().unwrap().clone();
    waited.unwrap_or_else(|_| panic!("not all came: {events:?}"));
    let committed = committed(&name, &topics.requests);
    Poured { events, committed, given_up: given_up(&failures) }
}

async fn produce(topic: &str, values: &[(i32, String, u64)]) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    let now = a2a_core::Env::system().now().as_millis();
    for (partition, value, age) in values {
        let record = FutureRecord::<(), str>::to(topic).payload(value).partition(*partition);
        let record = record.timestamp(now - i64::try_from(age * 1000).unwrap());
        producer.send(record, PATIENCE).await.unwrap();
    }
}

/// Everything in a topic of one partition.
fn given_up(topic: &str) -> Vec<(String, String)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("group.id", "nobody");
    let consumer: BaseConsumer = config.create().unwrap();
    let (first, end) = consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap();
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&all).unwrap();
    let one = |_| {
        let message = consumer.poll(PATIENCE).unwrap().unwrap();
        let headers = message.headers().unwrap();
        let failure = headers.iter().find(|header| header.key == FAILURE).unwrap();
        let failure: Value = serde_json::from_slice(failure.value.unwrap()).unwrap();
        let condition = failure["requestContext"]["condition"].as_str().unwrap().to_owned();
        (String::from_utf8(message.payload().unwrap().to_vec()).unwrap(), condition)
    };
    (first..end).map(one).collect()
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

fn saw(events: &[Vec<Got>], value: &str) -> bool {
    events.iter().flatten().any(|(_, _, seen)| seen == value)
}

fn values(event: &[Got]) -> Vec<&str> {
    event.iter().map(|(_, _, value)| value.as_str()).collect()
}

#[tokio::test]
async fn partitions_share_an_event_and_offsets_follow_the_answer() {
    let values = [(0, "a"), (0, "b"), (1, "c"), (2, "d"), (2, "e")];
    let mut case = Case::new("share", &values, |_, _| Answer::Done);
    case.complete = |events| ["b", "c", "e"].iter().all(|value| saw(events, value));
    let poured = pour(case).await;
    assert_eq!(poured.events.len(), 1, "{:?}", poured.events);
    assert_eq!(poured.committed, BTreeMap::from([(0, 2), (1, 1), (2, 2)]));
}

/// Names the record that is not done at first.
fn not_yet(got: &[Got], before: &[Vec<Got>]) -> Answer {
    match got.iter().find(|(_, _, value)| value == "not yet" && before.is_empty()) {
        Some((partition, offset, _)) => Answer::Redeliver(*partition, *offset),
        None => Answer::Done,
    }
}

#[tokio::test]
async fn what_the_function_names_is_redelivered_and_nothing_else() {
    let mut case = Case::new("again", &[(0, "a"), (0, "not yet"), (0, "b"), (1, "c")], not_yet);
    case.complete = |events| events.len() >= 2;
    let Poured { events, committed, .. } = pour(case).await;
    assert_eq!((events[0].len(), values(&events[1])), (4, vec!["not yet", "b"]), "{events:?}");
    assert_eq!(committed, BTreeMap::from([(0, 3), (1, 1)]));
}

#[tokio::test]
async fn without_reports_any_answer_that_is_no_error_is_success() {
    let mut case = Case::new("mute", &[(0, "a"), (0, "not yet"), (0, "b")], not_yet);
    case.reports = false;
    case.complete = |events| saw(events, "b");
    let poured = pour(case).await;
    assert_eq!(poured.events.len(), 1, "{:?}", poured.events);
    assert_eq!(poured.committed, BTreeMap::from([(0, 3)]));
}

#[tokio::test]
async fn poison_is_found_by_halving_and_goes_to_the_on_failure_topic() {
    let says: [(&str, Say); 3] = [
        ("status", |got, _| if is_poisoned(got) { Answer::Status(500) } else { Answer::Done }),
        ("header", |got, _| if is_poisoned(got) { Answer::Header } else { Answer::Done }),
        ("shape", |got, _| if is_poisoned(got) { Answer::Shape } else { Answer::Done }),
    ];
    for (name, say) in says {
        let all = [(0, "a"), (0, "b"), (0, "poison"), (0, "c"), (1, "d")];
        let mut case = Case::new(name, &all, say);
        case.window = Duration::ZERO;
        case.complete = |events| {
            let alone = |value: &str| events.iter().any(|event| values(event) == [value]);
            alone("poison") && alone("c")
        };
        let Poured { events, committed, given_up } = pour(case).await;
        for value in ["a", "b", "c", "d"] {
            let good =
                events.iter().filter(|event| !is_poisoned(event) && values(event).contains(&value));
            assert_eq!(good.count(), 1, "{name}: {value} is done once: {events:?}");
        }
        let alone = events.iter().filter(|event| values(event) == ["poison"]);
        assert_eq!(alone.count(), 2, "{name}: once, and one retry: {events:?}");
        assert_eq!(committed, BTreeMap::from([(0, 4), (1, 1)]), "{name}");
        let expected = ("poison".to_owned(), "RetryAttemptsExhausted".to_owned());
        assert_eq!(given_up, [expected], "{name}");
    }
}

fn is_poisoned(got: &[Got]) -> bool {
    values(got).contains(&"poison")
}

#[tokio::test]
async fn what_is_too_old_is_passed_over_unseen() {
    let mut case = Case::new("age", &[(0, "old"), (0, "older"), (0, "young")], |_, _| Answer::Done);
    case.delivery.age = Some(Duration::from_secs(600));
    (case.values[0].2, case.values[1].2) = (700, 7000);
    let Poured { events, committed, given_up } = pour(case).await;
    assert_eq!(events.iter().flat_map(|event| values(event)).collect::<Vec<_>>(), ["young"]);
    assert_eq!(committed, BTreeMap::from([(0, 3)]));
    let of_age = |value: &str| (value.to_owned(), "RecordAgeExceeded".to_owned());
    assert_eq!(given_up, ["old", "older"].map(of_age));
}

#[tokio::test]
async fn a_mapping_begins_where_it_is_told() {
    let ago = |seconds: i64| {
        let now = a2a_core::Env::system().now().as_millis();
        Start::At(Timestamp::from_millis(now - seconds * 1000))
    };
    let starts: [(Start, &[&str]); 4] = [
        (Start::TrimHorizon, &["first", "second"]),
        (Start::Latest, &["after"]),
        (ago(500), &["second"]),
        (ago(5000), &["first", "second"]),
    ];
    for (start, expected) in starts {
        let mut case = Case::new("start", &[(0, "first"), (0, "second")], |_, _| Answer::Done);
        (case.values[0].2, case.values[1].2) = (1000, 100);
        case.start = start;
        let poured = pour(case).await;
        let all: Vec<&str> = poured.events.iter().flat_map(|event| values(event)).collect();
        assert_eq!(all, expected, "{start:?}");
    }
}

#[tokio::test]
async fn an_event_holds_no_more_than_lambda_takes() {
    // Five of them, in base64, are over 6 MB.
    let large = "x".repeat(950_000);
    let all: Vec<(i32, &str)> = (0..6).map(|index| (index % 3, &*large)).collect();
    let mut case = Case::new("large", &all, |_, _| Answer::Done);
    // Long: what fills an event does not wait for it.
    case.window = PATIENCE / 3;
    case.complete = |events| events.iter().flatten().count() == 6;
    let Poured { events, committed, .. } = pour(case).await;
    assert!(events.len() > 1, "{} events", events.len());
    assert_eq!(committed, BTreeMap::from([(0, 2), (1, 2), (2, 2)]));
}

#[tokio::test]
async fn failures_do_not_go_back_to_where_they_are_from() {
    let source = Source { topic: "t".to_owned(), ..Source::default() };
    let said = Destination::open(&source, "t", 1).await.err().unwrap();
    assert_eq!(said, "What fails in t cannot go back to it: it would fail again, for ever.");
}
