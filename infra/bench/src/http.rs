//! Requests a second over HTTP: a bare hyper JSON echo beside our `SendMessage`.
//!
//! Each figure has the echo answer the very bytes our server gets for it, so both read the same.

pub(crate) mod client;
pub(crate) mod echo;
pub(crate) mod load;

use std::time::Duration;

use crate::child::{Server, Subject};
use crate::cli::Options;
use crate::report::{Aim, Row};
use crate::requests::{self, Binding};
use crate::subjects::Ask;
use load::Load;

/// Both answers over both bindings, with what we want of each.
const FIGURES: [(Ask, &str, f64); 2] = [(Ask::Message, "message", 0.60), (Ask::Task, "task", 0.45)];

/// Code paths, allocators and sockets are warm after this long.
const WARM_UP: Duration = Duration::from_secs(1);

/// Measures every figure: the limit and ours in turn, after a warm-up of both.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>, String> {
    let echo = Server::start(&Subject::Echo)?;
    let agent = options.ours(&Subject::Agent)?;
    let mut rows = Vec::new();
    for (ask, name, share) in FIGURES {
        for binding in [Binding::Rest, Binding::JsonRpc] {
            let name = format!("HTTP, {name}, {}", binding.name());
            let row = Row::new(name, "req/s", Aim::ShareOfLimit(share));
            let (request, connections) = (requests::http(binding, ask), options.connections);
            let load = |server: &'_ Server, expected| Load {
                address: server.address().to_owned(),
                request: request.clone(),
                expected,
                connections,
            };
            let limit = load(&echo, requests::ECHOED);
            let ours = agent.as_ref().map(|agent| load(agent, requests::expected(ask)));
            for load in [Some(&limit), ours.as_ref()].into_iter().flatten() {
                load.run(WARM_UP).await?;
            }
            let subjects = (&limit, ours.as_ref());
            let time = options.sample_time();
            rows.push(row.sampled(options.samples, subjects, async |it| it.run(time).await).await?);
        }
    }
    Ok(rows)
}
