//! Running cargo and what it built.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// Runs `cargo SUBCOMMAND ARGS` with more environment and answers its exit code.
pub(crate) fn run(
    subcommand: &str,
    args: &[String],
    vars: &[(&str, &str)],
) -> Result<ExitCode, String> {
    let all = [&[subcommand.to_owned()], args].concat();
    exec(Path::new(&program()), &all, vars)
}

/// Runs a program that cargo built, or cargo, and answers its exit code.
pub(crate) fn exec(
    program: &Path,
    args: &[String],
    vars: &[(&str, &str)],
) -> Result<ExitCode, String> {
    let status = Command::new(program).args(args).envs(vars.iter().copied()).status();
    Ok(exit_code(status.map_err(|error| format!("cannot start {}: {error}", program.display()))?))
}

/// Whether these arguments ask for no more than the program's own help.
pub(crate) fn asks_for_help(args: &[String]) -> bool {
    args.iter().any(|arg| matches!(arg.as_str(), "-h" | "--help"))
}

/// Builds this program of the workspace for release and answers where it is.
pub(crate) fn build_release(name: &str) -> Result<PathBuf, String> {
    build(&["--release", "--bin", name], [name]).map(|[program]| program)
}

/// Builds the workspace as tests have it and answers where these of its programs are.
pub(crate) fn build_programs<const N: usize>(names: [&str; N]) -> Result<[PathBuf; N], String> {
    build(&[], names)
}

/// Builds the workspace's examples and answers where these are.
pub(crate) fn build_examples<const N: usize>(names: [&str; N]) -> Result<[PathBuf; N], String> {
    build(&["--examples"], names)
}

/// Builds with these options and answers where the programs of these names are.
///
/// Always of the whole workspace: building one package changes which features its dependencies get,
/// and so rebuilds them. The place is read from cargo's messages, so it is right under any target
/// folder or target triple.
fn build<const N: usize>(options: &[&str], names: [&str; N]) -> Result<[PathBuf; N], String> {
    let mut child = Command::new(program())
        .args(["build", "--workspace", "--message-format=json-render-diagnostics"])
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    let mut found = [const { None }; N];
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            for (place, name) in found.iter_mut().zip(names) {
                *place = executable(&line, name).or(place.take());
            }
        }
    }
    let status = child.wait().map_err(|error| format!("cannot wait for cargo: {error}"))?;
    if !status.success() {
        return Err("the build failed".to_owned());
    }
    if let Some((name, _)) = names.iter().zip(&found).find(|(_, place)| place.is_none()) {
        return Err(format!("the build made no program {name}"));
    }
    Ok(found.map(Option::unwrap_or_default))
}

/// The program's path, if this line of cargo's messages says that it is the binary `name`.
///
/// A search for two members in place of a JSON parser: cargo writes each message on one line
/// without spaces, and the file name is compared whole.
fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    let (path, _) = rest.split_once('"')?;
    let path = PathBuf::from(path);
    (path.file_name()? == name).then_some(path)
}

/// The cargo that runs us, so that a chosen toolchain stays chosen.
pub(crate) fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A process ended by a signal has no code: that is a failure too.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_cargos_messages() {
        let bench = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"a2a-bench"},"#,
            r#""executable":"/t/release/a2a-bench","fresh":true}"#
        );
        let other = r#"{"reason":"compiler-artifact","executable":"/t/release/a2a-bench-2"}"#;
        let library = r#"{"reason":"compiler-artifact","executable":null,"fresh":true}"#;
        assert_eq!(executable(bench, "a2a-bench"), Some("/t/release/a2a-bench".into()));
        assert_eq!(executable(other, "a2a-bench"), None);
        assert_eq!(executable(library, "a2a-bench"), None);
        assert_eq!(executable("", "a2a-bench"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_signal_is_a_failure_and_a_code_is_kept() {
        use std::os::unix::process::ExitStatusExt;
        let of = |raw| format!("{:?}", exit_code(ExitStatus::from_raw(raw)));
        assert_eq!(of(9), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(of(101 << 8), format!("{:?}", ExitCode::from(101)));
        assert_eq!(of(0), format!("{:?}", ExitCode::SUCCESS));
    }
}
