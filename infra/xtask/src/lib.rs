//! The project's own commands, `cargo xtask NAME`: this file owns the table of commands and the exit
//! code.
//!
//! Its broker and its processes are for the chaos run, too.
//!
//! The package has few dependencies, so that the first `cargo xtask` in a fresh clone compiles in
//! seconds.

mod cache;
mod cargo;
mod conformance;
mod engines;
mod http;
mod kafka;
mod lambda;
mod needs;
mod package;
mod process;
mod soak;
mod tools;
mod up;

use std::env;
use std::process::ExitCode;

use clap::{Args, Parser};

use engines::Engines;

pub use kafka::Kafka;
pub use process::Process;

/// What a command answers: the exit code of the tool it ran, or one sentence saying why it could
/// not run it.
type Outcome = Result<ExitCode, String>;

/// The project's own commands
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", after_help = SOURCES)]
enum Command {
    /// Run every test of the workspace with every engine at hand: Kafka, two of DynamoDB's API,
    /// Redis, PostgreSQL
    Test(Test),
    /// Run what takes long (properties, simulation, chaos, the build for arm64, the conformance
    /// kit), N times the usual counts, and print one table
    Soak(soak::Options),
    /// Measure our servers, or with a first word kafka, lambda, stores or slow only those, beside
    /// the limit; the rest: bench --help
    #[command(disable_help_flag = true)]
    Bench(Rest),
    /// Kill runners and brokers under load, then look whether anything was lost or done twice; the
    /// rest: chaos --help
    #[command(disable_help_flag = true)]
    Chaos(Rest),
    /// Install what the system lacks for all of these, or name it; each command does so for itself
    Setup,
    /// Start the same engines to work with, and print where they are
    Up {
        /// Be the process that holds them
        #[arg(long, hide = true)]
        hold: bool,
    },
    /// Stop what `up` started, and remove its data
    Down,
    /// Run a checkout of a2aproject/a2a-tck against the runner and the function
    Conformance(conformance::Options),
    /// Build the Lambda functions for release and check them; the rest goes to `cargo lambda build`
    #[command(disable_help_flag = true)]
    Package(Rest),
    /// Run both functions under `cargo lambda watch` behind HTTP and a real Kafka; the rest goes to
    /// the event source
    #[command(disable_help_flag = true)]
    Lambda(Rest),
}

/// What is said below all commands.
const SOURCES: &str = "Kafka comes from Maven, dynoxide from crates.io, moto and other tools from \
    PyPI, once, into $A2A_CACHE, else $XDG_CACHE_HOME/a2a-serverless, else ~/.cache/a2a-serverless. \
    Redis and PostgreSQL are the system's, else PyPI's. What the system lacks is installed by \
    apt-get where this runs as root.";

/// What another program takes.
#[derive(Debug, Args)]
struct Rest {
    #[arg(allow_hyphen_values = true)]
    args: Vec<String>,
}

/// How tests are run.
#[derive(Debug, Args)]
struct Test {
    /// Only those that need no engine
    #[arg(long)]
    quick: bool,
    /// For `cargo test`
    #[arg(allow_hyphen_values = true)]
    args: Vec<String>,
    /// For the tests themselves
    #[arg(last = true)]
    of_tests: Vec<String>,
}

/// Reads the command line and does as it says; a whole program.
pub fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Test(options) => test(&options),
        Command::Soak(options) => soak::soak(&options),
        Command::Bench(rest) => bench(rest.args),
        Command::Chaos(rest) => chaos(&rest.args),
        Command::Setup => needs::satisfy(needs::For::Everything).map(|()| ExitCode::SUCCESS),
        Command::Up { hold: false } => up::up(),
        Command::Up { hold: true } => up::hold(),
        Command::Down => up::down(),
        Command::Conformance(options) => conformance::run(&options),
        Command::Package(rest) => package::package(&rest.args),
        Command::Lambda(rest) => lambda::run(&rest.args),
    };
    outcome.unwrap_or_else(|reason| {
        eprintln!("xtask: {reason}");
        ExitCode::FAILURE
    })
}

/// `cargo test --workspace` beside the engines, whose addresses the tests find in `A2A_TEST_KAFKA`
/// and its like. With the Kafka function's TLS and logins: they are tested, too.
fn test(options: &Test) -> Outcome {
    if options.quick {
        needs::satisfy(needs::For::Build)?;
        return quick(options);
    }
    let engines = Engines::start()?;
    let mut variables = engines.variables();
    variables.push(NO_VENDOR);
    let all = with_workspace(&options.args, &options.of_tests);
    let passed = cargo::run("test", &all, &variables)?;
    if passed != ExitCode::SUCCESS || env::var_os("A2A_TEST_DYNAMODB_ENDPOINT").is_none() {
        return Ok(passed);
    }
    // The caller names one more engine: DynamoDB Local, or the service itself.
    let words = ["-p", "a2a-core", "--test", "stores", "--", "--ignored", "endpoint"];
    cargo::run("test", &words.map(str::to_owned), &variables)
}

/// OpenSSL is the system's here; functions are packaged with one built from source.
const NO_VENDOR: (&str, &str) = ("OPENSSL_NO_VENDOR", "1");

