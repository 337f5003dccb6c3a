//! How much is measured.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How much is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Samples of each figure; the median is shown
    #[arg(long, default_value_t = 5)]
    pub(crate) samples: usize,
    /// Measure only these sections
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Section>,
    /// Kafka requests over which the resident memory is watched
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) requests: usize,
    /// Bootstrap address of the real broker; without it only the in-process one is measured
    #[arg(long, env = "A2A_BENCH_KAFKA")]
    pub(crate) kafka: Option<String>,
    /// Where the functions' bootstraps are; without it they are not measured
    #[arg(long, value_name = "FOLDER")]
    pub(crate) lambda_dir: Option<PathBuf>,
}

impl Options {
    /// The chosen sections; all of them where none was named.
    pub(crate) fn sections(&self) -> Vec<Section> {
        let all = Section::value_variants().iter().copied();
        all.filter(|section| self.only.is_empty() || self.only.contains(section)).collect()
    }
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Section {
    /// Requests a second over HTTP
    Http,
    /// Events a second over SSE, and what a long stream costs
    Sse,
    /// Requests a second over Kafka
    Kafka,
    /// Resident memory after sends at full speed
    Memory,
    /// The Lambda functions: sizes, cold starts, warm answers, a batch
    Lambda,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(words: &str) -> Options {
        Cli::try_parse_from(words.split(' ')).expect("a valid command line").options
    }

    #[test]
    fn the_declaration_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn all_sections_run_unless_some_are_named() {
        assert_eq!(parse("a2a-bench").sections().len(), 5);
        let only = parse("a2a-bench --only memory,http --samples 1").sections();
        assert_eq!(only, [Section::Http, Section::Memory]);
        assert!(Cli::try_parse_from(["a2a-bench", "--only", "grpc"]).is_err());
    }
}
