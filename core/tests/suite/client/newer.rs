//! Servers from the future: what is not known here makes nothing else unreadable.

use a2a_core::{PartContent, Role, TaskState};

use super::*;

const TASK: &str = r#"{"id":"t","contextId":"c","new":[{"x":1}],
    "status":{"state":99,"reason":{},"message":{"messageId":"m","role":"ROLE_TOOL",
        "parts":[{"text":"a","thoughtSignature":"x"},{"sound":{"hz":440},"mediaType":"audio/x"}]}},
    "artifacts":[{"artifactId":"a","parts":[{"scene":[1e400]}],"metadata":{"state":1.50}}],
    "history":[{"messageId":"n","role":7,"parts":[],"contextId":null,"extensions":null}],
    "metadata":null}"#;

#[tokio::test]
async fn a_task_is_read_whatever_of_it_is_new() {
    for binding in ["JSONRPC", "HTTP+JSON"] {
        let body = match binding {
            "JSONRPC" => format!(r#"{{"jsonrpc":"2.0","id":1,"meta":{{}},"result":{TASK}}}"#),
            _ => TASK.to_owned(),
        };
        let server = Scripted::start(vec![json("200 OK", &body)]).await;
        let connector = Connector::new();
        let task =
            connector.to(&interface(&server.url, binding)).unwrap().get(get()).await.unwrap();
        assert_eq!(task.status.state, TaskState::Unspecified, "{binding}");
        let said = task.status.message.as_ref().unwrap();
        assert_eq!((said.role, said.text()), (Role::Unspecified, "a".to_owned()));
        let data = |part: &Part| match &part.content {
            PartContent::Data(data) => data.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        // All of it, as it came.
        assert_eq!(data(&said.parts[1]), r#"{"sound":{"hz":440},"mediaType":"audio/x"}"#);
        assert_eq!(data(&task.artifacts[0].parts[0]), r#"{"scene":[1e400]}"#);
        let metadata = task.artifacts[0].metadata.as_ref().unwrap();
        assert_eq!(metadata.json().as_str(), r#"{"state":1.50}"#);
        assert_eq!(task.history[0].role, Role::Unspecified);
    }
}

#[tokio::test]
async fn events_of_an_unknown_kind_are_passed_over() {
    let events = [
        r#"{"task":{"id":"t","status":{"state":"TASK_STATE_SUBMITTED"}}}"#,
        r#"{"heartbeat":{}}"#,
        r#"{"toolCall":{"name":"x"},"at":5}"#,
        r#"{"statusUpdate":{"taskId":"t","status":{"state":"TASK_STATE_PAUSED"}}}"#,
        "{}",
        r#"{"task":null}"#,
        r#"{"statusUpdate":{"taskId":"t","status":{"state":"TASK_STATE_COMPLETED"}}}"#,
    ];
    for binding in ["JSONRPC", "HTTP+JSON"] {
        let frames = events.iter().enumerate().map(|(at, event)| match binding {
            "JSONRPC" => format!(
                "id: {}-0\ndata: {{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{event}}}\n\n",
                at + 1
            ),
            _ => format!("id: {}-0\ndata: {event}\n\n", at + 1),
        });
        let server = Scripted::start(vec![ended(&frames.collect::<String>())]).await;
        let items = client(&server.url, binding).stream(hello()).await.unwrap().0;
        let told = items.map(|item| brief(&item)).collect::<Vec<_>>().await;
        assert_eq!(told, ["1-0 task SUBMITTED", "4-0 UNSPECIFIED", "7-0 COMPLETED."], "{binding}");
        assert_eq!(server.asked().len(), 1, "{binding}");
    }
    // What is known and wrong is no news from the future.
    let wrong = "data: {\"statusUpdate\":{\"taskId\":5}}\n\n";
    let server = Scripted::start(vec![ended(wrong)]).await;
    let mut items = client(&server.url, "HTTP+JSON").stream(hello()).await.unwrap().0;
    let error = items.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidAgentResponse);
    assert!(error.message().contains("statusUpdate.taskId is wrong"), "{error}");
}

#[tokio::test]
async fn a_card_is_read_whatever_of_it_is_new() {
    let server = Scripted::start(vec![json("200 OK", TASK)]).await;
    let card = format!(
        r#"{{"name":"n","securitySchemes":{{"new":{{"walletSecurityScheme":{{}}}},"flow":{{
            "oauth2SecurityScheme":{{"flows":{{"telepathy":{{}}}}}}}},
            "b":{{"httpAuthSecurityScheme":{{"scheme":"Bearer","realm":"x"}}}}}},
            "capabilities":{{"streaming":null,"extensions":null,"holograms":true}},"skills":null,
            "supportedInterfaces":[{{"url":"{url}","protocolBinding":"HOLOGRAM","protocolVersion":"2.0"}},
            {{"url":"{url}","protocolBinding":"HTTP+JSON","protocolVersion":"1.0","tenant":null}}]}}"#,
        url = server.url
    );
    let cards = Scripted::start(vec![json("200 OK", &card), json("200 OK", &card)]).await;
    let client = Client::connect(&cards.url).await.unwrap();
    let schemes = client.card().await.unwrap().security_schemes.clone();
    assert_eq!(Vec::from_iter(schemes.keys()), ["b"]);
    assert_eq!(&*client.get(get()).await.unwrap().id, "t");
}
