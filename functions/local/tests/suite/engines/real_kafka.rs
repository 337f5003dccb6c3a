//! The runner on a real Apache Kafka: `cargo xtask test` starts one and names it in
//! `A2A_TEST_KAFKA`.
//!
//! Each test has topics of its own, which the runner makes.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use a2a_core::{
    Cursor, IdempotencyKey,
    kafka::{KafkaEndpoint, Topics},
};
use a2a_kafka::{KafkaProducer, RecordHandler};
use a2a_local::{
    broker,
    consumer::Source,
    kafka::{self, Work},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    agents::Agent,
    kafka_client::{KafkaClient, Received},
    process::{Process, http},
};

const TERRAN: &str = "Terran win rate 58% (58 of 100)";

/// How long all answers of a test may take: a dead runner's partitions are free after 6 seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn brokers() -> String {
    std::env::var("A2A_TEST_KAFKA").expect("run `cargo xtask test`, which starts Kafka")
}

/// A name whose topics are unused.
pub(super) fn new_name(test: &str) -> String {
    format!("{test}-{}", uuid::Uuid::new_v4().simple())
}

/// A runner, once it has said where everything is.
pub(super) fn start(name: &str, more: &[&str]) -> Process {
    let brokers = brokers();
    let arguments = ["--port", "0", "--kafka", &brokers, "--name", name];
    let mut runner = Process::start(&[&arguments, more].concat(), &[]);
    runner.printed(" -C ");
    runner
}

pub(super) fn client(name: &str) -> KafkaClient {
    KafkaClient::connect(&brokers(), name)
}

pub(super) fn question() -> Value {
    json!({ "message": { "text": "Terran win rate" } })
}

/// Every answer by key, once each of these keys has one.
pub(super) async fn answers(
    client: &KafkaClient,
    keys: &[String],
) -> BTreeMap<String, Vec<Received>> {
    let mut found: BTreeMap<String, Vec<Received>> = BTreeMap::new();
    add_answers(client, keys, &mut found).await;
    found
}

async fn add_answers(
    client: &KafkaClient,
    keys: &[String],
    found: &mut BTreeMap<String, Vec<Received>>,
) {
    let began = Instant::now();
    let mut missing: HashSet<&str> =
        keys.iter().map(String::as_str).filter(|key| !found.contains_key(*key)).collect();
    while !missing.is_empty() {
        let left = PATIENCE.saturating_sub(began.elapsed());
        let Some(answer) = client.next_within(left).await else {
            panic!("{} of {} keys have no answer: {missing:?}", missing.len(), keys.len());
        };
        missing.remove(answer.key());
        found.entry(answer.key().to_owned()).or_default().push(answer);
    }
}

/// Asks the question under each key.
async fn ask_all(client: &KafkaClient, keys: &[String]) {
    let question = question();
    join_all(keys.iter().map(|key| client.ask(key, &question))).await;
}

fn keys(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{prefix}-{index}")).collect()
}

pub(super) fn is_terran(task: &Value) -> bool {
    task["status"]["state"] == "TASK_STATE_COMPLETED"
        && task["artifacts"][1]["parts"][0]["text"] == TERRAN
}

#[tokio::test]
async fn the_briefs_exchange() {
    let name = new_name("brief");
    let mut runner = start(&name, &["--partitions", "2"]);
    let client = client(&name);
    let Topics { requests, responses, dead_letter } = client.topics().clone();
    for topic in [requests, responses, dead_letter] {
        assert_eq!(client.partitions(&topic), [0, 1], "{topic}");
    }
    client.ask("corr-1", &json!({ "message": { "text": "tell me the win rate" } })).await;
    let first = client.next().await;
    let task = first.json();
    assert_eq!(
        (first.key(), &task["status"]["state"]),
        ("corr-1", &json!("TASK_STATE_INPUT_REQUIRED"))
    );
    let second =
        json!({ "params": { "message": { "text": "Terran" }, "context_id": task["contextId"] } });
    client.ask("corr-2", &second).await;
    let second = client.next().await;
    assert_eq!(second.key(), "corr-2");
    assert!(is_terran(&second.json()), "{}", second.json());
    assert_eq!(second.json()["contextId"], task["contextId"]);
    assert_ne!(second.json()["id"], task["id"]);
    // Looked up later, over HTTP: the same store.
    let path = format!("/tasks/{}", second.json()["id"].as_str().unwrap());
    assert_eq!(http(&runner.address(), "GET", &path, &[], "").json(), second.json());
}

