//! Resident memory of our server after sends at full speed: what it keeps for good shows here.

use crate::child::{Server, Subject};
use crate::cli::Options;
use crate::http::load::Load;
use crate::report::{Aim, Row};
use crate::requests::{self, Binding};
use crate::subjects::Ask;

/// Megabytes a server may have.
const AIM: f64 = 250.0;

/// One fresh server of each kind, one long load, one reading.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>, String> {
    let seconds = options.memory_time().as_secs_f64();
    let name = format!("resident memory after {seconds:.0} s of task sends");
    let mut memory = Row::new(name, "MB", Aim::Below(AIM));
    let mut sends = Row::new("HTTP, task, HTTP+JSON, in those", "req/s", Aim::None);
    let request = requests::http(Binding::Rest, Ask::Task);
    let limit = (Subject::Echo, requests::ECHOED, &mut memory.limit, &mut sends.limit);
    let expected = requests::expected(Ask::Task);
    let ours = (Subject::Agent, expected, &mut memory.ours, &mut sends.ours);
    let ours = (!options.limits_only).then_some(ours);
    for (subject, expected, resident, rate) in [Some(limit), ours].into_iter().flatten() {
        let server = Server::start(&subject)?;
        let (address, connections) = (server.address().to_owned(), options.connections);
        let load = Load { address, request: request.clone(), expected, connections };
        rate.push(load.run(options.memory_time()).await?);
        resident.push(server.resident_mb()?);
    }
    Ok(vec![memory, sends])
}
