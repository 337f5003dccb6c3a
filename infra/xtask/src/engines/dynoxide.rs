//! dynoxide: DynamoDB's API over SQLite, in the place of DynamoDB Local, whose licence asks for an
//! account with AWS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::probe;
use super::program::{Kind, Running};
use crate::text::tail;
use crate::{cache, cargo};

/// The built release.
const VERSION: &str = "3.2.0";

const KIND: Kind =
    Kind { name: "dynoxide", folder: "a2a-dynoxide", signal: "KILL", ready: probe::dynamodb };

/// Its own settings ask for the smallest program, at twice the time these take to build.
const LIGHT: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
];

/// Starts it; all it knows is in memory.
pub(super) fn start() -> Result<Running, String> {
    let program = program()?.display().to_string();
    Running::start(&KIND, |_, port| {
        let port = port.to_string();
        let command = [&program, "serve", "--host", "127.0.0.1", "--port", &port];
        Ok(command.map(str::to_owned).to_vec())
    })
}

fn program() -> Result<PathBuf, String> {
    let home = cache::obtain(&cache::root()?, &format!("dynoxide-{VERSION}"), build)?;
    Ok(home.join("bin").join("dynoxide"))
}

/// Builds it with a target folder of its own, which is gone afterwards.
fn build(folder: &Path) -> Result<(), String> {
    eprintln!("xtask: building dynoxide {VERSION} with cargo, once (minutes)");
    let target = folder.join("target");
    let mut install = Command::new(cargo::program());
    install.args(["install", "dynoxide-rs", "--version", VERSION, "--locked", "--quiet"]);
    install.args(["--no-default-features", "--features", "cli,http-server,native-sqlite"]);
    install.arg("--root").arg(folder).arg("--target-dir").arg(&target);
    let output = install.envs(LIGHT.iter().copied()).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("dynoxide could not be built:\n{}", tail(&said, 20)));
    }
    fs::remove_dir_all(&target).map_err(|error| format!("cannot remove {target:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::program::tests::comes_and_goes;

    #[test]
    fn dynoxide_comes_and_goes() {
        comes_and_goes(start, &KIND);
    }
}
