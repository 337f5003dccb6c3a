//! The child's side: runs one subject on a runtime of two workers, whatever the subject.

use std::fs;
use std::net::Ipv4Addr;
use std::process;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::child::{READY, Subject};
use crate::runtime::runtime;
use crate::{http, kafka, stores, subjects};

/// Serves the subject in this file, JSON, until the process is killed.
pub(crate) fn run(file: &str) -> Result<()> {
    let subject = serde_json::from_slice(&fs::read(file).context("no subject")?)?;
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
async fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.context("cannot listen on 127.0.0.1")?;
    say(&listener.local_addr()?.to_string());
    Ok(listener)
}

/// The line the driver waits for.
fn say(what: &str) {
    println!("{READY}{} {what}", process::id());
}
