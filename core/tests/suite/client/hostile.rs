//! A hostile server: whatever it sends, a call ends within its time and holds no more than its bound.

use std::time::Instant;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A server that sends this to each connection, then that again and again as long as it is taken,
/// and says how much of it was.
async fn endless(first: String, again: String) -> (String, tokio::sync::watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sent, taken) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (first, again, sent) = (first.clone(), again.clone(), sent.clone());
            tokio::spawn(async move {
                let _ = socket.read(&mut [0; 4096]).await;
                let mut out = socket.write_all(first.as_bytes()).await;
                while out.is_ok() {
                    out = socket.write_all(again.as_bytes()).await;
                    sent.send_modify(|sent| *sent += again.len());
                }
            });
        }
    });
    (url, taken)
}

fn head(rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{rest}\r\n")
}

#[tokio::test]
async fn nothing_without_an_end_is_read_to_its_end() {
    let sse = head("content-type: text/event-stream\r\n");
    let many = "x".repeat(64 << 10);
    let one = format!("x-a: {}\r\n", "x".repeat(1000));
    for (what, first, again, sentence) in [
        ("a body", head("content-length: 99999999999\r\n"), many.clone(), "limit of"),
        (
            "chunks",
            head("transfer-encoding: chunked\r\n"),
            format!("10000\r\n{many}\r\n"),
            "limit of",
        ),
        ("headers", "HTTP/1.1 200 OK\r\n".to_owned(), one, "broke"),
        ("a header", "HTTP/1.1 200 OK\r\nx: ".to_owned(), many.clone(), "broke"),
        ("a status", "HTTP/1.1 200 ".to_owned(), many.clone(), "broke"),
        ("a refusal", "HTTP/1.1 500 No\r\n\r\n".to_owned(), many.clone(), "limit of"),
        ("a line", format!("{sse}data: "), many.clone(), "limit of"),
        ("lines", sse.clone(), format!("data: {many}\n"), "limit of"),
        ("empty lines of data", sse.clone(), "data:\n".repeat(9999), "limit of"),
        ("an id", format!("{sse}id: "), many.clone(), "limit of"),
        ("a comment", format!("{sse}:"), many.clone(), "limit of"),
    ] {
        let (url, taken) = endless(first, again).await;
        let client =
            Connector::new().answer_limit(1 << 20).to(&interface(&url, "HTTP+JSON")).unwrap();
        let mut parameters = Parameters::default();
        (parameters.tries, parameters.timeout) = (1, Duration::from_secs(5));
        let client = client.with_parameters(parameters);
        let error = match client.stream(hello()).await {
            Ok(mut events) => events.0.next().await.unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert!(error.message().contains(sentence), "{what}: {error}");
        // What the sockets hold on the way apart.
        let taken = *taken.borrow();
        assert!(taken < 16 << 20, "{what}: {taken} bytes");
    }
}

#[tokio::test]
async fn a_card_is_small() {
    let padding = " ".repeat(64 << 10);
    let (url, taken) = endless(head("content-length: 99999999999\r\n"), padding).await;
    let error = Client::connect(&url).await.unwrap_err();
    assert!(error.message().contains("card is over the limit of 1048576 bytes"), "{error}");
    assert!(*taken.borrow() < 16 << 20);
}

#[tokio::test]
async fn a_server_that_takes_its_time_has_the_calls_and_no_more() {
    let sse = head("content-type: text/event-stream\r\n");
    for (what, script) in [
        ("nothing", Answer::Unfinished(String::new())),
        ("a head", Answer::Unfinished("HTTP/1.1 200".to_owned())),
        ("interim answers", Answer::Unfinished("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(5))),
        ("a body", Answer::Unfinished(head("content-length: 5\r\n") + "{")),
        ("a chunk's size", {
            Answer::Unfinished(head("transfer-encoding: chunked\r\n") + &"0".repeat(99_999))
        }),
        ("a stream without an event", Answer::Unfinished(sse.clone() + "data: {")),
    ] {
        let server = Scripted::start(vec![script]).await;
        let mut parameters = Parameters::default();
        (parameters.tries, parameters.timeout) = (1, Duration::from_millis(300));
        let client = client(&server.url, "HTTP+JSON").with_parameters(parameters);
        let began = Instant::now();
        let error = match client.stream(hello()).await {
            Ok(mut events) => events.0.next().await.unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{what}: {error}");
        assert!(began.elapsed() < Duration::from_secs(5), "{what}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_whatever_its_status() {
    for status in ["301 M", "302 F", "303 S", "307 T", "308 P"] {
        let other = Scripted::start(vec![]).await;
        let location =
            format!("HTTP/1.1 {status}\r\nlocation: {}/x\r\ncontent-length: 0\r\n\r\n", other.url);
        let server = Scripted::start(vec![Answer::Bytes(location)]).await;
        let connector = Connector::new().bearer("s3cret").unwrap();
        let error = connector.connect(&server.url).await.unwrap_err();
        assert!(error.message().contains("redirects to"), "{status}: {error}");
        assert_eq!((server.asked().len(), other.asked().len()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn a_long_sentence_is_cut() {
    let told = format!(r#"{{"error":{{"code":500,"message":"{}"}}}}"#, "é".repeat(100_000));
    let server = Scripted::start(vec![json("500 No", &told)]).await;
    let connector = Connector::new();
    let client = connector.to(&interface(&server.url, "HTTP+JSON")).unwrap();
    let error = client.get(get()).await.unwrap_err();
    assert!(error.message().starts_with("éé") && error.message().ends_with('…'));
    assert!(error.message().len() < 5000, "{}", error.message().len());
}
