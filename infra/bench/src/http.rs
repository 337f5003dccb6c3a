//! Requests a second over HTTP: a bare hyper JSON echo beside our `SendMessage`.
//!
//! Each figure has the echo answer the very bytes our server gets for it, so both read the same.

pub(crate) mod client;
pub(crate) mod limit;
pub(crate) mod load;

use std::time::Duration;

use crate::child::{Server, Subject};
use crate::cli::Options;
use crate::report::{Aim, Row};
use crate::requests::{self, Binding};
use crate::subjects::{self, Ask};
use anyhow::Result;
use load::Load;

/// Both answers over both bindings, with what we want of each.
const FIGURES: [(Ask, &str, f64); 2] = [(Ask::Message, "message", 0.60), (Ask::Task, "task", 0.45)];

/// Code paths, allocators and sockets are warm after this long.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long a sample takes.
const SAMPLE: Duration = Duration::from_secs(3);

/// Measures every figure: the limit and ours in turn, after a warm-up of both.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>> {
    let echo = Server::start(&Subject::Limit)?;
    let agent = Server::start(&subjects::runner(&["--no-kafka"]))?;
    let mut rows = Vec::new();
    for (ask, name, share) in FIGURES {
        for binding in [Binding::Rest, Binding::JsonRpc] {
            let name = format!("HTTP, {name}, {}", binding.name());
            let row = Row::new(name, "req/s", Aim::ShareOfLimit(share));
            let limit = Load::new(&echo, requests::http(binding, ask), requests::ECHOED);
            let ours = Load::new(&agent, requests::http(binding, ask), requests::expected(ask));
            for load in [&limit, &ours] {
                load.run(WARM_UP).await?;
            }
            let sample = async |load: &Load| load.run(SAMPLE).await;
            rows.push(row.sampled(options.samples, (&limit, &ours), sample).await?);
        }
    }
    Ok(rows)
}
