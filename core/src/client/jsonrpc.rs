//! The JSON-RPC binding, from its client's side (specification section 9).
//!
//! Owns: that an answer is the request's own. Must never know: connections, retries, choosing a
//! binding.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use http::Method;
use url::Url;

use super::{
    Parameters, Transport,
    http::{Answer, Connection, Outgoing},
};
use crate::{
    call::{Call, Reply},
    error::{Error, ErrorKind},
    wire::{
        jsonrpc::{self, Id, Response},
        parameters::JSON,
    },
};

/// An agent's JSON-RPC endpoint.
#[derive(Debug)]
pub(super) struct JsonRpcTransport {
    connection: Connection,
    url: Url,
    next_id: AtomicU64,
}

impl JsonRpcTransport {
    /// The endpoint at this address.
    pub(super) fn new(connection: Connection, url: Url) -> Self {
        Self { connection, url, next_id: AtomicU64::new(1) }
    }
}

#[async_trait]
impl Transport for JsonRpcTransport {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error> {
        let id = Id::from(self.next_id.fetch_add(1, Ordering::Relaxed));
        let Some(body) = jsonrpc::encode(&id, &call) else {
            return self.connection.card(parameters).await;
        };
        let url = self.url.clone();
        let request = Outgoing { method: Method::POST, url, media_type: JSON, body };
        let kind = call.reply_kind();
        match self.connection.ask(parameters, request, kind).await? {
            Answer::Whole(body) => own(&id, jsonrpc::read_response(kind, &body)),
            Answer::Stream(stream) => {
                let of_send = matches!(call, Call::SendStreamingMessage(_));
                let read = move |data: &[u8]| own(&id, jsonrpc::read_event(data));
                Ok(Reply::Events(stream.events(of_send, read)))
            }
        }
    }
}

/// What answers this request. An error may come without an id, where the request could not be read.
fn own<T>(id: &Id, response: Response<T>) -> Result<T, Error> {
    match response {
        Response { id: answered, outcome } if answered == *id => outcome,
        Response { id: Id::Null, outcome: Err(error) } => Err(error),
        _ => Err(Error::new(
            ErrorKind::InvalidAgentResponse,
            "The agent's answer is to another request: its id is another one.",
        )),
    }
}
