//! Tools that come from PyPI, each with a Python environment of its own in the cache folder.
//!
//! Owns: the system's Python and making environments with it. Must never know: what they are for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache;
use crate::text::tail;

/// The folder of an environment that holds these packages, made where it is missing. The name
/// stands for its content: other packages, another name.
///
/// An environment is moved once it is complete, after which the scripts in its `bin` no longer
/// find their Python; `bin/python -m NAME` and programs that are no scripts run anywhere.
pub(crate) fn environment(name: &str, packages: &[String]) -> Result<PathBuf, String> {
    cache::obtain(&cache::root()?, name, |folder| {
        eprintln!("xtask: fetching {name} from PyPI, once");
        let mut venv = system();
        venv.args(["-m", "venv"]).arg(folder);
        finish(venv, "no Python environment (apt-get install python3-venv)")?;
        let mut pip = Command::new(program(folder));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(packages);
        finish(pip, &format!("pip could not install {name}")).map(drop)
    })
}

/// An environment's Python.
pub(crate) fn program(environment: &Path) -> PathBuf {
    environment.join("bin").join("python")
}

/// What a Python script prints. The system's own Python runs it: it needs no packages.
pub(crate) fn script(text: &str, argument: &OsStr) -> Result<String, String> {
    let mut python = system();
    python.arg("-c").arg(text).arg(argument);
    finish(python, "Python 3.11 or newer is needed (apt-get install python3)")
}

fn system() -> Command {
    Command::new("python3")
}

/// Runs a command to its end: what it printed, or why it failed with the end of what it said.
fn finish(mut command: Command, sentence: &str) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{sentence}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{sentence}:\n{}", tail(&String::from_utf8_lossy(&said), 20)))
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
}
