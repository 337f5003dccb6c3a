//! Both functions as Lambda wants them: built, within their sizes, and with a deployment rehearsed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::{needs, tools};

/// What a function is built with, and how many bytes its bootstrap may have. A cold start begins
/// with fetching it.
struct Function {
    name: &'static str,
    features: &'static [&'static str],
    limit: u64,
}

const FUNCTIONS: &[Function] = &[
    Function { name: "a2a-http", features: &[], limit: 8 << 20 },
    // With OpenSSL and the login to Amazon MSK.
    Function { name: "a2a-kafka", features: &["a2a-kafka/msk"], limit: 13 << 20 },
];

/// Where `infra/template.yaml` looks for them.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/lambda");

/// Builds both functions for release, checks their sizes and what `cargo lambda deploy` would do.
/// `args` go to `cargo lambda build`, for example `--arm64`.
pub(crate) fn package(args: &[String]) -> Result<ExitCode, String> {
    needs::satisfy(needs::For::Engines)?;
    let lambda = tools::cargo_lambda()?;
    build(&lambda, args)?;
    for function in FUNCTIONS {
        let file = Path::new(FOLDER).join(function.name).join("bootstrap");
        let size = fs::metadata(&file)
            .map_err(|error| format!("there is no {}: {error}", file.display()))?
            .len();
        println!("{}: {}", function.name, weighed(function, size)?);
    }
    for function in FUNCTIONS {
        let mut deploy = lambda_command(&lambda, "deploy");
        deploy.args(["--dry", "--lambda-dir", FOLDER, "--binary-name", function.name]);
        deploy.arg(function.name).env("AWS_REGION", "eu-central-1");
        finish(deploy, "the deployment could not be rehearsed")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds both functions, and the empty ones that they are measured beside, all the same way, and
/// answers where they are.
pub(crate) fn measured() -> Result<&'static str, String> {
    let lambda = tools::cargo_lambda()?;
    build(&lambda, &[])?;
    let mut empty = lambda_command(&lambda, "build");
    empty.args(["--release", "--locked", "--lambda-dir", FOLDER]);
    empty.args(["--package", "a2a-emulator", "--package", "a2a-kafka"]);
    empty.args(["--features", "a2a-kafka/msk"]);
    empty.args(["--example", "empty", "--example", "echo", "--example", "reply"]);
    finish(empty, "the build failed")?;
    Ok(FOLDER)
}

fn build(lambda: &Path, args: &[String]) -> Result<(), String> {
    let mut build = lambda_command(lambda, "build");
    build.args(["--release", "--locked", "--lambda-dir", FOLDER]).args(args);
    for function in FUNCTIONS {
        build.args(["--package", function.name]);
        build.args(function.features.iter().flat_map(|feature| ["--features", *feature]));
    }
    finish(build, "the build failed")
}

/// What a size is, or that it is too large.
fn weighed(function: &Function, size: u64) -> Result<String, String> {
    let Function { name, limit, .. } = function;
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let text = format!("{:.1} MB of at most {:.0}", megabytes(size), megabytes(*limit));
    if size > *limit { Err(format!("{name} is too large: {text}")) } else { Ok(text) }
}

/// A command of cargo-lambda, which finds zig in the folder that it was installed to.
fn lambda_command(program: &Path, command: &str) -> Command {
    let own = program.parent().map(Path::to_path_buf);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = own.into_iter().chain(env::split_paths(&path)).collect::<Vec<PathBuf>>();
    let mut lambda = Command::new(program);
    lambda.args(["lambda", command]);
    if let Ok(path) = env::join_paths(folders) {
        lambda.env("PATH", path);
    }
    lambda
}

fn finish(mut command: Command, sentence: &str) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{sentence}: {error}"))?;
    if status.success() { Ok(()) } else { Err(sentence.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_over_its_limit_is_refused() {
        let function = Function { name: "f", features: &[], limit: 2 << 20 };
        assert_eq!(weighed(&function, 3 << 19).as_deref(), Ok("1.5 MB of at most 2"));
        let reason = weighed(&function, (2 << 20) + 1).expect_err("one byte too many");
        assert!(reason.starts_with("f is too large: 2.0 MB"), "{reason}");
    }
}
