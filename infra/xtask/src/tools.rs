//! What comes from a package registry, once, into the cache.
//!
//! Owns: Python environments and programs that cargo builds. Must never know: what they are for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{cache, cargo, needs};

/// The folder of a Python environment that holds these packages, made where it is missing. The name
/// stands for its content: other packages, another name.
///
/// An environment is moved once it is complete, after which the scripts in its `bin` no longer
/// find their Python; `bin/python -m NAME` and programs that are no scripts run anywhere.
pub(crate) fn python(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    cache::obtain(&cache::root()?, name, |folder| {
        eprintln!("xtask: fetching {name} from PyPI, once");
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(folder);
        output(venv, "no Python environment (apt-get install python3-venv)")?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(packages);
        output(pip, &format!("pip could not install {name}")).map(drop)
    })
}

/// The first file below an environment's packages whose path ends so.
pub(crate) fn packaged(environment: &Path, ending: &str) -> Result<PathBuf, String> {
    let mut find = Command::new("find");
    find.arg(environment).args(["-path", &format!("*/{ending}"), "-type", "f"]);
    let found = output(find, "cannot look into a Python environment")?;
    let first = found.lines().next().map(PathBuf::from);
    first.ok_or_else(|| format!("{} has no {ending}", environment.display()))
}

/// What a Python script prints. The system's own Python runs it: it needs no packages.
pub(crate) fn script(text: &str, argument: &OsStr) -> Result<String, String> {
    let mut python = Command::new("python3");
    python.arg("-c").arg(text).arg(argument);
    output(python, "Python 3.11 or newer is needed (apt-get install python3)")
}

/// A program of crates.io, built once, quickly rather than for speed.
pub(crate) fn cargo_install(
    name: &str,
    version: &str,
    program: &str,
    args: &[&str],
) -> Result<PathBuf, String> {
    let home = cache::obtain(&cache::root()?, &format!("{program}-{version}"), |folder| {
        eprintln!("xtask: building {program} {version} with cargo, once (minutes)");
        let target = folder.join("target");
        let mut install = Command::new(cargo::program());
        install.args(["install", name, "--version", version, "--locked", "--quiet"]).args(args);
        install.arg("--root").arg(folder).arg("--target-dir").arg(&target);
        install.envs([
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
            ("CARGO_PROFILE_RELEASE_LTO", "off"),
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
        ]);
        output(install, &format!("{program} could not be built"))?;
        std::fs::remove_dir_all(&target)
            .map_err(|error| format!("cannot remove {target:?}: {error}"))
    })?;
    Ok(home.join("bin").join(program))
}

/// cargo-lambda: from the PATH, else from PyPI. It takes its commands after the word `lambda`.
///
/// The fetched one brings zig, for builds for another machine: these need the program's own folder
/// at the front of the PATH.
pub(crate) fn cargo_lambda() -> Result<PathBuf, String> {
    const PACKAGE: &str = "cargo-lambda==1.9.2";
    needs::find(&["cargo-lambda"]).map_or_else(
        || Ok(python(&PACKAGE.replace("==", "-"), &[PACKAGE])?.join("bin/cargo-lambda")),
        Ok,
    )
}

/// Runs a command to its end: what it printed, or why it failed with the end of what it said.
pub(crate) fn output(mut command: Command, sentence: &str) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{sentence}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{sentence}:\n{}", tail(&String::from_utf8_lossy(&said), 20)))
}

/// The last `count` lines.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reads_its_argument_and_its_failure_is_told() {
        let printed = script("import sys; print(sys.argv[1] * 2)", OsStr::new("ab"));
        assert_eq!(printed.as_deref(), Ok("abab\n"));
        let reason = script("raise SystemExit('no such thing')", OsStr::new("")).expect_err("ends");
        assert!(reason.ends_with("no such thing"), "{reason}");
    }

    #[test]
    fn a_tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("", 2), "");
    }
}