#[tokio::test]
async fn a_stream_is_one_record_per_event() {
    let name = new_name("stream");
    let _runner = start(&name, &[]);
    let client = client(&name);
    let request = json!({ "jsonrpc": "2.0", "id": 7, "method": "SendStreamingMessage", "params": {
        "message": { "messageId": "1", "role": "ROLE_USER", "parts": [{ "text": "Terran win rate" }] },
    } });
    client.ask("stream-1", &request).await;
    let mut events: Vec<Received> = Vec::new();
    while !events.last().is_some_and(|event| event.record.is_last()) {
        events.push(client.next().await);
    }
    let kinds: Vec<String> = events
        .iter()
        .map(|event| {
            let response = event.json();
            assert_eq!((event.key(), &response["id"]), ("stream-1", &json!(7)));
            response["result"].as_object().unwrap().keys().next().unwrap().clone()
        })
        .collect();
    let expected = ["task", "statusUpdate", "artifactUpdate", "artifactUpdate", "statusUpdate"];
    assert_eq!(kinds, expected);
    // In one partition, one after another; the same order as the journal's.
    let offsets: Vec<i64> = events.iter().map(|event| event.position.offset).collect();
    assert!(
        offsets.is_sorted()
            && events.iter().all(|it| it.position.partition == events[0].position.partition)
    );
    let cursor = |event: &Received| event.record.header("a2a-event-id").unwrap().parse().unwrap();
    let cursors: Vec<Cursor> = events.iter().map(cursor).collect();
    assert!(cursors.is_sorted_by(|before, after| before < after), "{cursors:?}");
    assert!(!events[..4].iter().any(|event| event.record.is_last()));
}

#[tokio::test]
async fn bad_records_are_answered_and_harm_no_other() {
    let name = new_name("poison");
    let _runner = start(&name, &[]);
    let client = client(&name);
    let good = question().to_string();
    let unknown = r#"{"jsonrpc":"2.0","id":1,"method":"Nonsense"}"#;
    let large = format!("{good}{}", " ".repeat(900_000 - good.len()));
    let long_key = "k".repeat(1025);
    // All in one partition, so that each stands before a good one.
    let records: [(Option<&str>, Option<&[u8]>); 19] = [
        (Some("good-0"), Some(good.as_bytes())),
        (None, Some(good.as_bytes())),
        (Some("good-1"), Some(good.as_bytes())),
        (Some("tombstone"), None),
        (Some("good-2"), Some(good.as_bytes())),
        (Some("garbage"), Some(b"\xff\xfe not json")),
        (Some("list"), Some(b"[]")),
        (Some("unknown"), Some(unknown.as_bytes())),
        (Some("nothing"), Some(b"{}")),
        (Some("broken"), Some(b"{")),
        (Some("good-3"), Some(large.as_bytes())),
        (Some(&long_key), Some(good.as_bytes())),
        (Some("a2a-last"), Some(good.as_bytes())),
        (Some("a2a-event-id"), Some(good.as_bytes())),
        (Some("a2a-deadline"), Some(good.as_bytes())),
        (Some("a2a-reply-to"), Some(good.as_bytes())),
        (Some("a2a-version"), Some(good.as_bytes())),
        (Some("content-type"), Some(good.as_bytes())),
        (Some("good-4"), Some(good.as_bytes())),
    ];
    let sent = records.iter().map(|(key, value)| {
        // A header that makes it bad has the key's name.
        let headers: Vec<(String, String)> = key
            .filter(|key| key.starts_with("a2a-") || *key == "content-type")
            .map(|key| vec![(key.to_owned(), "1".to_owned())])
            .unwrap_or_default();
        let client = &client;
        async move { client.send_to(Some(1), key.map(str::as_bytes), *value, &headers).await }
    });
    join_all(sent).await;
    let mut found = BTreeMap::new();
    while found.len() < records.len() {
        let answer = client.next().await;
        let key = answer.record.key.is_some().then(|| answer.key().to_owned());
        assert!(found.insert(key, answer).is_none(), "each is answered once");
    }
    for (key, answer) in &found {
        let good = key.as_deref().is_some_and(|key| key.starts_with("good-"));
        assert_eq!(is_terran(&answer.json()), good, "{key:?}: {}", answer.json());
        let topics = client.topics();
        let topic = if key.is_some() { &topics.responses } else { &topics.dead_letter };
        assert_eq!(&answer.record.topic, topic, "{key:?}");
    }
    let code = |key: &str| found[&Some(key.to_owned())].json()["error"]["code"].clone();
    for (key, expected) in [
        ("tombstone", -32600),
        ("garbage", -32700),
        ("list", -32600),
        ("unknown", -32601),
        ("nothing", -32600),
        ("broken", -32700),
        (&long_key[..1024], -32600),
        ("a2a-last", -32600),
        ("a2a-event-id", -32600),
        ("a2a-deadline", -32053),
        ("a2a-reply-to", -32051),
        ("a2a-version", -32009),
        ("content-type", -32005),
    ] {
        assert_eq!(code(key), expected, "{key}");
    }
    let letter = &found[&None];
    assert_eq!(letter.json(), question(), "as it came");
    assert_eq!(letter.record.header("a2a-error-reason"), Some("INVALID_REQUEST"));
}

