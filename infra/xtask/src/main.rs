//! The project's own commands, `cargo xtask NAME`: this file owns the table of commands, help and
//! the exit code.
//!
//! The package has one dependency, so that the first `cargo xtask` in a fresh clone compiles in
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

use engines::Engines;
use kafka::Kafka;

/// What a command answers: the exit code of the tool it ran, or one sentence saying why it could
/// not run it.
type Outcome = Result<ExitCode, String>;

/// One row of the table of commands.
struct Command {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "test",
        usage: "test [--quick] [ARGS...]",
        about: "run every test of the workspace with every engine at hand (Kafka, two of DynamoDB's API, \
                Redis, PostgreSQL); --quick: those that need no engine; ARGS go to `cargo test`",
        run: test,
    },
    Command {
        name: "soak",
        usage: "soak [--times N] [--kit PATH]",
        about: "run what takes long (properties, simulation, chaos, the build for arm64, the conformance \
                kit), N times the usual counts, and print one table",
        run: soak::soak,
    },
    Command {
        name: "bench",
        usage: "bench [kafka|lambda|stores] [ARGS...]",
        about: "measure our servers, the Kafka path alone, the Lambda functions, or the stores, beside \
                the limit; ARGS: bench --help",
        run: bench,
    },
    Command {
        name: "chaos",
        usage: "chaos [--minutes N] [ARGS...]",
        about: "kill runners and brokers under load, then look whether anything was lost or done \
                twice; ARGS: chaos --help",
        run: chaos,
    },
    Command {
        name: "setup",
        usage: "setup",
        about: "install what the system lacks for all of these, or name it; each command does so for \
                itself",
        run: setup,
    },
    Command {
        name: "up",
        usage: "up",
        about: "start the same engines to work with, and print where they are",
        run: up::up,
    },
    Command {
        name: "down",
        usage: "down",
        about: "stop what `up` started, and remove its data",
        run: up::down,
    },
    Command {
        name: "conformance",
        usage: "conformance --kit PATH",
        about: "run a checkout of a2aproject/a2a-tck against the runner and the function (or \
                --against runner|function); what follows -- goes to pytest",
        run: conformance::run,
    },
    Command {
        name: "package",
        usage: "package [ARGS...]",
        about: "build the Lambda functions for release and check them; ARGS go to `cargo lambda build`",
        run: package::package,
    },
    Command {
        name: "lambda",
        usage: "lambda [ARGS...]",
        about: "run both functions under `cargo lambda watch` behind HTTP and a real Kafka; ARGS go to \
                the event source",
        run: lambda::run,
    },
    Command { name: "help", usage: "help", about: "print this text", run: help },
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command the first argument names; no argument at all asks for help.
fn dispatch(args: &[String]) -> Outcome {
    let Some((name, rest)) = args.split_first() else { return help(&[]) };
    let name = match name.as_str() {
        "-h" | "--help" => "help",
        other => other,
    };
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (command.run)(rest),
        None => Err(format!("there is no command {name:?}; `cargo xtask help` lists them")),
    }
}

fn help(_: &[String]) -> Outcome {
    print!("{}", help_text());
    Ok(ExitCode::SUCCESS)
}

fn help_text() -> String {
    let width = COMMANDS.iter().map(|command| command.usage.len()).max().unwrap_or(0);
    let rows = COMMANDS
        .iter()
        .map(|Command { usage, about, .. }| format!("  cargo xtask {usage:width$}  {about}\n"));
    let rows: String = rows.collect();
    format!(
        "The project's own commands:\n\n{rows}\n\
         Kafka comes from Maven, dynoxide from crates.io, moto and other tools from PyPI, once, into \
         $A2A_CACHE, else $XDG_CACHE_HOME/a2a-serverless, else ~/.cache/a2a-serverless. Redis and \
         PostgreSQL are the system's, else PyPI's. What the system lacks is installed by apt-get \
         where this runs as root.\n"
    )
}

fn setup(_: &[String]) -> Outcome {
    needs::satisfy(needs::For::Everything).map(|()| ExitCode::SUCCESS)
}

