//! Resident memory of our server after sends at full speed: what it keeps for good shows here.

use std::time::Duration;

use crate::child::{Server, Subject};
use crate::http::load::Load;
use crate::report::{Aim, Row};
use crate::requests::{self, Binding};
use crate::subjects::{self, Ask};
use anyhow::Result;

/// Megabytes a server may have.
const AIM: f64 = 250.0;
/// How long it is sent to.
const TIME: Duration = Duration::from_secs(60);

/// One fresh server of each kind, one long load, one reading.
pub(crate) async fn rows() -> Result<Vec<Row>> {
    let name = format!("resident memory after {} s of task sends", TIME.as_secs());
    let mut memory = Row::new(name, "MB", Aim::Below(AIM));
    let mut sends = Row::new("HTTP, task, HTTP+JSON, in those", "req/s", Aim::None);
    let ours = subjects::runner(&["--no-kafka"]);
    for (subject, expected, resident, rate) in [
        (Subject::Limit, requests::ECHOED, &mut memory.limit, &mut sends.limit),
        (ours, requests::expected(Ask::Task), &mut memory.ours, &mut sends.ours),
    ] {
        let server = Server::start(&subject)?;
        let load = Load::new(&server, requests::http(Binding::Rest, Ask::Task), expected);
        rate.push(load.run(TIME).await?);
        resident.push(server.resident_mb()?);
    }
    Ok(vec![memory, sends])
}