/// What needs no engine.
fn quick(options: &Test) -> Outcome {
    // What the tests of functions start, and what `--test` leaves unbuilt.
    let examples = with_workspace(&["--examples".to_owned()], &[]);
    let built = cargo::run("build", &examples, &[NO_VENDOR])?;
    if built != ExitCode::SUCCESS {
        return Ok(built);
    }
    let parts = ["--lib", "--bins", "--test", "suite"].map(str::to_owned);
    let without = ["--skip", "engines::"].map(str::to_owned);
    let own = [&options.args[..], &parts].concat();
    let all = with_workspace(&own, &[&options.of_tests[..], &without].concat());
    cargo::run("test", &all, &[NO_VENDOR])
}

/// The release build of `a2a-bench`, which then runs beside a broker named by
/// `A2A_BENCH_KAFKA`. With the word `lambda` the functions are measured, with `kafka` that path
/// alone, with `slow` agents that take their time, with `stores` the stores beside the engines of the
/// tests, else everything else.
fn bench(mut args: Vec<String>) -> Outcome {
    needs::satisfy(needs::For::Engines)?;
    let program = cargo::build_release("a2a-bench")?;
    if cargo::asks_for_help(&args) {
        return cargo::exec(&program, &args, &[]);
    }
    match args.first().map(String::as_str) {
        Some("lambda") => {
            args[0] = format!("--lambda-dir={}", package::measured()?);
            args.push("--only=lambda".to_owned());
        }
        Some("kafka") => args[0] = "--only=kafka".to_owned(),
        Some("stores") => {
            let engines = Engines::start()?;
            return cargo::exec(&program, &args, &engines.variables());
        }
        _ => {}
    }
    let kafka = Kafka::start()?;
    cargo::exec(&program, &args, &[("A2A_BENCH_KAFKA", &kafka.address())])
}

/// `a2a-chaos`, as the tests build it, beside the engines.
fn chaos(args: &[String]) -> Outcome {
    needs::satisfy(needs::For::Engines)?;
    let [program] = cargo::build_programs(["a2a-chaos"])?;
    if cargo::asks_for_help(args) {
        return cargo::exec(&program, args, &[]);
    }
    let engines = Engines::start()?;
    cargo::exec(&program, args, &engines.variables())
}

/// The whole workspace unless the caller chose packages. What follows `--` is for the tests, not
/// for cargo.
fn with_workspace(args: &[String], of_tests: &[String]) -> Vec<String> {
    let is_choice = |arg: &String| {
        matches!(arg.as_str(), "-p" | "--package" | "--workspace") || arg.starts_with("--package=")
    };
    let workspace: &[&str] = match args.iter().any(is_choice) {
        true => &[],
        false => &["--workspace", "--features", "a2a-kafka/msk"],
    };
    let mut all: Vec<String> = workspace.iter().copied().map(str::to_owned).collect();
    all.extend_from_slice(args);
    if !of_tests.is_empty() {
        all.push("--".to_owned());
        all.extend_from_slice(of_tests);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(text: &str) -> Result<Command, String> {
        Command::try_parse_from(text.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn help_names_every_command() {
        Command::command().debug_assert();
        let help = Command::command().render_help().to_string();
        for command in Command::command().get_subcommands() {
            assert!(help.contains(command.get_name()), "{help}");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, said) in [
            ("xtask tset", "'tset'"),
            ("xtask soak --times", "a value is required"),
            ("xtask soak --times 0", "1..=1000"),
            ("xtask soak -x y", "-x"),
            ("xtask conformance", "--kit <PATH>"),
            ("xtask conformance --kit", "a value is required"),
            ("xtask conformance --kit k --against all", "runner, function"),
            ("xtask conformance --kit k -k x", "-k"),
            ("xtask up now", "'now'"),
        ] {
            let reason = parse(text).expect_err("a mistake");
            assert!(reason.contains(said), "{reason}");
        }
        assert!(parse("xtask conformance --against function --kit k -- -k x").is_ok());
    }

    #[test]
    fn help_is_what_no_argument_and_the_flags_give() {
        for text in ["xtask", "xtask --help", "xtask -h"] {
            assert!(parse(text).expect_err("help").contains("Commands:"));
        }
    }

    #[test]
    fn tests_run_for_the_whole_workspace_unless_a_package_is_named() {
        let all = "--workspace --features a2a-kafka/msk";
        for (given, expected) in [
            ("", all.to_owned()),
            ("-- -p x", format!("{all} -- -p x")),
            ("--doc -q", format!("{all} --doc -q")),
            ("-p a2a-core", "-p a2a-core".to_owned()),
            ("--package=a2a-core x -- y", "--package=a2a-core x -- y".to_owned()),
        ] {
            let Ok(Command::Test(test)) = parse(&format!("xtask test {given}")) else {
                panic!("{given}")
            };
            assert_eq!(with_workspace(&test.args, &test.of_tests).join(" "), expected);
        }
    }

    #[test]
    fn what_another_program_takes_is_passed_on() {
        let Ok(Command::Bench(rest)) = parse("xtask bench stores --quick --help") else {
            panic!("a bench")
        };
        assert_eq!(rest.args, ["stores", "--quick", "--help"]);
    }
}
