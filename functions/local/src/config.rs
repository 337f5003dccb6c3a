//! The command line, with an environment variable for each option.

use std::{net::IpAddr, time::Duration};

use a2a_core::kafka::Topics;
use clap::{Parser, builder::FalseyValueParser};

/// Runs the agent over HTTP and over Kafka on this machine. Started bare it needs nothing
/// installed: tasks are kept in memory, and a Kafka broker runs inside this process.
#[derive(Clone, Debug, Parser)]
#[command(name = "a2a-local", version)]
pub struct Config {
    /// The agent's name, which names its topics: agent.NAME.requests and agent.NAME.responses
    #[arg(long, env = "A2A_NAME", default_value = "data", value_parser = agent_name)]
    pub name: String,
    /// The address HTTP listens on
    #[arg(long, env = "A2A_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port HTTP listens on; 0 takes a free one
    #[arg(long, env = "A2A_PORT", default_value_t = 9003)]
    pub port: u16,
    /// The address the agent card names, where it differs: http://HOST:PORT as clients see it
    #[arg(long, env = "A2A_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Real brokers, instead of the embedded one: HOST:PORT, or several with commas
    #[arg(long, env = "A2A_KAFKA", value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// HTTP only
    #[arg(long, env = "A2A_NO_KAFKA", value_parser = FalseyValueParser::new())]
    pub no_kafka: bool,
    /// How many partitions a topic gets that is created here
    #[arg(long, env = "A2A_PARTITIONS", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub partitions: i32,
    /// How many records a batch holds at most, as of Lambda's event source (1 to 10000)
    #[arg(long, env = "A2A_BATCH_SIZE", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub batch_size: u16,
    /// How long a batch waits to fill, in milliseconds; 0 takes what is there
    #[arg(long, env = "A2A_BATCH_WINDOW_MS", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=300_000))]
    pub batch_window_ms: u64,
    /// Where tasks are kept: memory:, dynamodb://TABLE, redis://HOST:PORT or postgres://HOST:PORT/DATABASE
    #[arg(
        long,
        env = "A2A_STORE",
        value_name = "URL",
        default_value = "memory:",
        hide_env_values = true
    )]
    pub store: String,
    /// Make the DynamoDB table where it is missing, before starting
    #[arg(long, env = "A2A_CREATE_TABLE", value_parser = FalseyValueParser::new())]
    pub create_table: bool,
    /// Make or migrate what the store needs (a table, a schema), and end
    #[arg(long)]
    pub prepare: bool,
    /// What page tokens are signed with; all instances of an agent share it
    #[arg(long, env = "A2A_SECRET", value_name = "TEXT", hide_env_values = true)]
    pub secret: Option<String>,
    /// How many seconds the agent may work on one message
    #[arg(long, env = "A2A_RUN_SECONDS", default_value_t = 600)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub run_seconds: u64,
    /// How many seconds a runner that shows no sign of life is believed to be alive
    #[arg(long, env = "A2A_LEASE_SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub lease_seconds: u64,
}

impl Config {
    /// How long a batch waits to fill.
    pub fn batch_window(&self) -> Duration {
        Duration::from_millis(self.batch_window_ms)
    }

    /// Where Kafka is; brokers that are empty are none.
    ///
    /// # Errors
    /// One sentence for the user when it is said to be there and not to be there.
    pub fn brokers(&self) -> Result<Brokers, String> {
        match self.kafka.as_deref().filter(|servers| !servers.is_empty()) {
            Some(_) if self.no_kafka => {
                Err("--kafka cannot be used with --no-kafka (A2A_KAFKA, A2A_NO_KAFKA).".to_owned())
            }
            Some(servers) => Ok(Brokers::Real(servers.to_owned())),
            None if self.no_kafka => Ok(Brokers::None),
            None => Ok(Brokers::Embedded),
        }
    }
}

/// Where Kafka is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// Nowhere: HTTP only.
    None,
    /// In this process: nothing is kept, and only this runner consumes.
    Embedded,
    /// At these addresses.
    Real(String),
}

fn agent_name(name: &str) -> Result<String, &'static str> {
    Topics::check(name).map(|()| name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn bare_needs_nothing() {
        Config::command().debug_assert();
        let config = Config::parse_from(["a2a-local"]);
        assert_eq!((config.port, &*config.name), (9003, "data"));
        assert_eq!(config.brokers(), Ok(Brokers::Embedded));
        let config = Config::parse_from(["a2a-local", "--kafka", ""]);
        assert_eq!(config.brokers(), Ok(Brokers::Embedded), "empty is the same as unset");
    }

    #[test]
    fn mistakes_are_named() {
        let said = |arguments: &[&str]| {
            let all = std::iter::once(&"a2a-local").chain(arguments);
            Config::try_parse_from(all).unwrap_err().to_string()
        };
        assert!(said(&["--name", "a b"]).contains("since it names Kafka topics"));
        assert!(said(&["--port", "70000"]).contains("70000"));
        let both = Config::parse_from(["a2a-local", "--kafka", "h:1", "--no-kafka"]);
        assert!(both.brokers().unwrap_err().contains("cannot be used with"));
        assert!(said(&["--batch-size", "0"]).contains("1..=10000"));
    }
}
