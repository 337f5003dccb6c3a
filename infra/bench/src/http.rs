//! Requests a second over HTTP: a bare hyper JSON echo beside our `SendMessage`.
//!
//! Each figure has the echo answer the very bytes our server gets for it, so both read the same.

mod connection;
pub(crate) mod echo;
pub(crate) mod load;

pub(crate) use connection::{Connection, Framing};

use std::time::Duration;

use crate::child::Server;
use crate::cli::{Options, Port, Subject};
use crate::report::{Aim, Row};
use crate::requests::{self, Binding};
use crate::subjects::Ask;
use load::Load;

/// Both answers over both bindings, with what we want of each.
const FIGURES: [(Ask, &str, f64); 2] = [(Ask::Message, "message", 0.60), (Ask::Task, "task", 0.45)];

/// Code paths, allocators and sockets are warm after this long.
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures every figure.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>, String> {
    let echo = Server::start(&Subject::Echo(Port { port: 0 }))?;
    let agent = match options.limits_only {
        true => None,
        false => Some(Server::start(&Subject::Agent(Port { port: 0 }))?),
    };
    let mut rows = Vec::new();
    for (ask, name, share) in FIGURES {
        for binding in [Binding::Rest, Binding::JsonRpc] {
            let name = format!("HTTP, {name}, {}", binding.name());
            let row = Row::new(name, "req/s", Aim::ShareOfLimit(share));
            rows.push(figure(options, row, binding, ask, &echo, agent.as_ref()).await?);
        }
    }
    Ok(rows)
}

/// The limit and ours in turn, after a warm-up of both.
async fn figure(
    options: &Options,
    mut row: Row,
    binding: Binding,
    ask: Ask,
    echo: &Server,
    agent: Option<&Server>,
) -> Result<Row, String> {
    let request = requests::http(binding, ask);
    let load = |server: &Server, expected| {
        Load::new(server.address(), &request, expected, options.connections)
    };
    let limit = load(echo, requests::ECHOED);
    let ours = agent.map(|agent| load(agent, requests::expected(ask)));
    for load in [Some(&limit), ours.as_ref()].into_iter().flatten() {
        load.run(WARM_UP).await?;
    }
    for _ in 0..options.samples {
        row.limit.push(limit.run(options.sample_time()).await?);
        if let Some(ours) = &ours {
            row.ours.push(ours.run(options.sample_time()).await?);
        }
    }
    Ok(row)
}
