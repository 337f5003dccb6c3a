//! The engine: a real Apache Kafka, one KRaft node on loopback, without Docker and without an
//! installation.
//!
//! It owns the broker's whole life: fetched once ([`dist`]), started on free ports with its data in
//! a temp folder, ready once it answers real requests ([`probe`]), and gone, data and all, when
//! [`Engine`] is dropped or when this process dies in any way ([`guard`](crate::guard)). Tests that
//! take a broker away have one of their own ([`desk`]).

mod certificate;
mod desk;
mod dist;
mod probe;
mod settings;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use certificate::Certificate;
pub(crate) use desk::Desk;
use settings::Ports;

use crate::guard::Guarded;
use crate::scratch::Scratch;
use crate::text::tail;
use crate::{cache, ports};

/// The fetched release. The newest that runs on Java 17.
const VERSION: &str = "4.4.0";

/// The one user who can log in, as the data folder is formatted: test data, not a secret.
const USERNAME: &str = "agent";
const PASSWORD: &str = "s3cret";

/// Start-up takes 2 to 5 seconds; a machine this slow would fail every test anyway.
const START_LIMIT: Duration = Duration::from_secs(90);

/// How many lines of the broker's log are shown when it does not start.
const TAIL: usize = 40;

/// A running broker. Dropping it stops it and removes its data.
pub(crate) struct Engine {
    // Stopped before its folder goes: fields are dropped in this order. None between two starts.
    broker: Option<Guarded>,
    folder: Scratch,
    command: Vec<String>,
    clear: u16,
    address: String,
    tls: String,
    scram: String,
    authority: String,
}

/// Why a start failed, told apart because a lost port is worth another try.
enum Failure {
    PortTaken,
    Other(String),
}

impl Engine {
    /// Fetches Kafka where it is missing, starts it and waits until it is ready for clients and
    /// groups.
    pub(crate) fn start() -> Result<Self, String> {
        dist::require_java()?;
        let home = cache::obtain(&cache::root()?, &dist::folder_name(), dist::fetch)?;
        for _ in 0..3 {
            match Self::start_once(&home) {
                Ok(engine) => return Ok(engine),
                Err(Failure::PortTaken) => {}
                Err(Failure::Other(reason)) => return Err(reason),
            }
        }
        Err("Kafka did not start: each of three free ports was taken before it could bind"
            .to_owned())
    }

    /// The bootstrap address, `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What tests find of it in their environment: the bootstrap address in the clear, over TLS and
    /// with a login over TLS, the file that says whom to trust, and who may log in.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 6] {
        [
            ("A2A_TEST_KAFKA", &self.address),
            ("A2A_TEST_KAFKA_TLS", &self.tls),
            ("A2A_TEST_KAFKA_SCRAM", &self.scram),
            ("A2A_TEST_KAFKA_CA", &self.authority),
            ("A2A_TEST_KAFKA_USERNAME", USERNAME),
            ("A2A_TEST_KAFKA_PASSWORD", PASSWORD),
        ]
    }

    /// Kills the broker outright. Its data and its ports stay its own.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        self.broker.take().map_or(Ok(()), Guarded::end_keeping)
    }

    /// Starts it again with its data, where it was, and waits until it is ready.
    pub(crate) fn start_again(&mut self) -> Result<(), String> {
        self.stop()?;
        for _ in 0..5 {
            match run(&self.command, self.folder.path(), self.clear) {
                Ok(broker) => {
                    self.broker = Some(broker);
                    return Ok(());
                }
                // A client that tries to reach it may for a moment have the port itself.
                Err((Failure::PortTaken, broker)) => broker.map_or(Ok(()), Guarded::end_keeping)?,
                Err((Failure::Other(reason), _)) => return Err(reason),
            }
        }
        Err(format!("Kafka's port {} is taken by another", self.clear))
    }

    fn start_once(home: &Path) -> Result<Self, Failure> {
        let folder = Scratch::create("a2a-kafka").map_err(Failure::Other)?;
        let [clear, tls, scram, controller] = ports::free().map_err(Failure::Other)?;
        let ports = Ports { clear, tls, scram, controller };
        let certificate = Certificate::make(folder.path()).map_err(Failure::Other)?;
        let config = settings::write(home, folder.path(), &certificate, &ports);
        let command = dist::broker_command(home, &config.map_err(Failure::Other)?);
        let broker = run(&command, folder.path(), clear).map_err(|(failure, _)| failure)?;
        let broker = Some(broker);
        let [address, tls, scram] = [clear, tls, scram].map(|port| format!("127.0.0.1:{port}"));
        let authority = certificate.authority.display().to_string();
        Ok(Self { broker, folder, command, clear, address, tls, scram, authority })
    }
}

/// Runs the broker in its folder and waits until it is ready. One that does not get so far is given
/// back with the reason, where it was started at all.
fn run(
    command: &[String],
    folder: &Path,
    port: u16,
) -> Result<Guarded, (Failure, Option<Guarded>)> {
    let began = Instant::now();
    let broker =
        Guarded::start(command, folder).map_err(|reason| (Failure::Other(reason), None))?;
    if let Err(reason) = wait_until_ready(&broker, port, began) {
        return Err((explain(&reason, &broker), Some(broker)));
    }
    let seconds = began.elapsed().as_secs_f32();
    eprintln!("xtask: Kafka {VERSION} on 127.0.0.1:{port}, ready in {seconds:.1} s");
    Ok(broker)
}

fn wait_until_ready(broker: &Guarded, port: u16, began: Instant) -> Result<(), String> {
    loop {
        let missing = match probe::ready(port) {
            Ok(()) => return Ok(()),
            Err(missing) => missing,
        };
        if let Some(code) = broker.exited() {
            return Err(format!("Kafka ended with code {code} while starting"));
        }
        if began.elapsed() > START_LIMIT {
            let limit = START_LIMIT.as_secs();
            return Err(format!("Kafka was not ready within {limit} s: {missing}"));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Adds the end of the broker's log to why it did not start.
fn explain(reason: &str, broker: &Guarded) -> Failure {
    let log = fs::read(broker.log()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    if log.contains("java.net.BindException") || log.contains("Address already in use") {
        return Failure::PortTaken;
    }
    Failure::Other(format!("{reason}; the end of its log:\n{}", tail(&log, TAIL)))
}
