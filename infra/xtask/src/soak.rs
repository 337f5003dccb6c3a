//! `cargo xtask soak`: what takes too long for every submission, and one table at the end.
//!
//! Owns: the list. What is added to the project adds its long tests here, and short ones with fixed
//! counts to `cargo xtask test`.

use std::process::ExitCode;
use std::time::Instant;

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
pub(crate) fn soak(args: &[String]) -> Result<ExitCode, String> {
    let options = Options::parse(args)?;
    let engines = Engines::start()?;
    let (mut table, mut code) = (String::new(), ExitCode::SUCCESS);
    for Soak { name, count, args, variables } in rows(&options) {
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
#[derive(Debug, PartialEq)]
struct Options {
    /// Everything is this many times its usual count.
    times: u64,
    /// A checkout of the conformance kit.
    kit: Option<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self { times: 1, kit: None };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("soak: {arg} takes a value"))?;
            match arg.as_str() {
                "--times" => {
                    let times = value.parse().ok().filter(|times| (1..=1000).contains(times));
                    options.times = times.ok_or("soak: --times takes a number from 1 to 1000")?;
                }
                "--kit" => options.kit = Some(value.clone()),
                other => return Err(format!("soak has no option {other:?}")),
            }
        }
        Ok(options)
    }
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

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn counts_grow_and_the_kit_is_run_where_there_is_one() {
        assert_eq!(rows(&parse("").expect("nothing is needed")).len(), 4);
        let rows = rows(&parse("--times 2 --kit k").expect("valid"));
        assert_eq!(rows[0].variables, [("PROPTEST_CASES", "10000".to_owned())]);
        assert!(rows[2].args.ends_with(&["--requests".to_owned(), "40000".to_owned()]));
        assert!(rows[4].args.ends_with(&["--kit".to_owned(), "k".to_owned()]));
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, said) in
            [("--times", "takes a value"), ("--times 0", "1 to 1000"), ("-x y", "-x")]
        {
            let reason = parse(text).expect_err("a mistake");
            assert!(reason.contains(said), "{reason}");
        }
    }
}
