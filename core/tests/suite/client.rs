//! The client over HTTP, before a server that answers by a script: what is no answer, what breaks,
//! what is retried and how a broken stream is resumed.

use std::time::Duration;

use a2a_core::{
    AgentCard, AgentInterface, CancelTaskRequest, Cursor, Error, ErrorKind, GetTaskRequest,
    Message, Part, SendMessageRequest, StreamResponse, SubscribeToTaskRequest,
    client::{Client, Connector, Parameters},
};
use futures_util::StreamExt;

use crate::scripted::{Answer, Scripted, cut, ended, json, silent, whole};

mod behalf;
mod hostile;
mod newer;
mod origins;
mod streams;

fn interface(url: &str, binding: &str) -> AgentInterface {
    AgentInterface { url: url.into(), protocol_binding: binding.into(), ..Default::default() }
}

/// A client with short timeouts.
fn client(url: &str, binding: &str) -> Client {
    let connector = Connector::new().answer_limit(500);
    let mut parameters = Parameters::default();
    parameters.timeout = Duration::from_secs(5);
    parameters.tries = 2;
    connector.to(&interface(url, binding)).unwrap().with_parameters(parameters)
}

fn get() -> GetTaskRequest {
    GetTaskRequest { id: "t".into(), ..Default::default() }
}

fn hello() -> SendMessageRequest {
    let message = Message::user("m-1", vec![Part::text("hello")]);
    SendMessageRequest { message, ..Default::default() }
}

fn subscribe() -> SubscribeToTaskRequest {
    SubscribeToTaskRequest { id: "t".into(), tenant: None }
}

/// What happened, in few words: what it says of whom and where, and `.` behind the last.
fn brief(item: &Result<a2a_core::Event, Error>) -> String {
    let event = match item {
        Ok(event) => event,
        Err(error) => return format!("{:?}", error.kind()),
    };
    let what = match &event.response {
        StreamResponse::Task(task) => format!("task {}", task.status.state.name()),
        StreamResponse::StatusUpdate(update) => update.status.state.name().to_owned(),
        StreamResponse::ArtifactUpdate(update) => {
            update.artifact.parts[0].as_text().unwrap().into()
        }
        StreamResponse::Message(message) => message.text(),
    };
    let at = event.cursor.map(|cursor| format!("{cursor} ")).unwrap_or_default();
    let last = if event.last { "." } else { "" };
    format!("{at}{what}{last}").replace("TASK_STATE_", "")
}

