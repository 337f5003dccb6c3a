//! What is measured of the stores, and how much.

use clap::{Args, ValueEnum};

/// Which stores, where their engines are, and how much is measured. What is written there stays:
/// these are to be engines of tests.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure only these stores
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Engine>,
    /// Few of everything, for CI
    #[arg(long)]
    pub(crate) quick: bool,
    /// Tasks of one owner that pages are listed from; 100000, or 2000 with --quick
    #[arg(long)]
    pub(crate) tasks: Option<usize>,
    /// Samples of each rate; the median is shown; 3, or 1 with --quick
    #[arg(long)]
    pub(crate) samples: Option<usize>,
    /// Where Redis is, such as redis://127.0.0.1:6379
    #[arg(long, env = "A2A_TEST_REDIS", hide_env_values = true)]
    pub(crate) redis: Option<String>,
    /// Where PostgreSQL is, such as postgres://postgres@127.0.0.1:5432/postgres
    #[arg(long, env = "A2A_TEST_POSTGRES", hide_env_values = true)]
    pub(crate) postgres: Option<String>,
    /// Where DynamoDB's API is, such as http://127.0.0.1:8000
    #[arg(long, env = "A2A_TEST_DYNAMODB")]
    pub(crate) dynamodb: Option<String>,
}

/// A store.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Engine {
    /// In this process
    Memory,
    /// Redis or Valkey
    Redis,
    /// PostgreSQL
    Postgres,
    /// DynamoDB's API
    Dynamodb,
}

impl Engine {
    /// Whether followers are told of an append, in place of asking again.
    pub(crate) fn notifies(self) -> bool {
        matches!(self, Self::Redis | Self::Postgres)
    }

    /// As it stands before its figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
            Self::Dynamodb => "DynamoDB",
        }
    }
}

impl Options {
    /// Whether that store is to be measured.
    pub(crate) fn wants(&self, engine: Engine) -> bool {
        self.only.is_empty() || self.only.contains(&engine)
    }

    /// The store's URL under a name that no other run has; none where its engine was not named.
    pub(crate) fn url(&self, engine: Engine, name: &str) -> Option<String> {
        let url = match engine {
            // Nothing of it may be dropped while it is measured.
            Engine::Memory => "memory:?bytes=4000000000".to_owned(),
            Engine::Redis => with_parameter(self.redis.as_ref()?, "prefix", name),
            Engine::Postgres => with_parameter(self.postgres.as_ref()?, "schema", name),
            Engine::Dynamodb => {
                let endpoint = self.dynamodb.as_ref()?;
                format!("dynamodb://{name}?endpoint={endpoint}")
            }
        };
        Some(url)
    }

    /// How much is measured.
    pub(crate) fn size(&self) -> Size {
        let of = |full, quick| if self.quick { quick } else { full };
        Size {
            samples: self.samples.unwrap_or(of(3, 1)).max(1),
            journals: of(100, 20),
            loads: of(50, 10),
            tasks: self.tasks.unwrap_or(of(100_000, 2_000)),
            pages: of(100, 20),
            deliveries: of(200, 50),
            followers: of(1_000, 100),
        }
    }
}

fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{name}={value}")
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Samples of each rate.
    pub(crate) samples: usize,
    /// Tasks that each writer of a sample brings to their end.
    pub(crate) journals: usize,
    /// Times a journal of 1 MB is loaded.
    pub(crate) loads: usize,
    /// Tasks of one owner.
    pub(crate) tasks: usize,
    /// Times each page is listed.
    pub(crate) pages: usize,
    /// Entries whose way to another's tail is measured.
    pub(crate) deliveries: usize,
    /// Followers of one task.
    pub(crate) followers: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(words: &str) -> Options {
        Cli::try_parse_from(words.split(' ')).expect("a valid command line").options
    }

    #[test]
    fn all_stores_are_measured_unless_some_are_named() {
        assert!(parse("stores").wants(Engine::Dynamodb));
        let some = parse("stores --only memory,redis");
        assert!(some.wants(Engine::Redis) && !some.wants(Engine::Postgres));
    }

    #[test]
    fn a_quick_run_is_small_unless_told_otherwise() {
        let size = parse("stores --quick --tasks 7").size();
        assert_eq!((size.tasks, size.samples, size.followers), (7, 1, 100));
        assert_eq!(parse("stores").size().tasks, 100_000);
    }

    #[test]
    fn each_run_has_its_own_place_in_an_engine() {
        let options = parse(
            "stores --redis redis://h:1/0 --postgres postgres://h:2/d?pool=3 --dynamodb http://h:4",
        );
        let urls = [Engine::Redis, Engine::Postgres, Engine::Dynamodb]
            .map(|engine| options.url(engine, "bench7").expect("it was named"));
        assert_eq!(
            urls,
            [
                "redis://h:1/0?prefix=bench7",
                "postgres://h:2/d?pool=3&schema=bench7",
                "dynamodb://bench7?endpoint=http://h:4",
            ]
        );
    }
}
