//! The bounds of connections and of requests in flight, made small.

use std::{net::SocketAddr, time::Instant};

use a2a_core::{
    AgentCard, AgentError, AgentExecutor, DefaultRequestHandler, EventQueue, MemoryStore,
    RequestContext, async_trait,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Answers with four artifacts of 3 MB each.
struct Large;

#[async_trait]
impl AgentExecutor for Large {
    async fn execute(&self, _: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        for name in ["a", "b", "c", "d"] {
            queue.append(name, "x".repeat(3_000_000)).await?;
        }
        Ok(queue.complete("done").await?)
    }
}

const SHORT: Duration = Duration::from_millis(300);

async fn server(change: impl FnOnce(&mut Limits)) -> (SocketAddr, CancellationToken) {
    let mut limits = Limits::default();
    change(&mut limits);
    let handler = DefaultRequestHandler::new(
        AgentCard::default(),
        Arc::new(Large),
        Arc::new(MemoryStore::default()),
    );
    let endpoint = HttpEndpoint::new(handler.with_limits(limits)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    tokio::spawn(serve(listener, endpoint, Health::default(), stop.clone()));
    (address, stop)
}

fn send(length: usize) -> String {
    let body = r#"{"message":{"messageId":"1","role":"ROLE_USER","parts":[{"text":"x"}]}}"#;
    let head = "POST /message:send HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let space = " ".repeat(length - body.len());
    format!("{head}content-length: {length}\r\n\r\n{body}{space}")
}

/// Everything that comes until the connection ends.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await;
    // A reset is an end as well.
    let _ = read.expect("the connection ends");
    all
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut() {
    let (address, _stop) = server(|limits| limits.read_stall = SHORT).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(send(100).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let all = rest(stream).await;
    assert!(!all.is_empty() && all.len() < 12_000_000, "{}", all.len());
}

#[tokio::test]
async fn a_slow_reader_has_all_of_its_answer() {
    let (address, _stop) = server(|limits| limits.read_stall = SHORT).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(send(100).as_bytes()).await.unwrap();
    let (mut all, mut part) = (0, vec![0; 1 << 20]);
    while all < 12_000_000 {
        let read = stream.read(&mut part).await.unwrap();
        assert_ne!(read, 0, "cut after {all} bytes");
        all += read;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn heads_bodies_and_idle_connections_have_their_times() {
    let (address, _stop) = server(|limits| {
        limits.head_time = SHORT;
        limits.body_time = SHORT;
        limits.connection_idle = 4 * SHORT;
    })
    .await;
    let whole = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n".to_owned();
    let half = |text: &str| text[..text.len() - 5].to_owned();
    for (sent, status, least) in [
        (half(&whole), "", SHORT),
        (whole.clone() + &half(&whole), "HTTP/1.1 200", SHORT),
        (half(&send(100)), "HTTP/1.1 400", SHORT),
        (whole, "HTTP/1.1 200", 4 * SHORT),
        (String::new(), "", 4 * SHORT),
    ] {
        let began = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let answer = String::from_utf8(rest(stream).await).unwrap();
        assert!(answer.starts_with(status) && began.elapsed() >= least, "{sent:?} {answer:?}");
        assert_eq!(status.is_empty(), answer.is_empty(), "{sent:?} {answer:?}");
        assert!(began.elapsed() < 30 * SHORT, "{sent:?} {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn past_the_bytes_in_flight_only_small_requests_are_taken() {
    let (address, _stop) = server(|limits| limits.bytes_in_flight = 400_000).await;
    let large = send(250_000);
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(&large.as_bytes()[..240_000]).await.unwrap();
    let began = Instant::now();
    let refused = loop {
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(&large.as_bytes()[..200]).await.unwrap();
        let mut answer = [0; 12];
        let read = tokio::time::timeout(SHORT, second.read_exact(&mut answer)).await;
        if read.is_ok() {
            break rest(second).await;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it is never refused");
    };
    assert!(String::from_utf8_lossy(&refused).contains("retry-after: "), "{refused:?}");
    for small in ["GET /health HTTP/1.1\r\n", "POST /tasks/none:cancel HTTP/1.1\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{small}host: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = String::from_utf8(rest(stream).await).unwrap();
        assert!(!answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    first.write_all(&large.as_bytes()[240_000..]).await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