/// What is no answer, over either binding.
#[tokio::test]
async fn what_is_no_answer_is_told_so() {
    use ErrorKind::*;
    let task = r#"{"id":"t","status":{"state":"TASK_STATE_WORKING"}}"#;
    let other = format!(r#"{{"jsonrpc":"2.0","id":77,"result":{task}}}"#);
    let long = "x".repeat(1000);
    let none = |text: &str| Answer::Bytes(text.to_owned());
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://me:s3cret@other/x?s3cret\r\n\
                    content-length: 0\r\n\r\n";
    let denied = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"gone"}}"#;
    for (binding, answer, kind, sentence) in [
        (
            "",
            json("200 OK", "<html>"),
            InvalidAgentResponse,
            "cannot be read: it is no JSON object",
        ),
        ("", json("200 OK", ""), InvalidAgentResponse, "cannot be read"),
        (
            "",
            json("200 OK", &format!("{{\"id\":1,\"result\":{{}}}}{long}")),
            InvalidAgentResponse,
            "limit of 500 bytes",
        ),
        ("JSONRPC", json("200 OK", &other), InvalidAgentResponse, "another request"),
        ("JSONRPC", json("200 OK", task), InvalidAgentResponse, "another request"),
        (
            "JSONRPC",
            json("200 OK", r#"{"id":1}"#),
            InvalidAgentResponse,
            "neither a result nor an error",
        ),
        (
            "JSONRPC",
            json("200 OK", r#"{"id":1,"result":[]}"#),
            InvalidAgentResponse,
            "no JSON object",
        ),
        ("JSONRPC", json("200 OK", denied), TaskNotFound, "gone"),
        ("JSONRPC", json("404 Not Found", denied), TaskNotFound, "gone"),
        ("HTTP+JSON", json("200 OK", "[]"), InvalidAgentResponse, "no JSON object"),
        ("HTTP+JSON", json("200 OK", r#"{"id":5}"#), InvalidAgentResponse, "id is wrong"),
        ("", whole("404 Not Found", "text/html", "<html>"), MethodNotFound, "404 Not Found"),
        ("", whole("401 Unauthorized", "text/plain", ""), Unauthenticated, "401 Unauthorized"),
        ("", none(redirect), InvalidAgentResponse, "redirects to http://other/x, which is not"),
        ("", none("SSH-2.0-OpenSSH_9\r\n"), Unavailable, "broke"),
    ] {
        for spoken in
            ["JSONRPC", "HTTP+JSON"].into_iter().filter(|it| binding.is_empty() || it == &binding)
        {
            let server = Scripted::start(vec![answer.clone()]).await;
            let mut parameters = Parameters::default();
            parameters.tries = 1;
            let client = client(&server.url, spoken).with_parameters(parameters);
            let error = client.get(get()).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{spoken} {answer:?}: {error}");
            assert!(error.message().contains(sentence), "{spoken} {answer:?}: {error}");
        }
    }
    // Cut off, and no longer reached after that.
    let server = Scripted::start(vec![none(short)]).await;
    let error = client(&server.url, "JSONRPC").get(get()).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable);
    assert!(error.message().contains("is not reached"), "{error}");
    // No answer at all.
    let server = Scripted::start(vec![Answer::Unfinished(String::new())]).await;
    let mut parameters = Parameters::default();
    parameters.timeout = Duration::from_millis(50);
    let client = client(&server.url, "HTTP+JSON").with_parameters(parameters);
    assert_eq!(client.get(get()).await.unwrap_err().kind(), DeadlineExceeded);
}

/// What is asked twice after a first answer that is lost, or a 503, and what is not.
#[tokio::test]
async fn only_what_is_safe_is_retried() {
    let lost = || Answer::Bytes(String::new());
    let busy = || json("503 Service Unavailable", "");
    let task = r#"{"id":"t","status":{"state":"TASK_STATE_COMPLETED"}}"#;
    let found = || json("200 OK", task);
    let sent = || json("200 OK", &format!(r#"{{"task":{task}}}"#));
    for first in [lost, busy] {
        let server = Scripted::start(vec![first(), found()]).await;
        client(&server.url, "HTTP+JSON").get(get()).await.unwrap();
        assert_eq!(server.asked().len(), 2);

        let server = Scripted::start(vec![first(), sent()]).await;
        let error = client(&server.url, "HTTP+JSON").send(hello()).await.unwrap_err();
        assert_eq!((error.kind(), server.asked().len()), (ErrorKind::Unavailable, 1));

        let server = Scripted::start(vec![first(), sent()]).await;
        let keyed = client(&server.url, "HTTP+JSON").with_idempotency_key("k-1");
        keyed.send(hello()).await.unwrap();
        let asked = server.asked();
        let body = |at: usize| asked[at].split_once("\r\n\r\n").unwrap().1.to_owned();
        assert_eq!((asked.len(), body(0)), (2, body(1)));
        assert!(asked.iter().all(|request| request.contains("idempotency-key: k-1")));

        let server = Scripted::start(vec![first(), found()]).await;
        let cancel = CancelTaskRequest { id: "t".into(), ..Default::default() };
        let error = client(&server.url, "HTTP+JSON").cancel(cancel).await.unwrap_err();
        assert_eq!((error.kind(), server.asked().len()), (ErrorKind::Unavailable, 1));
    }
}

fn card(interfaces: Vec<AgentInterface>) -> AgentCard {
    AgentCard { supported_interfaces: interfaces, ..AgentCard::default() }
}

#[tokio::test]
async fn the_cards_order_counts_among_what_is_spoken() {
    let server = Scripted::start(vec![json("200 OK", "{}"); 3]).await;
    let at = |path: &str, binding: &str| interface(&format!("{}{path}", server.url), binding);
    let old = AgentInterface { protocol_version: "0.3".into(), ..at("/old", "JSONRPC") };
    let tenant = AgentInterface { tenant: Some("acme".into()), ..at("/rest/", "HTTP+JSON") };
    let many = card(vec![interface("grpc://h", "GRPC"), old, tenant, at("/rpc", "JSONRPC")]);
    for (binding, head) in [
        (None, "get /rest/acme/tasks/t "),
        (Some("HTTP+JSON"), "get /rest/acme/tasks/t "),
        (Some("JSONRPC"), "post /rpc "),
    ] {
        let connector = match binding {
            Some(binding) => Connector::new().binding(binding),
            None => Connector::new(),
        };
        let _ = connector.from_card(&many).unwrap().get(get()).await;
        let asked = server.asked();
        assert!(asked.last().unwrap().starts_with(head), "{binding:?}: {asked:?}");
    }
    for (card, binding, sentence) in [
        (card(vec![]), None, "names no interface that can be used from here; it names none."),
        (card(vec![interface("grpc://h", "GRPC")]), None, "it names GRPC."),
        (many, Some("urn:x"), "no interface of the binding urn:x that"),
        (card(vec![interface("amqp://h", "JSONRPC")]), None, "it names JSONRPC."),
    ] {
        let mut connector = Connector::new();
        if let Some(binding) = binding {
            connector = connector.binding(binding);
        }
        let error = connector.from_card(&card).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedOperation);
        assert!(error.message().contains(sentence), "{error}");
    }
}

#[tokio::test]
async fn the_card_is_found_below_the_address_with_the_credentials() {
    for path in ["", "/", "/stage/data", "/own/card.json"] {
        let server = Scripted::start(vec![json("200 OK", "{}"), json("200 OK", "{}")]).await;
        let connector = Connector::new().bearer("s3cret").unwrap().header("X-Key", "k").unwrap();
        let asked = connector.connect(&format!("{}{path}", server.url)).await;
        assert_eq!(asked.unwrap_err().kind(), ErrorKind::UnsupportedOperation, "{path}");
        let [request] = &*server.asked() else { panic!("{path}") };
        let own = path.ends_with(".json");
        let at = if own {
            path.to_owned()
        } else {
            path.trim_end_matches('/').to_owned() + "/.well-known/agent-card.json"
        };
        assert!(request.starts_with(&format!("get {at} ")), "{request}");
        for header in ["authorization: bearer s3cret", "x-key: k", "a2a-version: 1.0"] {
            assert!(request.contains(header), "{request}");
        }
        assert!(!format!("{connector:?}").contains("s3cret"), "{connector:?}");
        let client = connector.to(&interface(&server.url, "JSONRPC")).unwrap();
        assert!(!format!("{client:?}").contains("s3cret"), "{client:?}");
    }
    for (url, sentence) in [
        ("nowhere", "url is no address: "),
        ("http:", "url is no address: "),
        ("mailto:a@b", "url must begin with http:, https: or kafka:"),
        ("s3cret:x@h", "url must begin with http:, https: or kafka:"),
        ("http://me:s3cret@h/", "url must hold no credentials; they belong into a header"),
        ("https://s3cret@h/", "url must hold no credentials; they belong into a header"),
    ] {
        let error = Client::connect(url).await.unwrap_err();
        assert!(error.message().starts_with(sentence), "{url}: {error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn an_agent_may_be_looked_for_when_it_is_called_until_it_is_found() {
    let task = r#"{"id":"t","status":{"state":"TASK_STATE_WORKING"}}"#;
    let agent = Scripted::start(vec![json("200 OK", task); 3]).await;
    let found = card(vec![interface(&agent.url, "HTTP+JSON")]);
    let found = json("200 OK", &serde_json::to_string(&found).unwrap());
    let cards = Scripted::start(vec![whole("404 Not Found", "text/plain", ""), found]).await;
    let client = Connector::new().at(&cards.url).unwrap();
    assert_eq!(cards.asked().len(), 0);
    assert_eq!(client.get(get()).await.unwrap_err().kind(), ErrorKind::MethodNotFound);
    // Of two at once, one reads the card for both; later calls do not.
    let (one, two) = tokio::join!(client.get(get()), client.get(get()));
    for outcome in [one, two, client.get(get()).await] {
        assert_eq!(&*outcome.unwrap().id, "t");
    }
    assert_eq!((cards.asked().len(), agent.asked().len()), (2, 3));
    // What is no address is told at once.
    assert_eq!(Connector::new().at("gopher://h/").unwrap_err().kind(), ErrorKind::InvalidParams);
}
