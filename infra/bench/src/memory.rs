//! Resident memory of our server after sends at full speed: what it keeps for good shows here.

use crate::child::{Server, Subject};
use crate::cli::Options;
use crate::http::load::Load;
use crate::report::{Aim, Row};
use crate::requests::{self, Binding};
use crate::stats::Sample;
use crate::subjects::Ask;

/// Megabytes a server may have.
const AIM: f64 = 250.0;

/// One fresh server of each kind, one long load, one reading.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>, String> {
    let seconds = options.memory_time().as_secs_f64();
    let name = format!("resident memory after {seconds:.0} s of task sends");
    let mut memory = Row::new(name, "MB", Aim::Below(AIM));
    let mut sends = Row::new("HTTP, task, HTTP+JSON, in those", "req/s", Aim::None);
    let (resident, rate) = after_load(options, Subject::Echo, requests::ECHOED).await?;
    memory.limit.push(resident);
    sends.limit.push(rate);
    if !options.limits_only {
        let expected = requests::expected(Ask::Task);
        let (resident, rate) = after_load(options, Subject::Agent, expected).await?;
        memory.ours.push(resident);
        sends.ours.push(rate);
    }
    Ok(vec![memory, sends])
}

async fn after_load(
    options: &Options,
    subject: Subject,
    expected: &'static str,
) -> Result<(Sample, Sample), String> {
    let server = Server::start(&subject)?;
    let request = requests::http(Binding::Rest, Ask::Task);
    let (address, connections) = (server.address().to_owned(), options.connections);
    let load = Load { address, request, expected, connections };
    let rate = load.run(options.memory_time()).await?;
    Ok((Sample::of(server.resident_mb()?), rate))
}
