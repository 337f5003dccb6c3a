//! `cargo xtask lambda`: both functions under `cargo lambda watch`, a broker, and the event source
//! that carries records from the one to the other.
//!
//! It owns the three processes and their common end. Ctrl-C reaches only this process, whose death
//! the others notice; so nothing is left behind, however it ends.

use std::env;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cargo_lambda;
use crate::kafka::Engine;

/// Where `cargo lambda watch` listens when nobody says otherwise, and so where
/// `cargo lambda invoke` looks.
const PORT: u16 = 9000;

/// How long `cargo lambda watch` may take to listen: it reads the workspace first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Runs a program until it ends or until our end of the pipe closes, as it does when we are killed;
/// then the program is asked to end, and made to if it does not. A background job of a shell reads
/// from nowhere unless told otherwise, hence descriptor 3.
const SCRIPT: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & program=$!
{ read -r _ <&3; kill -TERM "$program"; sleep 10; kill -KILL "$program"; } 2>/dev/null & watcher=$!
wait "$program"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"
"#;

/// Starts everything and waits for Ctrl-C. The arguments are the event source's.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if args.iter().any(|arg| matches!(arg.as_str(), "-h" | "--help")) {
        let status = Command::new(cargo).args(EVENT_SOURCE).args(args).status();
        status.map_err(|error| format!("cannot start cargo: {error}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let watch = cargo_lambda::program()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
        .map_err(|error| format!("port {PORT} is not free for `cargo lambda watch`: {error}"))?;
    let kafka = Engine::start()?;
    // The event source takes it from the environment too.
    let name = env::var("A2A_NAME").unwrap_or_else(|_| "data".to_owned());
    let watching = watch_args(kafka.address(), &name);
    let mut functions = Companion::start("cargo lambda watch", watch.into(), &watching)?;
    wait_until_it_listens(&mut functions)?;
    warm_up(&mut functions)?;
    println!("{}", tour(kafka.address(), &name));
    let mut source: Vec<String> = EVENT_SOURCE.map(str::to_owned).to_vec();
    let address = format!("127.0.0.1:{PORT}");
    let own = ["--kafka", kafka.address(), "--invoke-address", &address];
    source.extend(own.map(str::to_owned));
    source.extend_from_slice(args);
    let mut source = Companion::start("the event source", cargo, &source)?;
    loop {
        functions.check()?;
        source.check()?;
        thread::sleep(Duration::from_millis(200));
    }
}

/// Cargo replaces itself with the program it runs, so a signal to it is one to the program.
const EVENT_SOURCE: [&str; 6] =
    ["run", "--quiet", "--package", "a2a-emulator", "--bin=a2a-event-source", "--"];

/// What a package's own metadata says of its environment would win over these flags: the brokers
/// must not be there.
fn watch_args(brokers: &str, name: &str) -> Vec<String> {
    let (brokers, name) = (format!("A2A_KAFKA={brokers}"), format!("A2A_NAME={name}"));
    let port = PORT.to_string();
    let address = ["--invoke-address", "127.0.0.1", "--invoke-port", &port];
    let variables = ["--env-var", &brokers, "--env-var", &name, "--env-var", "A2A_STORE=memory:"];
    let all = ["lambda", "watch"].into_iter().chain(address).chain(variables);
    all.map(str::to_owned).collect()
}

fn wait_until_it_listens(functions: &mut Companion) -> Result<(), String> {
    let began = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).is_err() {
        functions.check()?;
        if began.elapsed() > START_LIMIT {
            let limit = START_LIMIT.as_secs();
            return Err(format!("`cargo lambda watch` does not listen within {limit} s"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Calls each function once, which builds it: minutes, the first time, and no record should wait
/// for that. What does not compile is said by cargo, and built again once its source is saved.
fn warm_up(functions: &mut Companion) -> Result<(), String> {
    let card = "GET /lambda-url/a2a-http/.well-known/agent-card.json HTTP/1.1\r\n";
    let nothing = "POST /2015-03-31/functions/a2a-kafka/invocations HTTP/1.1\r\n";
    for (request, body) in [(card, ""), (nothing, r#"{"records":{}}"#)] {
        let length = body.len();
        let head = "host: localhost\r\nconnection: close\r\ncontent-length:";
        let request = format!("{request}{head} {length}\r\n\r\n{body}");
        call(&request, functions)
            .map_err(|error| format!("a function was not reached: {error}"))?;
    }
    Ok(())
}

/// Sends a request and waits until something is answered, or until the one who should has ended.
fn call(request: &str, functions: &mut Companion) -> Result<(), String> {
    let say = |error: std::io::Error| error.to_string();
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).map_err(say)?;
    socket.set_read_timeout(Some(Duration::from_millis(500))).map_err(say)?;
    socket.write_all(request.as_bytes()).map_err(say)?;
    loop {
        match socket.read(&mut [0; 64]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                functions.check()?;
            }
            read => return read.map(drop).map_err(say),
        }
    }
}

/// Lines to paste.
fn tour(brokers: &str, name: &str) -> String {
    let tour = include_str!("lambda-tour.txt").replace("{port}", &PORT.to_string());
    tour.replace("{brokers}", brokers).replace("{name}", name)
}

/// A program beside us that ends when we do.
struct Companion {
    name: &'static str,
    shell: Child,
}

impl Companion {
    fn start(name: &'static str, program: OsString, args: &[String]) -> Result<Self, String> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "companion"]).arg(program).args(args);
        // A group of its own: Ctrl-C is for us, and the pipe tells the others.
        let shell = command.stdin(Stdio::piped()).process_group(0).spawn();
        let shell = shell.map_err(|error| format!("cannot start sh for {name}: {error}"))?;
        Ok(Self { name, shell })
    }

    /// That it still runs.
    fn check(&mut self) -> Result<(), String> {
        match self.shell.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} has ended: {status}", self.name)),
            Err(error) => Err(format!("{} cannot be waited for: {error}", self.name)),
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        // Closing the pipe is the whole message.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_companion_ends_with_its_owner() {
        let args = ["-c", "echo $$; exec sleep 600"].map(str::to_owned);
        let mut companion = Companion::start("sleep", "sh".into(), &args).expect("sh starts");
        companion.check().expect("it runs");
        let began = Instant::now();
        drop(companion);
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn an_end_is_told_with_its_code() {
        let args = ["-c", "exit 7"].map(str::to_owned);
        let mut companion = Companion::start("a program", "sh".into(), &args).expect("sh starts");
        let reason = loop {
            if let Err(reason) = companion.check() {
                break reason;
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(reason, "a program has ended: exit status: 7");
    }

    #[test]
    fn the_lines_to_paste_name_the_broker() {
        let tour = tour("127.0.0.1:1234", "data");
        assert_eq!(tour.matches("kcat -b 127.0.0.1:1234").count(), 2);
        assert!(tour.contains(r#"{"message":{"text":"Terran win rate"}}"#), "{tour}");
    }
}
