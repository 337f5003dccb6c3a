//! The child's side: runs one subject on a runtime of two workers, whatever the subject, and ends
//! with the driver.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::process;
use std::thread;

use tokio::net::TcpListener;

use crate::child::Subject;
use crate::runtime::runtime;
use crate::{http, kafka, stores, subjects};

/// Serves the subject of this JSON until the driver is gone.
pub(crate) fn run(subject: &str) -> Result<(), String> {
    let subject = serde_json::from_str(subject).map_err(|error| error.to_string())?;
    // The driver holds our standard input open and never writes to it.
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    runtime()?.block_on(async {
        match subject {
            Subject::Limit => http::limit::serve(listen().await?).await,
            Subject::KafkaEcho(topic) => kafka::echo::serve(&topic, say).await,
            Subject::Runner(options) => subjects::serve(&options, say).await,
            Subject::Followers(followers) => stores::follow(&followers, say).await,
        }
    })
}

/// Binds and tells the driver where. Whoever connects before the server accepts waits in the
/// listener's queue.
async fn listen() -> Result<TcpListener, String> {
    let error = |error| format!("cannot listen on 127.0.0.1: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(error)?;
    say(&listener.local_addr().map_err(error)?.to_string());
    Ok(listener)
}

/// The line the driver waits for.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    // Without a driver nobody reads it, and that driver's end also ends this process.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
