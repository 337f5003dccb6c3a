//! `KAFKA-BINDING.md`, held against the code: its examples are executed by the agent that the runner
//! serves, its tables are complete.
//!
//! A fenced block `request` is a record for the endpoint, and the blocks `answer` behind it are
//! exactly what comes of it: the topic and the key, the headers, an empty line, the value. With
//! `UPDATE_GOLDEN` set the answers are written into the document instead.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use a2a_core::{
    DefaultRequestHandler, Env, ErrorKind, Limits, MemoryStore, Timestamp,
    kafka::{KafkaEndpoint, Outgoing},
    wire::{
        kafka::{BINDING, Record, header},
        status,
    },
};
use bytes::Bytes;
use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/KAFKA-BINDING.md");

fn document() -> String {
    std::fs::read_to_string(FILE).unwrap()
}

/// Its clock and its ids are the same at each run.
fn endpoint() -> KafkaEndpoint {
    let noon = "2026-01-31T12:00:00Z".parse::<Timestamp>().unwrap();
    let time = AtomicI64::new(noon.as_millis());
    let now = move || Timestamp::from_millis(time.fetch_add(1, Ordering::SeqCst));
    let ids = AtomicU64::new(1);
    let id = move || {
        let number = ids.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &number)
    };
    let store = Arc::<MemoryStore>::default();
    let executor = Arc::new(a2a_agent::DataAnalysisExecutor::from_sample());
    let handler = DefaultRequestHandler::new(a2a_agent::card(), executor, store);
    KafkaEndpoint::new(handler.with_env(Env::new(now, id)), "data", "")
        .with_reply_topics("clients.*".parse().unwrap())
}

/// A fenced block: where its text begins and ends, and what is in it.
struct Block<'a> {
    kind: &'a str,
    start: usize,
    text: &'a str,
}

fn blocks(document: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = document;
    while let Some(at) = rest.find("```") {
        let (kind, body) = rest[at + 3..].split_once('\n').unwrap();
        let end = body.find("```").unwrap();
        let start = document.len() - body.len();
        blocks.push(Block { kind, start, text: &body[..end] });
        rest = &body[end + 3..];
    }
    blocks
}

/// A record as a block shows it: topic, key, headers and value.
#[derive(Debug, PartialEq)]
struct Shown {
    topic: String,
    key: Option<String>,
    headers: Vec<(String, String)>,
    value: String,
}

impl Shown {
    fn read(text: &str) -> Self {
        let (head, value) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let mut lines = head.lines();
        let mut words = lines.next().unwrap().splitn(2, ' ');
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        Self {
            topic: words.next().unwrap().to_owned(),
            key: words.next().map(str::to_owned),
            headers: headers.map(|(name, it)| (name.to_owned(), it.to_owned())).collect(),
            value: value.trim().to_owned(),
        }
    }

    fn of(outgoing: &Outgoing) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = outgoing.headers.iter();
        Self {
            topic: outgoing.topic.clone(),
            key: outgoing.key.as_deref().map(text),
            headers: headers.map(|(name, it)| (name.clone().into_owned(), text(it))).collect(),
            value: text(&outgoing.value),
        }
    }

    fn record(&self, offset: i64) -> Record {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let headers = self.headers.iter().map(|(name, value)| (name.clone(), bytes(value)));
        Record {
            topic: self.topic.clone(),
            partition: 0,
            offset,
            timestamp: 1_769_860_800_000 + offset,
            broker_time: false,
            key: self.key.as_deref().map(bytes),
            value: (!self.value.is_empty()).then(|| bytes(&self.value)),
            headers: headers.collect(),
        }
    }

    /// The same with its value as JSON, however that is written.
    fn compared(mut self) -> (Self, Value) {
        let text = std::mem::take(&mut self.value);
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (self, value)
    }

    fn written(&self) -> String {
        let mut text = self.topic.clone();
        let _ = self.key.iter().try_for_each(|key| write!(text, " {key}"));
        for (name, value) in &self.headers {
            let _ = write!(text, "\n{name}: {value}");
        }
        format!("{text}\n\n{}\n", folded(&self.value))
    }
}

/// JSON in lines that are not too long, broken behind commas.
fn folded(json: &str) -> String {
    let (mut out, mut column, mut quoted, mut escaped) = (String::new(), 0, false, false);
    for character in json.chars() {
        out.push(character);
        column += 1;
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        if character == ',' && !quoted && column > 80 {
            out.push_str("\n ");
            column = 1;
        }
    }
    out
}

async fn served(endpoint: &KafkaEndpoint, record: &Record) -> Vec<Shown> {
    let mut answers = Vec::new();
    let emit = |answer: Outgoing| answers.push(Shown::of(&answer));
    let mut incoming = endpoint.read(&Arc::default(), record.clone());
    endpoint.serve(&mut incoming, None, emit).await.unwrap();
    answers
}

