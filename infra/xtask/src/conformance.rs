//! `cargo xtask conformance`: the official kit (`a2aproject/a2a-tck`, branch `1.0-dev`) against the
//! agent of `infra/conformance`.
//!
//! Owns: the command line, running the kit, and which failures are expected. [`server`] owns what
//! the kit talks to, [`report`] what is told of its results. The kit's checkout is the user's: it
//! is read and run, and nothing is left in it.

mod process;
mod report;
mod server;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::text::tail;
use crate::{cargo, python};
use process::Process;
use report::{Expected, Report};
use server::Server;

/// What may fail, and why. Whatever else fails makes the command fail.
const EXPECTED: &[Expected] = &[Expected {
    test: "http_json.test_http_status.TestHttpJsonStatusCodes.\
           test_content_type_not_supported_returns_415",
    reason: "the kit checks specification 1.0.0; since 1.0.1 this error is a 400, which we answer",
}];

/// How the kit's dependencies are read from its own list.
const DEPENDENCIES: &str = "import sys, tomllib\n\
     print('\\n'.join(tomllib.load(open(sys.argv[1], 'rb'))['project']['dependencies']))";

/// Where its results go, in a folder of ours.
const JUNIT: &str = "junit.xml";

/// Where the kit keeps the tests that talk to an agent.
const TESTS: &str = "tests/compatibility";

/// Builds the programs, then runs the kit against each target.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let options = Options::parse(args)?;
    let kit = Kit::open(&options.kit)?;
    let [runner, function] = cargo::build_examples(["runner", "function"])?;
    let mut code = ExitCode::SUCCESS;
    for target in options.targets {
        let server = match target {
            Target::Runner => Server::runner(&runner),
            Target::Function => Server::function(&function),
        }?;
        let outcomes = kit.run(&server, &options.pytest)?;
        let report = Report::read(&outcomes);
        print!("{}", report.text(target.name(), EXPECTED));
        if !report.is_good(EXPECTED) {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// What the kit is run against.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    Runner,
    Function,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Runner => "the local runner",
            Self::Function => "the HTTP function under cargo lambda watch",
        }
    }
}

/// The command line.
#[derive(Debug)]
struct Options {
    kit: PathBuf,
    targets: &'static [Target],
    /// For pytest; the kit's own words are then shown as well.
    pytest: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, String> {
        let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
        let pytest = args.get(end + 1..).unwrap_or_default().to_vec();
        let (mut kit, mut targets) = (None, &[Target::Runner, Target::Function][..]);
        let mut rest = args[..end].iter();
        while let Some(arg) = rest.next() {
            let value = rest.next().map(String::as_str);
            match (arg.as_str(), value) {
                ("--kit", Some(path)) => kit = Some(PathBuf::from(path)),
                ("--against", Some("runner")) => targets = &[Target::Runner],
                ("--against", Some("function")) => targets = &[Target::Function],
                ("--against", Some("both")) => {}
                ("--against", _) => {
                    return Err("--against takes runner, function or both".to_owned());
                }
                ("--kit", None) => return Err("--kit takes a folder".to_owned()),
                (other, _) => {
                    return Err(format!(
                        "conformance has no option {other:?}; arguments of pytest's follow after --"
                    ));
                }
            }
        }
        let kit = kit.ok_or(
            "--kit is missing: the folder of a checkout of \
             https://github.com/a2aproject/a2a-tck, branch 1.0-dev",
        )?;
        Ok(Self { kit, targets, pytest })
    }
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
        let listed = python::script(DEPENDENCIES, folder.join("pyproject.toml").as_os_str())?;
        let packages: Vec<String> = listed.lines().map(str::to_owned).collect();
        let mut hasher = DefaultHasher::new();
        packages.hash(&mut hasher);
        let name = format!("a2a-tck-{:016x}", hasher.finish());
        let python = python::program(&python::environment(&name, &packages)?);
        Ok(Self { folder: folder.to_owned(), python })
    }

    /// Runs the tests and answers their outcomes, a line each.
    fn run(&self, server: &Server, pytest: &[String]) -> Result<String, String> {
        eprintln!("xtask: the kit runs against {}, about a minute", server.url());
        let run = Process::start(|folder| self.command(folder, server, pytest))?;
        let code = loop {
            if let Some(code) = run.exited() {
                break code;
            }
            thread::sleep(Duration::from_millis(50));
        };
        if !pytest.is_empty() {
            print!("{}", run.log());
        }
        // 1 says that tests have failed; all above, that they were not run as they should.
        if !matches!(code, 0 | 1) {
            return Err(format!("the kit broke off with {code}:\n{}", tail(&run.log(), 40)));
        }
        report::outcomes(run.folder().join(JUNIT).as_os_str())
    }

    fn command(&self, folder: &Path, server: &Server, pytest: &[String]) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let inside = ["sh", "-c", r#"cd "$0" && exec env "$@""#].map(str::to_owned);
        let own = [
            // Nothing is left in the checkout, and a proxy is not asked for this machine.
            "PYTHONDONTWRITEBYTECODE=1".to_owned(),
            "no_proxy=127.0.0.1".to_owned(),
            text(&self.python),
            "-mpytest".to_owned(),
            TESTS.to_owned(),
            "-pno:cacheprovider".to_owned(),
            "--tb=short".to_owned(),
            "--quiet".to_owned(),
            "--transport=jsonrpc,http_json".to_owned(),
            format!("--sut-host={}", server.url()),
            format!("--junitxml={}", text(&folder.join(JUNIT))),
        ];
        [&inside[..], &[text(&self.folder)], &own, pytest].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn both_targets_unless_one_is_named() {
        let options = parse("--kit k").expect("enough");
        assert_eq!(options.targets, [Target::Runner, Target::Function]);
        let options = parse("--against function --kit k -- -k x").expect("enough");
        assert_eq!(options.targets, [Target::Function]);
        assert_eq!((options.kit, options.pytest), ("k".into(), vec!["-k".into(), "x".into()]));
    }

    #[test]
    fn a_mistake_is_named() {
        let said = |text| parse(text).expect_err("a mistake");
        assert!(said("").contains("--kit is missing"));
        assert!(said("--kit").contains("takes a folder"));
        assert!(said("--kit k --against all").contains("runner, function or both"));
        assert!(said("--kit k -k x").contains("\"-k\""));
        let reason = Kit::open(Path::new("/nowhere")).err().expect("no kit");
        assert!(reason.starts_with("/nowhere is no checkout"), "{reason}");
    }
}
