//! What the kit talks to: a process, or two, that end with this one.
//!
//! Owns: starting them and knowing when they answer. Must never know: the kit.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::process::Process;
use crate::text::tail;
use crate::{cargo_lambda, ports};

/// What every A2A server answers first.
const CARD: &str = "/.well-known/agent-card.json";

/// The function's name, of which its address is made. cargo-lambda takes none but the workspace's
/// own functions, and this is whose place the kit's agent takes.
const NAME: &str = "a2a-http";

/// Start-up takes a second; a machine this slow would fail the kit's own limits.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Long enough for a busy machine; what fails is tried again anyway.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running server. Dropping it stops it.
pub(super) struct Server {
    /// The last one started ends first.
    processes: Vec<Process>,
    port: u16,
    /// What stands before the card's path.
    base: String,
}

impl Server {
    /// The local runner, over HTTP only.
    pub(super) fn runner(program: &Path) -> Result<Self, String> {
        let [port] = ports::free()?;
        let port_text = port.to_string();
        let program = &*text(program);
        // `cargo xtask up` may have named a Kafka in this environment, which is not wanted here.
        let command = ["env", "-u", "A2A_KAFKA", program, "--no-kafka", "--port", &port_text];
        let command = command.map(str::to_owned);
        let runner = Process::start(|_| command.into())?;
        Self { processes: vec![runner], port, base: String::new() }.ready(answers)
    }

    /// The HTTP function, with cargo-lambda as the service around it.
    ///
    /// It is handed to cargo-lambda built, so there is nothing to compile or to watch there.
    pub(super) fn function(program: &Path) -> Result<Self, String> {
        let [port] = ports::free()?;
        let service = text(&cargo_lambda::program()?);
        let port_text = port.to_string();
        let command = [
            &*service,
            "lambda",
            "watch",
            "--only-lambda-apis",
            "--disable-cors",
            "--invoke-address",
            "127.0.0.1",
            "--invoke-port",
            &port_text,
        ];
        let service = Process::start(|_| command.map(str::to_owned).into())?;
        let base = format!("/lambda-url/{NAME}");
        // A function that finds no service ends. The service itself answers nothing without one.
        let mut server = Self { processes: vec![service], port, base }
            .ready(|port, _| connect(port).map(drop).map_err(|error| error.to_string()))?;
        let url = server.url();
        let variables = [
            ("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{port}/.rt/{NAME}")),
            ("AWS_LAMBDA_FUNCTION_NAME", NAME.to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", NAME.to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", NAME.to_owned()),
            // A stream stays open while other calls are served.
            ("AWS_LAMBDA_MAX_CONCURRENCY", "16".to_owned()),
            ("A2A_NAME", NAME.to_owned()),
            ("A2A_STORE", "memory:".to_owned()),
            ("A2A_PUBLIC_URL", url),
        ];
        let mut command = vec!["env".to_owned()];
        command.extend(variables.map(|(name, value)| format!("{name}={value}")));
        command.push(text(program));
        server.processes.push(Process::start(|_| command)?);
        server.ready(answers)
    }

    /// Where the agent is reached.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.base)
    }

    /// Waits until this is so of the port and the card's path.
    fn ready(self, check: impl Fn(u16, &str) -> Result<(), String>) -> Result<Self, String> {
        let began = Instant::now();
        let path = format!("{}{CARD}", self.base);
        loop {
            let missing = match check(self.port, &path) {
                Ok(()) => return Ok(self),
                Err(missing) => missing,
            };
            let ended = self.processes.iter().any(|process| process.exited().is_some());
            if ended || began.elapsed() > START_LIMIT {
                let logs = self.processes.iter().map(|process| tail(&process.log(), 20));
                let logs = Vec::from_iter(logs).join("\n");
                return Err(format!("no agent at {}: {missing}\n{logs}", self.url()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        while self.processes.pop().is_some() {}
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Whether a GET of this path is answered well; if not, what came instead.
fn answers(port: u16, path: &str) -> Result<(), String> {
    let status = status(port, path).map_err(|error| error.to_string())?;
    if status.contains(" 200") { Ok(()) } else { Err(status) }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn status(port: u16, path: &str) -> io::Result<String> {
    let mut stream = connect(port)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = [0; 64];
    let length = stream.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    Ok(head.lines().next().unwrap_or("an empty answer").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn only_a_good_answer_counts() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let server = thread::spawn(move || {
            for answer in ["HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut request = [0; 256];
                let length = stream.read(&mut request).expect("a request");
                assert!(request[..length].starts_with(b"GET /x HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).expect("answered");
            }
        });
        assert_eq!(answers(port, "/x"), Err("HTTP/1.1 502 Bad Gateway".to_owned()));
        assert_eq!(answers(port, "/x"), Ok(()));
        server.join().expect("no assertion failed");
        assert!(answers(port, "/x").is_err(), "nobody listens any more");
    }

    #[test]
    fn a_server_that_ends_is_told_with_its_log() {
        let program = Path::new("/nowhere/runner");
        let reason = Server::runner(program).err().expect("there is no such program");
        assert!(reason.contains("no agent at http://127.0.0.1:"), "{reason}");
        assert!(reason.contains("/nowhere/runner"), "{reason}");
    }
}