#[tokio::test(start_paused = true)]
async fn its_examples_are_true() {
    let document = document();
    let endpoint = endpoint();
    let mut written = String::new();
    let (mut copied, mut examples) = (0, 0);
    let blocks = blocks(&document);
    let mut blocks = blocks.iter().peekable();
    while let Some(block) = blocks.next() {
        assert_ne!(block.kind, "answer", "to no request: {}", block.text);
        if block.kind != "request" {
            continue;
        }
        examples += 1;
        let request = Shown::read(block.text);
        let actual = served(&endpoint, &request.record(examples)).await;
        let mut shown = Vec::new();
        let begins = block.start + block.text.len() + "```\n".len();
        let mut ends = begins;
        while let Some(answer) = blocks.next_if(|block| block.kind == "answer") {
            shown.push(Shown::read(answer.text));
            ends = answer.start + answer.text.len() + "```\n".len();
        }
        written += &document[copied..begins];
        copied = ends;
        for answer in &actual {
            let _ = write!(written, "\n```answer\n{}```\n", answer.written());
        }
        if std::env::var_os("UPDATE_GOLDEN").is_none() {
            let compared =
                |all: Vec<Shown>| all.into_iter().map(Shown::compared).collect::<Vec<_>>();
            assert_eq!(compared(shown), compared(actual), "{}", block.text);
        }
    }
    written += &document[copied..];
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(FILE, written).unwrap();
    }
    assert!(examples > 20, "{examples}");
}

#[test]
fn it_has_an_example_of_every_operation() {
    let document = document();
    let blocks = blocks(&document);
    for method in [
        "SendMessage",
        "SendStreamingMessage",
        "GetTask",
        "ListTasks",
        "CancelTask",
        "SubscribeToTask",
        "CreateTaskPushNotificationConfig",
        "GetTaskPushNotificationConfig",
        "ListTaskPushNotificationConfigs",
        "DeleteTaskPushNotificationConfig",
        "GetExtendedAgentCard",
    ] {
        assert!(document.contains(&format!("| `{method}` |")), "{method} is not in the table");
        let quoted = format!("\"method\":\"{method}\"");
        let asked = |block: &Block| block.kind == "request" && block.text.contains(&quoted);
        assert!(blocks.iter().any(asked), "{method} has no example");
    }
}

#[test]
fn its_tables_are_complete() {
    let document = document();
    for name in [
        header::VERSION,
        header::EXTENSIONS,
        header::IDEMPOTENCY_KEY,
        header::REPLY_TO,
        header::DEADLINE,
        header::LAST_EVENT_ID,
        header::AUTHORIZATION,
        header::TRACEPARENT,
        header::TRACESTATE,
        header::CONTENT_TYPE,
        header::EVENT_ID,
        header::LAST,
        header::RESTART,
        header::WWW_AUTHENTICATE,
        header::ERROR,
        header::ERROR_REASON,
        header::ERROR_TOPIC,
        header::ERROR_PARTITION,
        header::ERROR_OFFSET,
        header::ERROR_TIMESTAMP,
        header::ERROR_ATTEMPTS,
    ] {
        assert!(document.contains(&format!("| `{name}` |")), "{name} is in no table");
    }
    use ErrorKind as Kind;
    for kind in [
        Kind::TaskNotFound,
        Kind::TaskNotCancelable,
        Kind::PushNotificationNotSupported,
        Kind::UnsupportedOperation,
        Kind::ContentTypeNotSupported,
        Kind::InvalidAgentResponse,
        Kind::ExtendedAgentCardNotConfigured,
        Kind::ExtensionSupportRequired,
        Kind::VersionNotSupported,
        Kind::Parse,
        Kind::InvalidRequest,
        Kind::MethodNotFound,
        Kind::InvalidParams,
        Kind::TooLarge,
        Kind::Unauthenticated,
        Kind::PermissionDenied,
        Kind::Unavailable,
        Kind::DeadlineExceeded,
        Kind::Internal,
    ] {
        let status::Status { jsonrpc, reason, .. } = status::of(kind);
        let row = format!("| {jsonrpc} | `{reason}` |");
        assert!(document.contains(&row), "{kind:?} is not in the table: {row}");
    }
    let facts = [
        &format!("1 to {} bytes", Limits::CORRELATION_KEY),
        &format!("at most {} headers", Limits::HEADERS),
        "up to 1,024 bytes",
        "at most 8,192 bytes",
        "65,536\nbytes",
    ];
    let bytes = (Limits::REQUEST_ID, Limits::HEADER_BYTES, Limits::HEADERS_BYTES);
    assert_eq!(bytes, (1024, 8192, 65_536));
    for fact in facts.into_iter().chain([BINDING, "kafka://"]) {
        assert!(document.contains(fact), "{fact}");
    }
    // It stands alone.
    for word in ["a2a-serverless", "core/", "tests/", ".rs", "cargo"] {
        assert!(!document.contains(word), "{word}");
    }
}
