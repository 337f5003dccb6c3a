//! The transport without a wire: the handler itself, which the transports are compared with.

use a2a_core::{Caller, DefaultRequestHandler, Error, Event, Events, Reply, wire::status};
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;

use super::{Asked, Transport};
use crate::agents::Agent;

pub(crate) struct Handler(DefaultRequestHandler);

impl Transport for Handler {
    async fn open(agent: Agent) -> Self {
        Self(agent.handler())
    }

    async fn call(&self, asked: Asked) -> Value {
        let caller = Caller {
            version: Some(asked.version.into()),
            extensions: asked.extensions.split(',').map(Into::into).collect(),
            ..Caller::default()
        };
        reply(self.0.call(caller, asked.call).await, asked.leaves_after).await
    }
}

/// A reply in the common form.
pub(crate) async fn reply(outcome: Result<Reply, Error>, leaves_after: Option<usize>) -> Value {
    let body = match outcome {
        Ok(Reply::Events(events)) => return collect(events, leaves_after).await,
        Ok(Reply::Sent(sent)) => serde_json::to_value(sent),
        Ok(Reply::Task(task)) => serde_json::to_value(task),
        Ok(Reply::Tasks(page)) => serde_json::to_value(page),
        Err(error) => return told(&error),
        Ok(other) => panic!("no case is answered with {other:?}"),
    };
    body.unwrap()
}

async fn collect(mut events: Events, leaves_after: Option<usize>) -> Value {
    let mut items = Vec::new();
    while leaves_after != Some(items.len()) {
        let Some(item) = events.0.next().await else { break };
        let last = !matches!(item, Ok(Event { last: false, .. }));
        items.push(match item {
            Ok(event) => serde_json::to_value(event.response).unwrap(),
            Err(error) => told(&error),
        });
        if last {
            assert!(events.0.next().await.is_none(), "something came after the last event");
            break;
        }
    }
    if leaves_after.is_some() {
        assert!(events.0.next().now_or_never().is_none(), "the stream did not stay open");
    }
    super::stream(items)
}

fn told(error: &Error) -> Value {
    let told = serde_json::to_value(status::jsonrpc_error(error)).unwrap();
    super::details(&told["message"], &told["data"]).1
}
