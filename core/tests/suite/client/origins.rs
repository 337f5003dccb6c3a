//! Where credentials go: to the origin that was asked, and nowhere that a card leads to instead.

use super::*;

const TASK: &str = r#"{"id":"t","status":{"state":"TASK_STATE_WORKING"}}"#;

/// A server with the card of an agent at these addresses.
async fn cards(interfaces: Vec<AgentInterface>) -> Scripted {
    let card = serde_json::to_string(&card(interfaces)).unwrap();
    Scripted::start(vec![json("200 OK", &card); 4]).await
}

#[tokio::test]
async fn a_card_leads_no_credentials_to_another_origin() {
    let elsewhere = Scripted::start(vec![json("200 OK", TASK); 4]).await;
    let cards = cards(vec![interface(&elsewhere.url, "HTTP+JSON")]).await;
    let token = || Connector::new().bearer("s3cret").unwrap();
    let key = || Connector::new().header("x-api-key", "s3cret").unwrap();
    for connector in [token(), key()] {
        let error = connector.connect(&cards.url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.message().contains(&elsewhere.url), "{error}");
        let lazy = connector.at(&cards.url).unwrap();
        assert_eq!(lazy.get(get()).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
        let read = card(vec![interface(&elsewhere.url, "HTTP+JSON")]);
        assert_eq!(connector.from_card(&read).unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    assert_eq!(elsewhere.asked().len(), 0);
    assert!(cards.asked().iter().all(|asked| asked.contains("s3cret")));
    // Told so, they go; without any, there is nothing to keep.
    let told = token().bearer_to(&format!("{}/", elsewhere.url)).unwrap();
    told.from_card(&card(vec![interface(&elsewhere.url, "HTTP+JSON")])).unwrap();
    for (connector, shows) in [(told, true), (Connector::new(), false)] {
        let cards = self::cards(vec![interface(&elsewhere.url, "HTTP+JSON")]).await;
        connector.connect(&cards.url).await.unwrap().get(get()).await.unwrap();
        assert_eq!(elsewhere.asked().last().unwrap().contains("bearer s3cret"), shows);
    }
    assert!(Connector::new().bearer_to("s3cret").is_err_and(|it| !it.message().contains("s3cret")));
}

#[tokio::test]
async fn of_a_cards_interfaces_one_is_taken_where_credentials_may_go() {
    let elsewhere = Scripted::start(vec![]).await;
    // The card names itself, below another one.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own = format!("http://{}", listener.local_addr().unwrap());
    let both = vec![interface(&elsewhere.url, "JSONRPC"), interface(&own, "HTTP+JSON")];
    let body = serde_json::to_string(&card(both)).unwrap();
    let served = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let mut asked = String::new();
        for body in [&*body, TASK] {
            let (mut socket, _) = listener.accept().unwrap();
            let mut bytes = [0; 4096];
            let read = socket.read(&mut bytes).unwrap();
            asked += &String::from_utf8_lossy(&bytes[..read]);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close", body.len());
            socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
        }
        asked
    });
    let client = Connector::new().bearer("s3cret").unwrap().connect(&own).await.unwrap();
    client.get(get()).await.unwrap();
    let asked = served.join().unwrap().to_ascii_lowercase();
    assert!(asked.contains("get /tasks/t "), "{asked}");
    assert_eq!(asked.matches("bearer s3cret").count(), 2, "{asked}");
}
