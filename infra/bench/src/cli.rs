//! The command line: how much is measured, and the hidden commands by which the driver starts its
//! servers.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::child::{Server, Subject};
use crate::stores;

/// Measures our servers beside the limit of this machine.
#[derive(Debug, Parser)]
#[command(name = "a2a-bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// How much is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Samples of each figure; the median is shown
    #[arg(long, default_value_t = 5)]
    pub(crate) samples: usize,
    /// Seconds of one HTTP sample, whole ones
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Measure only these sections
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Section>,
    /// Leave our servers out
    #[arg(long)]
    pub(crate) limits_only: bool,
    /// Keep-alive connections of the HTTP sections, and streams at a time
    #[arg(long, default_value_t = 16)]
    pub(crate) connections: usize,
    /// Streams of one SSE sample
    #[arg(long, default_value_t = 60)]
    pub(crate) streams: usize,
    /// Records of one Kafka sample
    #[arg(long, default_value_t = 20_000)]
    pub(crate) records: usize,
    /// Kafka requests without an answer at any moment
    #[arg(long, default_value_t = 256)]
    pub(crate) window: usize,
    /// Kafka requests over which the resident memory is watched
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) requests: usize,
    /// Seconds of full-speed sends before the resident memory is read
    #[arg(long, default_value_t = 60.0)]
    pub(crate) memory_seconds: f64,
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

    /// Our server beside the limit's, unless it is left out.
    pub(crate) fn ours(&self, subject: &Subject) -> Result<Option<Server>, String> {
        (!self.limits_only).then(|| Server::start(subject)).transpose()
    }

    /// How long one HTTP sample takes.
    pub(crate) fn sample_time(&self) -> Duration {
        seconds(self.seconds)
    }

    /// How long the memory section sends.
    pub(crate) fn memory_time(&self) -> Duration {
        seconds(self.memory_seconds)
    }
}

/// A nonsensical figure becomes a short time rather than a panic.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::from_millis(100))
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

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("?", |value| value.get_name()))
    }
}

/// What is measured beside that, and what the driver asks of its own program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measures the stores, each on its engine
    Stores(stores::Options),
    /// Follows one task as many, and prints what it took
    #[command(hide = true)]
    Follow(stores::Crowd),
    /// Serves one subject and prints where
    #[command(hide = true)]
    Serve {
        #[arg(value_parser = |json: &str| serde_json::from_str::<Subject>(json))]
        subject: Subject,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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

    #[test]
    fn a_negative_time_is_a_short_one() {
        assert_eq!(parse("a2a-bench --seconds=-1").sample_time(), Duration::from_millis(100));
        assert_eq!(parse("a2a-bench --seconds=0.5").sample_time(), Duration::from_millis(500));
    }
}
