//! The two HTTP bindings, through the endpoint that both the runner's sockets and Lambda's events
//! end in.

use a2a_core::{
    Call, Caller,
    http::{Body, HttpEndpoint},
    wire::{jsonrpc, rest, sse},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{Asked, Transport};
use crate::agents::Agent;

/// JSON-RPC (specification section 9).
pub(crate) struct JsonRpc(HttpEndpoint);

/// HTTP+JSON (section 11).
pub(crate) struct Rest(HttpEndpoint);

impl Transport for JsonRpc {
    async fn open(agent: Agent) -> Self {
        Self(HttpEndpoint::new(agent.handler()).unwrap())
    }

    async fn call(&self, asked: Asked) -> Value {
        let body = jsonrpc::encode(&jsonrpc::Id::from(&*asked.key), &asked.call).unwrap();
        let read = |data: &[u8]| {
            let response: Value = serde_json::from_slice(data).unwrap();
            assert_eq!((&response["jsonrpc"], &response["id"]), (&json!("2.0"), &json!(asked.key)));
            match response.get("error") {
                Some(error) => super::jsonrpc_error(error),
                None => response["result"].clone(),
            }
        };
        let response = serve(&self.0, &asked, Method::POST, "/", "application/json", body).await;
        assert_eq!(response.status(), 200);
        if response.headers()[CONTENT_TYPE] == "text/event-stream" {
            return read_stream(response, &asked, read).await;
        }
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = response.collect().await.unwrap().to_bytes();
        let refused = serde_json::from_slice::<Value>(&body).unwrap().get("error").is_some();
        assert!(refused || !asked.call.is_streaming(), "only a refused stream is none");
        read(&body)
    }
}

impl Transport for Rest {
    async fn open(agent: Agent) -> Self {
        Self(HttpEndpoint::new(agent.handler()).unwrap())
    }

    async fn call(&self, asked: Asked) -> Value {
        let rest::Encoded { method, path_and_query, body } = rest::encode(&asked.call);
        // The brief has everything below /v1; a get, as the specification has it, at the root.
        let prefix = if let Call::GetTask(_) = asked.call { "" } else { "/v1" };
        let path = format!("{prefix}{path_and_query}");
        let response = serve(&self.0, &asked, method, &path, "application/a2a+json", body).await;
        let status = response.status().as_u16();
        if status == 200 && asked.call.is_streaming() {
            return read_stream(response, &asked, |data| serde_json::from_slice(data).unwrap())
                .await;
        }
        let expected = if status == 200 { "application/a2a+json" } else { "application/json" };
        assert_eq!(response.headers()[CONTENT_TYPE], expected);
        let body = response.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        if status == 200 { body } else { super::rest_error(status, &body["error"]) }
    }
}

async fn serve(
    endpoint: &HttpEndpoint,
    asked: &Asked,
    method: Method,
    path: &str,
    content_type: &str,
    body: Vec<u8>,
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, content_type);
    }
    if !asked.extensions.is_empty() {
        request = request.header("A2A-Extensions", asked.extensions);
    }
    let request = request.header("A2A-Version", asked.version).body(Bytes::from(body)).unwrap();
    endpoint.serve(Caller::default(), request).await
}

/// Reads server-sent events to their end, or until the client disconnects.
async fn read_stream(
    response: Response<Body>,
    asked: &Asked,
    read: impl Fn(&[u8]) -> Value,
) -> Value {
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let (mut body, mut decoder, mut items) =
        (response.into_body(), sse::Decoder::default(), Vec::new());
    while asked.leaves_after != Some(items.len()) {
        let Some(frame) = body.frame().await else { break };
        decoder.push(&frame.unwrap().into_data().unwrap());
        items.extend(std::iter::from_fn(|| decoder.next_event()).map(|event| read(&event.data)));
    }
    if asked.leaves_after.is_some() {
        assert!(body.frame().now_or_never().is_none(), "the stream did not stay open");
    }
    super::stream(items)
}