#[tokio::test]
async fn a_runner_killed_amid_its_work_loses_nothing() {
    const REQUESTS: usize = 300;
    let name = new_name("killed");
    // Few at once, so that it is killed in the middle of them.
    let few = ["--concurrency", "3"];
    let runner = start(&name, &few);
    let client = client(&name);
    let keys = keys("key", REQUESTS);
    ask_all(&client, &keys[..1]).await;
    let mut found = answers(&client, &keys[..1]).await;
    let ((), seen) = tokio::join!(ask_all(&client, &keys[1..]), async {
        let seen = client.next().await;
        runner.signal("KILL");
        seen
    });
    let ended = runner.ended();
    assert_eq!(ended.code, None, "killed: {ended:?}");
    let answered = client.records(&client.topics().responses);
    assert!((2..REQUESTS as i64).contains(&answered), "killed after {answered} of {REQUESTS}");
    found.entry(seen.key().to_owned()).or_default().push(seen);

    let _again = start(&name, &few);
    add_answers(&client, &keys, &mut found).await;
    for (key, answers) in &found {
        // A record's task has the same id at each delivery, also to a runner that knows nothing of
        // the first.
        let ids: HashSet<String> = answers.iter().map(|it| it.json()["id"].to_string()).collect();
        assert_eq!(ids.len(), 1, "{key}: {ids:?}");
        assert!(answers.iter().all(|answer| is_terran(&answer.json())), "{key}");
    }
}

#[tokio::test]
async fn a_runner_that_ends_well_repeats_nothing() {
    let name = new_name("ended");
    let mut runner = start(&name, &[]);
    let client = client(&name);
    let before = keys("before", 60);
    ask_all(&client, &before).await;
    runner.signal("INT");
    runner.logged("Finishing what is in flight");
    assert_eq!(runner.ended().code, Some(0));

    let _again = start(&name, &[]);
    let after = keys("after", 60);
    ask_all(&client, &after).await;
    let all = [before, after].concat();
    let found = answers(&client, &all).await;
    assert!(found.values().all(|answers| is_terran(&answers[0].json())));
    assert_eq!(client.records(&client.topics().responses), all.len() as i64, "once each");
}

