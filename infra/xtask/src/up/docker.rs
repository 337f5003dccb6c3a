//! The engines as containers, where Docker's engine runs: `infra/compose.yaml`.
//!
//! Owns: talking to `docker compose`, and the ports, which are chosen once and kept until the
//! containers are gone.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use super::exports;
use super::state::State;
use crate::engines::{Ports, variables};
use crate::ports;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../compose.yaml");

/// The file's variables.
const VARIABLES: [&str; 5] =
    ["A2A_PORT_KAFKA", "A2A_PORT_DYNAMODB", "A2A_PORT_MOTO", "A2A_PORT_REDIS", "A2A_PORT_POSTGRES"];

/// Whether containers can be started: the command alone is no engine, and an engine has not always
/// Compose.
pub(super) fn is_there() -> bool {
    let answers = |args: &[&str]| {
        let mut docker = Command::new("docker");
        docker.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        docker.status().is_ok_and(|status| status.success())
    };
    answers(&["info"]) && answers(&["compose", "version"])
}

/// Starts the containers that do not run, and waits until all are healthy. Answers whether some ran
/// already.
pub(super) fn up(state: &State) -> Result<bool, String> {
    let file = state.ports();
    let known = read(&file)?;
    let chosen = if let Some(ports) = known { ports } else { ports::free()? };
    if known.is_none() {
        let lines = VARIABLES.iter().zip(chosen).map(|(name, port)| format!("{name}={port}\n"));
        let text: String = lines.collect();
        fs::write(&file, text).map_err(|error| format!("cannot write {file:?}: {error}"))?;
    }
    let mut list = compose(chosen);
    list.args(["ps", "--quiet", "--status", "running"]).stderr(Stdio::inherit());
    let listed = list.output().map_err(|error| format!("cannot start docker: {error}"))?;
    finish(compose(chosen).args(["up", "--detach", "--wait"]))?;
    let [kafka, dynamodb, moto, redis, postgres] = chosen;
    let stores = Ports { dynamodb, moto, redis, postgres };
    let variables = variables(&format!("127.0.0.1:{kafka}"), &stores);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    state.set_environment(&exports::text(&variables))?;
    Ok(!listed.stdout.is_empty())
}

/// Removes the containers and their data. Answers whether there were any.
pub(super) fn down(state: &State) -> Result<bool, String> {
    let file = state.ports();
    let Some(ports) = read(&file)? else { return Ok(false) };
    finish(compose(ports).args(["--profile", "*", "down", "--volumes", "--remove-orphans"]))?;
    fs::remove_file(&file).map_err(|error| format!("cannot remove {file:?}: {error}"))?;
    Ok(true)
}

/// Given as variables, for those win over any others.
fn compose(ports: [u16; 5]) -> Command {
    let mut command = Command::new("docker");
    command.args(["compose", "--project-name", "a2a-serverless", "--file", FILE]);
    command.envs(VARIABLES.iter().zip(ports.map(|port| port.to_string()))).stdin(Stdio::null());
    command
}

/// What Compose says goes to our standard error: the output is for the addresses.
fn finish(command: &mut Command) -> Result<(), String> {
    let status = command.stdout(std::io::stderr()).status();
    let status = status.map_err(|error| format!("cannot start docker: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("docker compose failed: {status}; `cargo xtask down` removes what is there"))
}

/// The ports that were chosen for the containers, if there are containers.
fn read(file: &Path) -> Result<Option<[u16; 5]>, String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
    };
    let port = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let port = value.and_then(|value| value.parse().ok());
        port.ok_or_else(|| format!("{} names no port {name}: remove it", file.display()))
    };
    let [kafka, dynamodb, moto, redis, postgres] = VARIABLES.map(port);
    Ok(Some([kafka?, dynamodb?, moto?, redis?, postgres?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_file_has_every_port_on_loopback_only() {
        let text = fs::read_to_string(FILE).expect("the file");
        for name in VARIABLES {
            let mapped =
                text.lines().any(|line| line.contains(&format!("- \"127.0.0.1:${{{name}:-")));
            assert!(mapped, "{name}");
        }
        // DynamoDB Local's is the sixth.
        let mapped = |line: &&str| line.contains("- \"127.0.0.1:") && line.contains("}:");
        assert_eq!(text.lines().filter(mapped).count(), VARIABLES.len() + 1);
        assert_eq!(text.matches("    ports:\n").count(), VARIABLES.len() + 1);
    }

    #[test]
    fn ports_are_read_as_they_were_written() {
        let scratch = Scratch::create("xtask-docker").expect("a temp folder");
        let file = scratch.path().join("ports.env");
        assert_eq!(read(&file), Ok(None));
        let lines = |count| VARIABLES.iter().take(count).enumerate();
        let text =
            |count| lines(count).map(|(n, name)| format!("{name}={n}\n")).collect::<String>();
        fs::write(&file, text(5)).expect("written");
        assert_eq!(read(&file), Ok(Some([0, 1, 2, 3, 4])));
        fs::write(&file, text(4)).expect("written");
        let reason = read(&file).expect_err("one is missing");
        assert!(reason.contains("A2A_PORT_POSTGRES"), "{reason}");
    }
}
