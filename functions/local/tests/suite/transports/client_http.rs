//! The client's transports: the core's own client, over a real socket.

use a2a_core::{
    client::{Client, Connector},
    http::HttpEndpoint,
};
use a2a_local::health::Health;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{Asked, Transport, handler};
use crate::agents::Agent;

/// The client over JSON-RPC.
pub(crate) struct ClientJsonRpc(Server);

/// The client over HTTP+JSON.
pub(crate) struct ClientRest(Server);

impl Transport for ClientJsonRpc {
    async fn open(agent: Agent) -> Self {
        Self(Server::start(agent).await)
    }

    async fn call(&self, asked: Asked) -> Value {
        self.0.call("JSONRPC", asked).await
    }

    async fn close(self) {
        self.0.stop().await;
    }
}

impl Transport for ClientRest {
    async fn open(agent: Agent) -> Self {
        Self(Server::start(agent).await)
    }

    async fn call(&self, asked: Asked) -> Value {
        self.0.call("HTTP+JSON", asked).await
    }

    async fn close(self) {
        self.0.stop().await;
    }
}

struct Server {
    url: String,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(agent: Agent) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let endpoint = HttpEndpoint::new(agent.handler()).unwrap().located_at(&url).unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(a2a_local::http::serve(
            listener,
            endpoint,
            Health::default(),
            stop.clone(),
        ));
        Self { url, stop, serving }
    }

    async fn client(&self, binding: &str, version: &str) -> Client {
        let connector = Connector::new().binding(binding).header("A2A-Version", version).unwrap();
        connector.connect(&self.url).await.unwrap()
    }

    async fn call(&self, binding: &str, asked: Asked) -> Value {
        let client = self.client(binding, asked.version).await;
        let mut parameters = client.parameters().clone();
        let uris = asked.extensions.split(',').filter(|uri| !uri.is_empty());
        parameters.extensions = uris.map(Into::into).collect();
        let reply = client.with_parameters(parameters).call(asked.call).await;
        handler::reply(reply, asked.leaves_after).await
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}