/// `cargo test --workspace` beside the engines, whose addresses the tests find in `A2A_TEST_KAFKA`
/// and its like. With the Kafka function's TLS and logins: they are tested, too.
fn test(args: &[String]) -> Outcome {
    if args.first().is_some_and(|arg| arg == "--quick") {
        needs::satisfy(needs::For::Build)?;
        return quick(&args[1..]);
    }
    let engines = Engines::start()?;
    let mut variables = engines.variables();
    variables.push(NO_VENDOR);
    let passed = cargo::run("test", &with_workspace(args), &variables)?;
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
fn quick(args: &[String]) -> Outcome {
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let (own, of_tests) = args.split_at(end);
    let mut all = with_workspace(own);
    // What the tests of functions start, and what `--test` leaves unbuilt.
    let built = cargo::run("build", &with_workspace(&["--examples".to_owned()]), &[NO_VENDOR])?;
    if built != ExitCode::SUCCESS {
        return Ok(built);
    }
    all.extend(["--lib", "--bins", "--test", "suite"].map(str::to_owned));
    all.push("--".to_owned());
    all.extend(of_tests.iter().skip(1).cloned());
    all.extend(["--skip", "engines::"].map(str::to_owned));
    cargo::run("test", &all, &[NO_VENDOR])
}

/// The release build of `a2a-bench`, which then runs beside a broker named by
/// `A2A_BENCH_KAFKA`. With the word `lambda` the functions are measured, with `kafka` that path
/// alone, with `stores` the stores beside the engines of the tests, else everything else.
fn bench(args: &[String]) -> Outcome {
    needs::satisfy(needs::For::Engines)?;
    let program = cargo::build_release("a2a-bench")?;
    let mut args = args.to_vec();
    if args.first().is_some_and(|arg| arg == "lambda") {
        args[0] = format!("--lambda-dir={}", package::measured()?);
        args.push("--only=lambda".to_owned());
    }
    if args.first().is_some_and(|arg| arg == "kafka") {
        args[0] = "--only=kafka".to_owned();
    }
    if args.iter().any(|arg| matches!(arg.as_str(), "-h" | "--help")) {
        return cargo::exec(&program, &args, &[]);
    }
    if args.first().is_some_and(|arg| arg == "stores") {
        let engines = Engines::start()?;
        return cargo::exec(&program, &args, &engines.variables());
    }
    let kafka = Kafka::start()?;
    cargo::exec(&program, &args, &[("A2A_BENCH_KAFKA", &kafka.address())])
}

/// `a2a-chaos`, as the tests build it, beside the engines and whatever brokers it asks for.
fn chaos(args: &[String]) -> Outcome {
    needs::satisfy(needs::For::Engines)?;
    let [program] = cargo::build_programs(["a2a-chaos"])?;
    if args.iter().any(|arg| matches!(arg.as_str(), "-h" | "--help")) {
        return cargo::exec(&program, args, &[]);
    }
    let engines = Engines::start()?;
    cargo::exec(&program, args, &engines.variables())
}

/// The whole workspace unless the caller chose packages. What follows `--` is for the tests, not
/// for cargo.
fn with_workspace(args: &[String]) -> Vec<String> {
    let selects = args.iter().take_while(|arg| *arg != "--").any(|arg| is_package_choice(arg));
    let mut all = Vec::with_capacity(args.len() + 1);
    if !selects {
        all.extend(["--workspace", "--features", "a2a-kafka/msk"].map(str::to_owned));
    }
    all.extend_from_slice(args);
    all
}

fn is_package_choice(arg: &str) -> bool {
    matches!(arg, "-p" | "--package" | "--workspace") || arg.starts_with("--package=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn help_names_every_command() {
        for command in COMMANDS {
            assert!(help_text().contains(&format!("cargo xtask {}", command.usage)));
        }
    }

    #[test]
    fn an_unknown_command_is_refused_by_name() {
        let reason = dispatch(&words("tset")).expect_err("there is no such command");
        assert!(reason.contains("\"tset\""), "{reason}");
    }

    #[test]
    fn help_is_what_no_argument_and_the_flags_give() {
        assert!(dispatch(&[]).is_ok());
        assert!(dispatch(&words("--help")).is_ok());
        assert!(dispatch(&words("-h")).is_ok());
    }

    #[test]
    fn tests_run_for_the_whole_workspace_unless_a_package_is_named() {
        let all = "--workspace --features a2a-kafka/msk";
        assert_eq!(with_workspace(&[]), words(all));
        assert_eq!(with_workspace(&words("-- -p x")), words(&format!("{all} -- -p x")));
        assert_eq!(with_workspace(&words("--doc -q")), words(&format!("{all} --doc -q")));
        assert_eq!(with_workspace(&words("-p a2a-core")), words("-p a2a-core"));
        assert_eq!(with_workspace(&words("--package=a2a-core")), words("--package=a2a-core"));
    }
}
