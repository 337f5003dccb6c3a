//! The HTTP+JSON binding, from its client's side (specification section 11).
//!
//! Owns: which address a call goes to. Must never know: connections, retries, choosing a binding.

use async_trait::async_trait;
use url::Url;

use super::{
    Parameters, Transport,
    http::{Answer, Connection, Outgoing, below},
};
use crate::{
    call::{Call, Reply},
    error::Error,
    wire::{parameters::A2A_JSON, rest},
};

/// An agent's HTTP+JSON endpoint.
#[derive(Debug)]
pub(super) struct RestTransport {
    connection: Connection,
    url: Url,
}

impl RestTransport {
    /// The endpoint whose paths begin with this address.
    pub(super) fn new(connection: Connection, url: Url) -> Self {
        Self { connection, url }
    }
}

#[async_trait]
impl Transport for RestTransport {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error> {
        if call == Call::GetAgentCard {
            return self.connection.card(parameters).await;
        }
        let rest::Encoded { method, path_and_query, body } = rest::encode(&call);
        if !can_be_sent(&path_and_query) {
            return Err(Error::invalid_field(
                "id",
                "cannot be sent in a path: it is empty or dots",
            ));
        }
        let url = below(&self.url, &path_and_query);
        let request = Outgoing { method, url, media_type: A2A_JSON, body };
        let kind = call.reply_kind();
        match self.connection.ask(parameters, request, kind).await? {
            Answer::Whole(body) => rest::read_reply(kind, &body),
            Answer::Stream(stream) => {
                let of_send = matches!(call, Call::SendStreamingMessage(_));
                Ok(Reply::Events(stream.events(of_send, rest::read_event)))
            }
        }
    }
}

/// Whether the path arrives as it is: what is made of addresses leaves out segments of dots.
fn can_be_sent(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let mut ids =
        path.split('/').skip(1).map(|segment| segment.split(':').next().unwrap_or_default());
    !ids.any(|id| matches!(id, "" | "." | ".."))
}
