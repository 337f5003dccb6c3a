//! `cargo xtask conformance`: the official kit (`a2aproject/a2a-tck`, branch `1.0-dev`) against the
//! agent of `infra/conformance`.
//!
//! Owns: the command line, the server that the kit talks to, and running the kit. Which failures are
//! expected is `infra/conformance/expected.py`'s, all else is told by pytest. The kit's checkout is
//! the user's: it is read and run, and nothing is left in it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::process::{Process, free_ports};
use crate::{cargo, http, needs, tools};

/// How the kit's dependencies are read from its own list.
const DEPENDENCIES: &str = "import sys, tomllib\n\
     print('\\n'.join(tomllib.load(open(sys.argv[1], 'rb'))['project']['dependencies']))";

/// The function's name, of which its address is made. cargo-lambda takes none but the workspace's
/// own functions, and this is whose place the kit's agent takes.
const FUNCTION: &str = "a2a-http";

/// Where the kit keeps the tests that talk to an agent.
const TESTS: &str = "tests/compatibility";

/// The folder of our plugin for pytest.
const PLUGIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance");

/// What the kit is run against.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Target {
    /// The local runner
    Runner,
    /// The HTTP function under cargo lambda watch
    Function,
}

/// The command line.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A checkout of https://github.com/a2aproject/a2a-tck, branch 1.0-dev
    #[arg(long, value_name = "PATH")]
    kit: PathBuf,
    /// Only this one
    #[arg(long)]
    against: Option<Target>,
    /// Arguments of pytest's
    #[arg(last = true)]
    pytest: Vec<String>,
}

/// Builds the programs, then runs the kit against each target.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    needs::satisfy(needs::For::Engines)?;
    let kit = Kit::open(&options.kit)?;
    let [runner, function] = cargo::build_examples(["runner", "function"])?;
    let mut code = ExitCode::SUCCESS;
    let all = Target::value_variants().iter();
    for target in all.filter(|target| options.against.is_none_or(|only| only == **target)) {
        let server = match target {
            Target::Runner => Server::runner(&runner),
            Target::Function => Server::function(&function),
        }?;
        if !kit.run(&server, &options.pytest)? {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// A checkout of the kit, and a Python that has what it needs.
struct Kit {
    folder: PathBuf,
    python: PathBuf,
}

impl Kit {
    fn open(folder: &Path) -> Result<Self, String> {
        if !folder.join(TESTS).is_dir() {
            let folder = folder.display();
            return Err(format!("{folder} is no checkout of a2aproject/a2a-tck, branch 1.0-dev"));
        }
        // Its dependencies only: an installed kit would be a second one beside the checkout's.
        let listed = tools::script(DEPENDENCIES, folder.join("pyproject.toml").as_os_str())?;
        let packages: Vec<&str> = listed.lines().collect();
        let mut hasher = DefaultHasher::new();
        packages.hash(&mut hasher);
        let name = format!("a2a-tck-{:016x}", hasher.finish());
        let python = tools::python(&name, &packages)?.join("bin/python");
        Ok(Self { folder: folder.to_owned(), python })
    }

    /// Runs the tests, and answers whether all is as it should be.
    fn run(&self, server: &Server, pytest: &[String]) -> Result<bool, String> {
        let url = &server.url;
        eprintln!("xtask: the kit runs against {url}, about a minute");
        let mut kit = Command::new(&self.python);
        kit.current_dir(&self.folder).args(["-mpytest", TESTS, "-pno:cacheprovider", "-pexpected"]);
        // Of each test that did not pass, a line with its reason.
        kit.args(["-rfExXs", "--tb=short", "--quiet", "--transport=jsonrpc,http_json"]);
        kit.arg(format!("--sut-host={url}")).args(pytest).env("PYTHONPATH", PLUGIN);
        // Nothing is left in the checkout, and a proxy is not asked for this machine.
        kit.env("PYTHONDONTWRITEBYTECODE", "1").env("no_proxy", "127.0.0.1");
        let status = kit.stdin(Stdio::null()).status();
        Ok(status.map_err(|error| format!("cannot start the kit: {error}"))?.success())
    }
}

/// What the kit talks to: a process, or two. Dropping it stops them.
struct Server {
    _processes: Vec<Process>,
    /// Where the agent is reached.
    url: String,
}

impl Server {
    /// The local runner, over HTTP only.
    fn runner(program: &Path) -> Result<Self, String> {
        let [port] = free_ports()?;
        let command = Process::command(&[], program, &["--no-kafka", "--port", &port.to_string()]);
        let process = Process::start_apart(&command)?;
        let url = answering(&process, port, "")?;
        Ok(Self { _processes: vec![process], url })
    }

    /// The HTTP function, with cargo-lambda as the service around it.
    ///
    /// It is handed to cargo-lambda built, so there is nothing to compile or to watch there.
    fn function(program: &Path) -> Result<Self, String> {
        let [port] = free_ports()?;
        let (base, invoke) = (format!("/lambda-url/{FUNCTION}"), format!("--invoke-port={port}"));
        let watch = ["lambda", "watch", "--only-lambda-apis", "--disable-cors", &invoke];
        let watch = [&watch[..], &["--invoke-address=127.0.0.1"]].concat();
        let watch = Process::command(&[], &tools::cargo_lambda()?, &watch);
        let watch = Process::start_apart(&watch)?;
        // A function that finds no service ends. The service itself answers nothing without one.
        watch.wait_until(|_| TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        let variables = [
            ("AWS_LAMBDA_RUNTIME_API", &*format!("http://127.0.0.1:{port}/.rt/{FUNCTION}")),
            ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", FUNCTION),
            ("AWS_LAMBDA_LOG_STREAM_NAME", FUNCTION),
            // A stream stays open while other calls are served.
            ("AWS_LAMBDA_MAX_CONCURRENCY", "16"),
            ("A2A_NAME", FUNCTION),
            ("A2A_STORE", "memory:"),
            ("A2A_PUBLIC_URL", &format!("http://127.0.0.1:{port}{base}")),
        ];
        let function = Process::start_apart(&Process::command(&variables, program, &[]))?;
        let url = answering(&function, port, &base)?;
        Ok(Self { _processes: vec![watch, function], url })
    }
}

/// The agent's address, once a GET of what every A2A server answers first is answered well there.
fn answering(process: &Process, port: u16, base: &str) -> Result<String, String> {
    let (url, card) =
        (format!("http://127.0.0.1:{port}{base}"), format!("{base}/.well-known/agent-card.json"));
    let answers = |_: &str| {
        let status = http::status(port, &card, "", Duration::from_secs(5));
        status.is_ok_and(|status| status.contains(" 200"))
    };
    let answered = process.wait_until(answers);
    answered.map_err(|why| format!("no agent at {url}: the program {why}")).map(|()| url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_kit_is_named() {
        let reason = Kit::open(Path::new("/nowhere")).err().expect("no kit");
        assert!(reason.starts_with("/nowhere is no checkout"), "{reason}");
    }

    #[test]
    fn a_server_that_ends_is_told_with_its_log() {
        let reason = Server::runner(Path::new("/nowhere/runner")).err().expect("no such program");
        assert!(reason.contains("no agent at http://127.0.0.1:"), "{reason}");
        assert!(reason.contains("/nowhere/runner"), "{reason}");
    }
}
