//! The child's side: runs one subject on a runtime of two workers, whatever the subject, and ends
//! with the driver.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::process;
use std::thread;

use tokio::net::TcpListener;

use crate::child::Subject;
use crate::runtime::runtime;
use crate::{http, kafka, sse, subjects};

/// Serves until the driver is gone.
pub(crate) fn run(subject: Subject) -> Result<(), String> {
    end_with_the_driver();
    runtime()?.block_on(serve(subject))
}

async fn serve(subject: Subject) -> Result<(), String> {
    match subject {
        Subject::Echo => http::echo::serve(listen().await?).await,
        Subject::Sse => sse::server::serve(listen().await?).await,
        Subject::Agent => subjects::serve_http(listen().await?).await,
        Subject::KafkaEcho(route) => kafka::echo::serve(&route, || say("ready")).await,
        Subject::KafkaAgent(route) => subjects::serve_kafka(&route, || say("ready")).await,
    }
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

/// The driver holds our standard input open and never writes to it.
fn end_with_the_driver() {
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
}
