//! `cargo xtask soak`: what takes too long for every submission, and one table at the end.
//!
//! Owns: the list. What is added to the project adds its long tests here, and short ones with fixed
//! counts to `cargo xtask test`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use crate::cargo;
use crate::engines::Engines;

/// A row: its name, its count, and cargo's command line with the environment it takes.
struct Soak {
    name: &'static str,
    count: String,
    args: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

/// Runs every row beside the engines, shows the table, and fails if a row did.
pub(crate) fn soak(options: &Options) -> Result<ExitCode, String> {
    let engines = Engines::start()?;
    let (mut table, mut code) = (String::new(), ExitCode::SUCCESS);
    for Soak { name, count, args, variables } in rows(options) {
        eprintln!("xtask: soak: {name}, {count}");
        let began = Instant::now();
        let own = variables.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<_> = engines.variables().into_iter().chain(own).collect();
        let passed = cargo::run(&args[0], &args[1..], &all)? == ExitCode::SUCCESS;
        if !passed {
            code = ExitCode::FAILURE;
        }
        let (seconds, outcome) = (began.elapsed().as_secs(), if passed { "ok" } else { "FAILED" });
        table += &format!("| {name:24} | {count:32} | {seconds:7} | {outcome:7} |\n");
    }
    println!("| {:24} | {:32} | {:>7} | {:7} |", "soak", "count", "seconds", "outcome");
    println!("|{:-<26}|{:-<34}|{:->9}|{:-<9}|\n{table}", "", "", ":", "");
    Ok(code)
}

/// How long it takes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Everything is this many times its usual count
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    times: u64,
    /// A checkout of the conformance kit
    #[arg(long, value_name = "PATH")]
    kit: Option<String>,
}

fn rows(options: &Options) -> Vec<Soak> {
    let row = |name, count: String, args: &str, variables: &[(&'static str, String)]| Soak {
        name,
        count,
        args: args.split_whitespace().map(str::to_owned).collect(),
        variables: variables.to_vec(),
    };
    let cases = 5_000 * options.times;
    let seeds = format!("2000..{}", 2_000 + 20_000 * options.times);
    let requests = 20_000 * options.times;
    let mut rows = vec![
        row(
            "properties",
            format!("{cases} cases each"),
            "test -p a2a-agent -p a2a-core -p a2a-kafka",
            &[("PROPTEST_CASES", cases.to_string())],
        ),
        row(
            "simulation",
            format!("seeds {seeds}"),
            "test -p a2a-core --test suite -- the_seeds_that_are_asked_for",
            &[("A2A_SEEDS", seeds)],
        ),
        row(
            "chaos",
            format!("{requests} requests on each store"),
            &format!("run --quiet -p xtask -- chaos --requests {requests}"),
            &[],
        ),
        row(
            "package arm64",
            "2 functions".to_owned(),
            "run --quiet -p xtask -- package --arm64",
            &[],
        ),
    ];
    if let Some(kit) = &options.kit {
        let args = format!("run --quiet -p xtask -- conformance --kit {kit}");
        rows.push(row("conformance kit", "2 servers".to_owned(), &args, &[]));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_and_the_kit_is_run_where_there_is_one() {
        assert_eq!(rows(&Options { times: 1, kit: None }).len(), 4);
        let rows = rows(&Options { times: 2, kit: Some("k".to_owned()) });
        assert_eq!(rows[0].variables, [("PROPTEST_CASES", "10000".to_owned())]);
        assert!(rows[2].args.ends_with(&["--requests".to_owned(), "40000".to_owned()]));
        assert!(rows[4].args.ends_with(&["--kit".to_owned(), "k".to_owned()]));
    }
}
