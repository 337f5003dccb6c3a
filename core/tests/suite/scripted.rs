//! An HTTP server that answers by a script, whatever it is asked: each connection gets the next
//! answer as it stands, and is closed. When the script is over it is not reached any more.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a connection gets.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// These bytes.
    Bytes(String),
    /// The same, and then nothing: it stays open.
    Unfinished(String),
}

/// A server, and what it was asked.
pub(crate) struct Scripted {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub(crate) async fn start(script: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut open = Vec::new();
            for answer in script {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read(&mut socket).await;
                heard.lock().unwrap().push(request);
                let (Answer::Bytes(text) | Answer::Unfinished(text)) = &answer;
                // A client that has read its answer may have disconnected.
                let _ = socket.write_all(text.as_bytes()).await;
                if let Answer::Unfinished(_) = answer {
                    open.push(socket);
                }
            }
            drop(listener);
            std::future::pending::<()>().await;
        });
        Self { url, asked }
    }

    /// The requests so far, heads in lower case.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return format!("{head}\r\n\r\n{body}");
            }
        }
        if socket.read_buf(&mut bytes).await.unwrap() == 0 {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}

/// A whole response.
pub(crate) fn whole(status: &str, media_type: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Bytes(format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    ))
}

/// A response with JSON.
pub(crate) fn json(status: &str, body: &str) -> Answer {
    whole(status, "application/json", body)
}

/// The head of a stream, and its first chunk.
fn stream(events: &str) -> String {
    let length = events.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
         transfer-encoding: chunked\r\n\r\n{length:x}\r\n{events}\r\n"
    )
}

/// A stream that is cut off.
pub(crate) fn cut(events: &str) -> Answer {
    Answer::Bytes(stream(events))
}

/// A stream that the server ends.
pub(crate) fn ended(events: &str) -> Answer {
    Answer::Bytes(stream(events) + "0\r\n\r\n")
}

/// A stream that goes on without a word.
pub(crate) fn silent(events: &str) -> Answer {
    Answer::Unfinished(stream(events))
}