#[tokio::test]
async fn a_record_delivered_twice_is_answered_twice_the_same() {
    let name = new_name("twice");
    let topics = Topics::of(&name);
    broker::create_topics(&brokers(), &topics, 3).await.unwrap();
    let endpoint = KafkaEndpoint::new(Agent::Data.handler(), &name, "");
    let producer = KafkaProducer::new(&brokers()).unwrap();
    let records = RecordHandler::new(endpoint, Arc::new(producer));
    let client = client(&name);
    let keys = keys("key", 30);
    let question = question();
    let positions = join_all(keys.iter().map(|key| client.ask(key, &question))).await;
    let mut first: BTreeMap<String, Vec<Received>> = BTreeMap::new();
    // Each group begins at the beginning: the one handler is given every record twice.
    for group in ["one", "two"] {
        let source = Source {
            brokers: brokers(),
            topic: topics.requests.clone(),
            group: Some(format!("{name}-{group}")),
            fetch_wait: Duration::from_millis(500),
        };
        let stop = CancellationToken::new();
        let consuming = kafka::consume(source, records.clone(), Work::default(), stop.clone());
        let consuming = tokio::spawn(consuming);
        let found = answers(&client, &keys).await;
        stop.cancel();
        consuming.await.unwrap().unwrap();
        for ((key, answers), earlier) in
            found.iter().zip(first.values().chain(std::iter::repeat(&Vec::new())))
        {
            assert_eq!(answers.len(), 1, "{key}");
            for earlier in earlier {
                assert_eq!(answers[0].record.value, earlier.record.value, "{key}");
                assert_eq!(answers[0].record.headers, earlier.record.headers, "{key}");
            }
        }
        if first.is_empty() {
            first = found;
        }
    }
    for (key, at) in keys.iter().zip(positions) {
        let place = format!("|{}|{}|{}|{}", topics.requests, at.partition, at.offset, at.timestamp);
        assert_eq!(first[key][0].json()["id"], *IdempotencyKey::new(place).id("task"), "{key}");
    }
}

/// A rebalance takes partitions from a runner and gives some back, in the middle of everything: no
/// record is passed over.
#[tokio::test]
async fn nothing_is_lost_when_a_second_runner_joins() {
    let name = new_name("joins");
    let _first = start(&name, &[]);
    let client = client(&name);
    let mut all = keys("before", 9);
    ask_all(&client, &all).await;
    let mut found = answers(&client, &all).await;
    let mut second = start(&name, &[]);
    let address = second.address();
    let began = Instant::now();
    loop {
        let round = keys(&format!("round{}", all.len()), 9);
        ask_all(&client, &round).await;
        all.extend(round);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let page = http(&address, "GET", "/tasks?pageSize=1", &[], "").json();
        if page["totalSize"].as_u64().unwrap() > 0 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the second runner gets no partition");
    }
    add_answers(&client, &all, &mut found).await;
    assert_eq!(found.len(), all.len());
}

#[tokio::test]
async fn two_runners_share_the_partitions() {
    let name = new_name("shared");
    let mut runners = [start(&name, &[]), start(&name, &[])];
    let addresses = runners.each_mut().map(Process::address);
    let client = client(&name);
    let mut all = Vec::new();
    let mut found = BTreeMap::new();
    let began = Instant::now();
    loop {
        let round = keys(&format!("round{}", all.len()), 30);
        ask_all(&client, &round).await;
        all.extend(round);
        add_answers(&client, &all, &mut found).await;
        // Each has the tasks of its own partitions.
        let tasks = addresses.each_ref().map(|address| {
            let page = http(address, "GET", "/tasks?pageSize=1", &[], "").json();
            page["totalSize"].as_u64().unwrap()
        });
        if tasks.iter().all(|&tasks| tasks > 0) {
            assert!(tasks.iter().sum::<u64>() >= all.len() as u64, "{tasks:?} of {}", all.len());
            break;
        }
        assert!(began.elapsed() < PATIENCE, "one does all the work: {tasks:?}");
    }
    assert!(found.values().flatten().all(|answer| is_terran(&answer.json())));
}
