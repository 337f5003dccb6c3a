//! The runner as a child process, its output by lines, and HTTP requests by hand. Dropping it kills
//! it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long the runner may take for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running runner.
pub(crate) struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// The lines a program has printed so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

/// How a runner ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Process {
    /// Starts the runner with these arguments and nothing of our environment that would configure
    /// it.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::run(Path::new(env!("CARGO_BIN_EXE_a2a-local")), arguments, variables)
    }

    /// The same with the agent of that example.
    pub(crate) fn start_example(
        name: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let programs = Path::new(env!("CARGO_BIN_EXE_a2a-local")).parent().unwrap();
        Self::run(&programs.join("examples").join(name), arguments, variables)
    }

    fn run(program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            let ours = name.to_string_lossy();
            if ours.starts_with("A2A_") || ours == "MATCHES_CSV" || ours.starts_with("RUST_") {
                command.env_remove(&name);
            }
        }
        let mut child = command.envs(variables.iter().copied()).spawn().unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// The first line on standard output that holds the text.
    pub(crate) fn printed(&mut self, text: &str) -> String {
        self.line(text, |process| &process.stdout)
    }

    /// The first line on standard error that holds the text.
    pub(crate) fn logged(&mut self, text: &str) -> String {
        self.line(text, |process| &process.stderr)
    }

    fn line(&mut self, text: &str, lines: fn(&Self) -> &Lines) -> String {
        let began = Instant::now();
        loop {
            if let Some(line) = lines(self).all().into_iter().find(|line| line.contains(text)) {
                return line;
            }
            if self.child.try_wait().unwrap().is_some() || began.elapsed() > PATIENCE {
                panic!("{text:?} was not printed; {:?} {:?}", self.stdout.all(), self.stderr.all());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where HTTP listens.
    pub(crate) fn address(&mut self) -> String {
        let line = self.printed("listens on http://");
        let (_, rest) = line.split_once("http://").unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }

    /// Everything on standard output so far.
    pub(crate) fn output(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// Everything on standard error so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.stderr.all()
    }

    /// Sends the signal of that name.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: the program is not installed everywhere.
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let began = Instant::now();
        while self.is_running() {
            assert!(began.elapsed() < PATIENCE, "it does not end; {:?}", self.stderr.all());
            thread::sleep(Duration::from_millis(5));
        }
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout: self.stdout.to_end(), stderr: self.stderr.to_end() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let kept = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                kept.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Once the program has ended: the reader holds the other reference until the pipe is empty.
    fn to_end(&self) -> Vec<String> {
        let began = Instant::now();
        while Arc::strong_count(&self.0) > 1 && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
        self.all()
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Makes one request on a connection of its own. `headers` are whole lines.
pub(crate) fn http(
    address: &str,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> Response {
    let mut stream = connect(address);
    let mut request = head(address, method, path, headers, body.len());
    request.push_str(body);
    stream.write_all(request.as_bytes()).unwrap();
    respond(stream)
}

/// A request's head; the caller sends the body later.
pub(crate) fn head(
    address: &str,
    method: &str,
    path: &str,
    headers: &[&str],
    length: usize,
) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for line in headers {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head + &format!("content-length: {length}\r\n\r\n")
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads a response that ends with its connection.
pub(crate) fn respond(mut stream: TcpStream) -> Response {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}
