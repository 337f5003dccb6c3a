//! The memory store's count of its bytes, held against the process: a store is filled through the
//! HTTP endpoint in one shape after the other, each in a process of its own, and the process grows by
//! what the store says, within one and a half times, also while it drops.

#![cfg(target_os = "linux")]

use std::{process::Command, sync::Arc, time::Duration};

use a2a_core::{
    AgentError, AgentExecutor, Caller, DefaultRequestHandler, EventQueue, Limits, MemoryStore,
    RequestContext, async_trait, http::HttpEndpoint,
};
use serde_json::{Value, json};

use crate::{
    http::{next_chunk, request, rpc},
    world::card,
};

/// How large the store is that is filled.
const BOUND: usize = 10_000_000;
/// What tells the process of a shape which one it is.
const SHAPE: &str = "A2A_TEST_SHAPE";

/// A number's message, and who sends it how.
struct Sent {
    owner: String,
    method: &'static str,
    params: Value,
    key: Option<String>,
}

fn said(text: &str) -> Sent {
    let message = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]});
    let params = json!({"message": message});
    Sent { owner: "ann".to_owned(), method: "SendMessage", params, key: None }
}

fn with(text: &str, change: impl FnOnce(&mut Value)) -> Sent {
    let mut sent = said(text);
    change(&mut sent.params);
    sent
}

fn long(number: u64, length: usize) -> String {
    format!("{number:0length$}")
}

/// A shape's name, and its messages.
type Shape = (&'static str, fn(u64) -> Sent);

const SHAPES: [Shape; 14] = [
    ("short", |_| said("hi")),
    ("long ids", |number| {
        with("hi", |it| {
            it["tenant"] = json!(long(number, 900));
            it["message"]["contextId"] = json!(long(number, 900));
            it["message"]["messageId"] = json!(long(number, 900));
        })
    }),
    ("long owners", |number| Sent { owner: long(number, 3_000), ..said("hi") }),
    ("keys", |number| Sent { key: Some(long(number, 250)), ..said("hi") }),
    ("chunks", |_| said("chunks")),
    ("text", |_| said(&"x".repeat(60_000))),
    ("raw", |_| with("hi", |it| it["message"]["parts"] = json!([{"raw": "AAAA".repeat(10_000)}]))),
    ("parts", |_| {
        with("hi", |it| it["message"]["parts"] = json!(vec![json!({"text": ""}); 1_000]))
    }),
    ("metadata", |_| {
        with("hi", |it| {
            let metadata = json!({"urn:x": "x".repeat(5_000)});
            it["message"]["parts"][0]["metadata"] = metadata.clone();
            it["message"]["metadata"] = metadata.clone();
            it["metadata"] = metadata;
        })
    }),
    ("lists of ids", |_| {
        with("hi", |it| {
            it["message"]["extensions"] = json!(vec!["urn:x"; 120]);
            it["message"]["referenceTaskIds"] = json!(vec!["t"; 120]);
            it["configuration"]["acceptedOutputModes"] = json!(vec!["text/plain"; 120]);
        })
    }),
    ("replies", |number| Sent { key: Some(long(number, 20)), ..said("reply") }),
    ("waiting", |_| said("ask")),
    ("running", |_| with("hang", |it| it["configuration"]["returnImmediately"] = json!(true))),
    ("followed", |_| Sent { method: "SendStreamingMessage", ..said("auth") }),
];

struct Agent;

#[async_trait]
impl AgentExecutor for Agent {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let text = context.text();
        // What an agent holds while it works is its own: this one holds next to nothing.
        drop(context);
        match &*text {
            "hang" => std::future::pending().await,
            text => Box::pin(answer(text, queue)).await,
        }
    }
}

async fn answer(text: &str, queue: EventQueue) -> Result<(), AgentError> {
    match text {
        "chunks" => {
            for _ in 0..100 {
                queue.append("a", "x").await?;
            }
            queue.complete(()).await?;
        }
        "reply" => queue.reply("hi").await?,
        "ask" => queue.require_input("what?").await?,
        "auth" => queue.require_auth("who?").await?,
        _ => queue.complete("done").await?,
    }
    Ok(())
}

#[test]
fn the_process_grows_by_what_the_store_counts() {
    if let Ok(name) = std::env::var(SHAPE) {
        let (_, shape) = SHAPES.into_iter().find(|(it, _)| *it == name).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.unwrap().block_on(fill(shape));
    }
    let mut wrong = Vec::new();
    for (name, _) in SHAPES {
        let this = ["--exact", "memory_weight::the_process_grows_by_what_the_store_counts"];
        let mut process = Command::new(std::env::current_exe().unwrap());
        let output = process.args(this).arg("--nocapture").env(SHAPE, name).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let figures = printed.lines().filter_map(|line| line.split_once("figures "));
        let figures = Vec::from_iter(figures.map(|(_, it)| it.to_owned()));
        assert!(output.status.success() && figures.len() == 2, "{name}: {printed}");
        for told in figures {
            let (counted, grown) = told.split_once(' ').unwrap();
            let ratio = grown.parse::<f64>().unwrap() / counted.parse::<f64>().unwrap();
            println!("{name}: counted {counted}, grown {grown}, {ratio:.2}");
            if !(1.0 / 1.5..=1.5).contains(&ratio) {
                wrong.push(format!("{name}: counted {counted}, grown {grown}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Fills a store to three quarters, and then sends twice as much again.
async fn fill(shape: fn(u64) -> Sent) {
    let store = || Arc::new(MemoryStore::new(BOUND));
    let endpoint = |store: &Arc<MemoryStore>| {
        let store = Arc::clone(store) as _;
        let handler = DefaultRequestHandler::new(card(), Arc::new(Agent), store);
        // What is refused because the store is full is refused at once.
        let mut limits = Limits::default();
        (limits.call_outage, limits.run_outage) = (Duration::ZERO, Duration::ZERO);
        limits.streams_per_caller = usize::MAX;
        HttpEndpoint::new(handler.with_limits(limits)).unwrap()
    };
    // What the first requests leave behind is no task's.
    let first = endpoint(&store());
    for number in 0..20 {
        drop(send(&first, shape(number)).await);
    }
    let store = store();
    let endpoint = endpoint(&store);
    let (before, mut number, mut open) = (resident(), 0, Vec::new());
    while store.bytes() < BOUND / 4 * 3 {
        open.extend(send(&endpoint, shape(number)).await);
        number += 1;
    }
    println!("figures {} {}", store.bytes(), resident() - before);
    for number in number..number * 3 {
        open.extend(send(&endpoint, shape(number)).await);
    }
    println!("figures {} {}", store.bytes(), resident() - before);
}

/// Sends it; of a stream, what is to be kept so that it stays open.
async fn send(endpoint: &HttpEndpoint, sent: Sent) -> Option<a2a_core::http::Body> {
    let body = rpc(sent.method, &sent.params);
    let keyed = sent.key.iter().map(|key| ("idempotency-key", &**key));
    let request = request("POST", "/", &Vec::from_iter(keyed), &body);
    let caller = Caller { owner: sent.owner.into(), ..Caller::default() };
    let mut body = endpoint.serve(caller, request).await.into_body();
    let stays = sent.method == "SendStreamingMessage";
    next_chunk(&mut body).await;
    tokio::task::yield_now().await;
    stays.then_some(body)
}

/// How many bytes of memory the process has.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}
