//! `cargo xtask lambda`: both functions under `cargo lambda watch`, a broker, and the event source
//! that carries records from the one to the other.
//!
//! It owns the three processes and their common end: Ctrl-C reaches only this process, whose death
//! the others notice; so nothing is left behind, however it ends.

use std::env;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::kafka::Kafka;
use crate::process::Process;
use crate::{cargo, http, needs, tools};

/// Where `cargo lambda watch` listens when nobody says otherwise, and so where
/// `cargo lambda invoke` looks.
const PORT: u16 = 9000;

/// Longer than a first build of both functions.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

const WATCH: &str = "cargo lambda watch";

const EVENT_SOURCE: [&str; 5] =
    ["--quiet", "--package", "a2a-emulator", "--bin=a2a-event-source", "--"];

/// Starts everything and waits for Ctrl-C. The arguments are the event source's.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let event_source = |own: &[&str]| {
        let words = EVENT_SOURCE.iter().chain(own).map(ToString::to_string);
        words.chain(args.iter().cloned()).collect::<Vec<_>>()
    };
    if cargo::asks_for_help(args) {
        return cargo::run("run", &event_source(&[]), &[]);
    }
    needs::satisfy(needs::For::Engines)?;
    let watch = tools::cargo_lambda()?.display().to_string();
    TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
        .map_err(|error| format!("port {PORT} is not free for `cargo lambda watch`: {error}"))?;
    let kafka = Kafka::start()?;
    let brokers = kafka.address();
    // The event source takes it from the environment too.
    let name = env::var("A2A_NAME").unwrap_or_else(|_| "data".to_owned());
    let functions = Process::start_shown(&watch_command(watch, &brokers, &name))?;
    warm_up(&functions)?;
    let tour = include_str!("lambda-tour.txt").replace("{port}", &PORT.to_string());
    println!("{}", tour.replace("{brokers}", &brokers).replace("{name}", &name));
    let address = format!("127.0.0.1:{PORT}");
    let own = ["--kafka", &brokers, "--invoke-address", &address];
    let mut command = vec![cargo::program().to_string_lossy().into_owned(), "run".to_owned()];
    command.extend(event_source(&own));
    let source = Process::start_shown(&command)?;
    loop {
        check(WATCH, &functions)?;
        check("the event source", &source)?;
        thread::sleep(Duration::from_millis(200));
    }
}

/// What a package's own metadata says of its environment would win over these flags: the brokers
/// must not be there.
fn watch_command(program: String, brokers: &str, name: &str) -> Vec<String> {
    let (brokers, name) = (format!("A2A_KAFKA={brokers}"), format!("A2A_NAME={name}"));
    let port = PORT.to_string();
    let address = ["lambda", "watch", "--invoke-address", "127.0.0.1", "--invoke-port", &port];
    let variables = ["--env-var", &brokers, "--env-var", &name, "--env-var", "A2A_STORE=memory:"];
    let words = address.into_iter().chain(variables).map(str::to_owned);
    std::iter::once(program).chain(words).collect()
}

/// Calls each function once, which builds it: minutes, the first time, and no record should wait
/// for that. What does not compile is said by cargo, and built again once its source is saved.
fn warm_up(functions: &Process) -> Result<(), String> {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).is_err() {
        check(WATCH, functions)?;
        thread::sleep(Duration::from_millis(50));
    }
    for (path, body) in [
        ("/lambda-url/a2a-http/.well-known/agent-card.json", ""),
        ("/2015-03-31/functions/a2a-kafka/invocations", r#"{"records":{}}"#),
    ] {
        http::status(PORT, path, body, BUILD_LIMIT)
            .map_err(|error| format!("a function was not reached: {error}"))?;
    }
    Ok(())
}

fn check(name: &str, program: &Process) -> Result<(), String> {
    let ended = |code| format!("{name} has ended with code {code}");
    program.exited().map_or(Ok(()), |code| Err(ended(code)))
}
