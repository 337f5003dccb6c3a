//! Ours: the seam between the benchmark and the project.
//!
//! It owns what the driver cannot know by itself: how our two servers are started, and by which
//! words the agent behind them is told what to answer. The agent of these servers must answer
//! [`prompt`]'s text with what [`Ask`] says, out of a memory store.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    AgentCapabilities, AgentCard, AgentError, AgentExecutor, Artifact, DefaultRequestHandler,
    EventQueue, MemoryStore, Part, RequestContext, async_trait,
    http::HttpEndpoint,
    kafka::{KafkaEndpoint, Topics},
};
use a2a_kafka::{KafkaProducer, RecordHandler};
use a2a_local::{
    consumer::Source,
    health::Health,
    kafka::{Work, consume},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::child::Route;

/// What the agent is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ask {
    /// One message, no task.
    Message,
    /// A completed task with one artifact.
    Task,
    /// A completed task with one artifact that comes in this many chunks, [`chunk`] by [`chunk`].
    Stream(usize),
}

/// The text of the user's message that asks for it.
pub(crate) fn prompt(ask: Ask) -> String {
    match ask {
        Ask::Message => "message".to_owned(),
        Ask::Task => "task".to_owned(),
        Ask::Stream(chunks) => format!("stream {chunks}"),
    }
}

/// The text of a stream's chunk: 64 bytes that hold its number, so that order can be checked.
pub(crate) fn chunk(number: usize) -> String {
    format!("{CHUNK_MARK}{number:06} {:.<51}", "")
}

/// What stands before a chunk's six digits.
pub(crate) const CHUNK_MARK: &str = "chunk-";

/// Serves our agent over HTTP, both bindings, on a listener that is already bound. Runs until the
/// process is killed; an answer is an error.
pub(crate) async fn serve_http(listener: TcpListener) -> Result<(), String> {
    let endpoint = HttpEndpoint::new(handler()).map_err(|error| error.to_string())?;
    a2a_local::http::serve(listener, endpoint, Health::default(), CancellationToken::new()).await;
    Err("our server ended".to_owned())
}

/// Runs our Kafka path from `route.requests` to `route.replies`, as the local runner does; each
/// reply has its request's key. Calls `ready` once it is consuming, and runs until the process is
/// killed.
pub(crate) async fn serve_kafka(route: &Route, ready: impl FnOnce()) -> Result<(), String> {
    let topics = Topics {
        requests: route.requests.clone(),
        responses: route.replies.clone(),
        dead_letter: route.replies.clone(),
    };
    let endpoint = KafkaEndpoint::new(handler(), "bench", "").with_topics(topics);
    let producer = KafkaProducer::new(&route.brokers).map_err(|error| error.to_string())?;
    let source = Source {
        brokers: route.brokers.clone(),
        topic: route.requests.clone(),
        group: Some(route.group.clone()),
        fetch_wait: Duration::from_millis(route.fetch_wait_ms.into()),
    };
    let records = RecordHandler::new(endpoint, Arc::new(producer));
    ready();
    consume(source, records, Work::default(), CancellationToken::new()).await
}

fn handler() -> DefaultRequestHandler {
    // Logging as the runner has it: its cost is part of what is measured.
    a2a_lambda::logs::init();
    let card = AgentCard {
        capabilities: AgentCapabilities { streaming: Some(true), ..AgentCapabilities::default() },
        ..AgentCard::default()
    };
    DefaultRequestHandler::new(card, Arc::new(Bench), Arc::new(MemoryStore::default()))
}

/// Answers as [`Ask`] says.
struct Bench;

#[async_trait]
impl AgentExecutor for Bench {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let text = context.text();
        match text.strip_prefix("stream ").map(str::parse::<usize>) {
            Some(Ok(chunks)) => {
                queue.artifact(Artifact::new("answer", vec![Part::text(chunk(0))])).await?;
                for number in 1..chunks {
                    queue.append("answer", chunk(number)).await?;
                }
            }
            _ if text == "message" => return Ok(queue.reply("the answer").await?),
            _ => queue.artifact(Artifact::new("answer", vec![Part::text("the answer")])).await?,
        }
        Ok(queue.complete(()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_64_bytes_and_holds_its_number() {
        for number in [0, 199, 9_999] {
            let text = chunk(number);
            assert_eq!(text.len(), 64);
            assert!(text.starts_with(&format!("chunk-{number:06}")), "{text}");
        }
    }
}
