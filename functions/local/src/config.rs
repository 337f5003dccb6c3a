//! The command line, with an environment variable for each option.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use a2a_core::{
    Agent,
    http::Origins,
    kafka::{ReplyTopics, Topics},
};
use a2a_kafka::GiveUp;
use clap::{Parser, builder::FalseyValueParser};

/// Runs agents over HTTP and over Kafka on this machine. Started bare it needs nothing
/// installed: tasks are kept in memory, and a Kafka broker runs inside this process.
#[derive(Clone, Parser)]
#[command(name = "a2a-local", version)]
pub struct Config {
    /// Which agents to serve, with commas between; without, the first one that is built in
    #[arg(long, env = "A2A_AGENTS", value_name = "NAME,...", value_delimiter = ',')]
    pub agents: Vec<String>,
    /// Where an agent is that an agent calls, by any transport: http://..., https://... or
    /// kafka://HOST:PORT/agent.NAME.requests. It may start later. One that is served here and not
    /// named is called over this process's own broker or, without Kafka, within the process. A
    /// bearer token for it is taken from A2A_PEER_TOKEN_NAME; it goes nowhere else, unless its card
    /// leads to an origin that A2A_PEER_BEARER_TO_NAME names
    #[arg(long, env = "A2A_PEERS", value_name = "NAME=URL,...", hide_env_values = true)]
    pub peer: Vec<String>,
    /// Another name for the agent, where one is served. It names the topics agent.NAME.requests
    /// and agent.NAME.responses, and the agent's part of the store
    #[arg(long, env = "A2A_NAME", value_parser = agent_name)]
    pub name: Option<String>,
    /// The address HTTP listens on
    #[arg(long, env = "A2A_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port HTTP listens on; further agents have the next ones; 0 takes free ones
    #[arg(long, env = "A2A_PORT", default_value_t = 9003)]
    pub port: u16,
    /// The address the agent card names, where it differs: http://HOST:PORT as clients see it.
    /// Where one agent is served
    #[arg(long, env = "A2A_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Origins whose web pages may call, such as `https://app.example.com`, with commas between; * is
    /// every one. Without, browsers are refused
    #[arg(long, env = "A2A_CORS", value_name = "ORIGIN,...", value_delimiter = ',')]
    pub cors: Vec<String>,
    /// Further hosts under which a runner on loopback that asks for no tokens is called, as the
    /// header Host names them: HOST:PORT, with commas between
    #[arg(long, env = "A2A_ALLOWED_HOSTS", value_name = "HOST:PORT,...", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,
    /// How many seconds an HTTP connection stays open without a request
    #[arg(long, env = "A2A_IDLE_SECONDS", default_value_t = 75)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub idle_seconds: u64,
    /// How many HTTP connections are open at once
    #[arg(long, env = "A2A_CONNECTIONS", default_value_t = 2_048)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// How many runs are at work at once: past it HTTP answers 503, and a record waits
    #[arg(long, env = "A2A_RUNS", default_value_t = 16_384)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub runs: u32,
    /// The same for each caller
    #[arg(long, env = "A2A_RUNS_PER_CALLER", default_value_t = 16_384)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub runs_per_caller: u32,
    /// Real brokers, instead of the embedded one: HOST:PORT, or several with commas
    #[arg(long, env = "A2A_KAFKA", value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// Those brokers as clients see them, where the agent card is to name others: HOST:PORT, or several
    #[arg(long, env = "A2A_KAFKA_PUBLIC", value_name = "HOST:PORT")]
    pub kafka_public: Option<String>,
    /// Topics on which clients may have their answers, as patterns such as clients.*, with commas between
    #[arg(long, env = "A2A_KAFKA_REPLY_TOPICS", value_name = "PATTERN,...")]
    pub reply_topics: Option<ReplyTopics>,
    /// How often a record is tried whose processing fails for a while (the store is unavailable),
    /// until it becomes a dead letter; 0 is for ever
    #[arg(long, env = "A2A_KAFKA_ATTEMPTS", default_value_t = 100)]
    pub attempts: u32,
    /// How many seconds after its first attempt such a record becomes a dead letter; 0 is never
    #[arg(long, env = "A2A_KAFKA_MAX_AGE_SECONDS", default_value_t = 3600)]
    pub max_age_seconds: u64,
    /// HTTP only
    #[arg(long, env = "A2A_NO_KAFKA", value_parser = FalseyValueParser::new())]
    pub no_kafka: bool,
    /// How many partitions a topic gets that is created here
    #[arg(long, env = "A2A_PARTITIONS", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub partitions: i32,
    /// How many records are worked on at once, each of another conversation
    #[arg(long, env = "A2A_KAFKA_CONCURRENCY", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub concurrency: u32,
    /// How many minutes a stream over Kafka goes on before its client is to resume it
    #[arg(long, env = "A2A_KAFKA_STREAM_MINUTES", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_440))]
    pub kafka_stream_minutes: u64,
    /// How many seconds a shutdown waits for the work in hand
    #[arg(long, env = "A2A_DRAIN_SECONDS", default_value_t = 600)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub drain_seconds: u64,
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
    /// Callers bring bearer tokens, over HTTP and over Kafka, signed by these keys: a JSON Web Key
    /// Set, or the file it is in
    #[arg(long, env = "A2A_JWKS", value_name = "JSON|FILE", hide_env_values = true)]
    pub jwks: Option<String>,
    /// Who issues those tokens (their claim iss)
    #[arg(long, env = "A2A_JWT_ISSUER", value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// For whom those tokens are (their claim aud)
    #[arg(long, env = "A2A_JWT_AUDIENCE", value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// How many seconds the agent may work on one message
    #[arg(long, env = "A2A_RUN_SECONDS", default_value_t = 600)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub run_seconds: u64,
    /// How many seconds a run's lease lasts: a run without a heartbeat for that long is taken over
    #[arg(long, env = "A2A_LEASE_SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub lease_seconds: u64,
}

impl fmt::Debug for Config {
    /// Nothing of it: there are secrets in it.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Config").finish_non_exhaustive()
    }
}

impl Config {
    /// Those of these agents that are to be served, in their own order, each with its port.
    ///
    /// # Errors
    /// One sentence for the user when one is not there, or what is meant for one is said of several.
    pub fn choose(&self, agents: Vec<Agent>) -> Result<Vec<(Agent, u16)>, String> {
        let mut ports = BTreeMap::new();
        for (place, name) in self.agents.iter().filter(|name| !name.is_empty()).enumerate() {
            let agent = Agent::find(&agents, name).map_err(of_agents)?;
            if ports.insert(agent, self.port_at(place)?).is_some() {
                return Err(of_agents(format!("`{name}` is named twice.")));
            }
        }
        if ports.is_empty() {
            ports.insert(0, self.port);
        }
        if ports.len() > 1 && (self.name.is_some() || self.public_url.is_some()) {
            return Err(of_agents("--name and --public-url are for one agent only.".to_owned()));
        }
        let with_port = |(place, agent)| Some((agent, *ports.get(&place)?));
        let mut chosen = Vec::from_iter(agents.into_iter().enumerate().filter_map(with_port));
        if let (Some(name), [(agent, _)]) = (&self.name, &mut chosen[..]) {
            agent.card.name.clone_from(name);
        }
        Ok(chosen)
    }

    fn port_at(&self, place: usize) -> Result<u16, String> {
        let next = |place| self.port.checked_add(place).filter(|_| self.port != 0);
        match u16::try_from(place).ok().and_then(next) {
            _ if self.port == 0 => Ok(0),
            Some(port) => Ok(port),
            None => Err(format!("There are not enough ports from {} on (--port).", self.port)),
        }
    }

    /// Which web pages may call the agent that listens there, and under which hosts it is called:
    /// everybody's browser reaches a server on loopback, so one that asks for no tokens is careful.
    ///
    /// # Errors
    /// One sentence for the user when one of them is no origin.
    pub fn origins(&self, at: SocketAddr) -> Result<Origins, String> {
        let origins =
            Origins::new(&self.cors).map_err(|why| format!("--cors (A2A_CORS): {why}"))?;
        if !at.ip().is_loopback() || self.jwks.is_some() {
            return Ok(origins);
        }
        let own = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        let port = at.port();
        let own = own.into_iter().map(|name| match port {
            80 => name,
            _ => format!("{name}:{port}"),
        });
        let public = self.public_url.as_ref().and_then(|url| url.parse::<http::Uri>().ok());
        let public = public.and_then(|url| Some(url.authority()?.to_string()));
        let own = own.chain([at.to_string()]).chain(public);
        Ok(origins.only_at(own.chain(self.allowed_hosts.iter().cloned())))
    }

    /// When a record that cannot be done is given up.
    pub fn give_up(&self) -> GiveUp {
        let (attempts, age) = (self.attempts, Duration::from_secs(self.max_age_seconds));
        GiveUp {
            attempts: Some(attempts).filter(|attempts| *attempts > 0),
            age: Some(age).filter(|age| !age.is_zero()),
        }
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
            // They are shown where they do not answer.
            Some(servers) if servers.contains('@') => {
                Err("--kafka (A2A_KAFKA) must hold no credentials: HOST:PORT.".to_owned())
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

fn of_agents(sentence: String) -> String {
    format!("--agents (A2A_AGENTS): {sentence}")
}

fn agent_name(name: &str) -> Result<String, &'static str> {
    Topics::check(name).map(|()| name.to_owned())
}

#[cfg(test)]
mod tests {
    use a2a_core::{AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait};
    use clap::CommandFactory;

    use super::*;

    /// Which of three agents these arguments choose, and the port of each.
    fn chosen(arguments: &[&str]) -> Result<Vec<(String, u16)>, String> {
        struct Silent;
        #[async_trait]
        impl AgentExecutor for Silent {
            async fn execute(&self, _: RequestContext, _: EventQueue) -> Result<(), AgentError> {
                Ok(())
            }
        }
        let agents = ["data", "balance", "third"].map(|name| {
            Agent::new(AgentCard { name: name.to_owned(), ..AgentCard::default() }, Silent)
        });
        let all = std::iter::once(&"a2a-local").chain(arguments);
        let chosen = Config::parse_from(all).choose(agents.into())?;
        Ok(chosen.into_iter().map(|(agent, port)| (agent.card.name, port)).collect())
    }

    #[test]
    fn agents_are_chosen_by_name() {
        for (arguments, expected) in [
            (&["--agents", "data,balance"][..], &[("data", 9003), ("balance", 9004)][..]),
            (&["--agents", "third,data"], &[("data", 9004), ("third", 9003)]),
            (&["--agents", "data,balance", "--port", "0"], &[("data", 0), ("balance", 0)]),
            (&["--agents", "balance", "--name", "other"], &[("other", 9003)]),
            (&["--agents", "", "--name", "other"], &[("other", 9003)]),
        ] {
            let expected = expected.iter().map(|(name, port)| ((*name).to_owned(), *port));
            assert_eq!(chosen(arguments), Ok(expected.collect()), "{arguments:?}");
        }
        for (arguments, sentence) in [
            (
                &["--agents", "data,dta"][..],
                "--agents (A2A_AGENTS): There is no agent `dta` here, only `data`, `balance`, `third`.",
            ),
            (&["--agents", "data,data"], "--agents (A2A_AGENTS): `data` is named twice."),
            (
                &["--agents", "data,third", "--name", "other"],
                "--agents (A2A_AGENTS): --name and --public-url are for one agent only.",
            ),
            (
                &["--agents", "data,third", "--port", "65535"],
                "There are not enough ports from 65535 on (--port).",
            ),
        ] {
            assert_eq!(chosen(arguments), Err(sentence.to_owned()), "{arguments:?}");
        }
    }

    #[test]
    fn bare_needs_nothing() {
        Config::command().debug_assert();
        let config = Config::parse_from(["a2a-local"]);
        assert_eq!(chosen(&[]), Ok(vec![("data".to_owned(), 9003)]));
        assert_eq!(config.brokers(), Ok(Brokers::Embedded));
        assert_eq!(config.give_up(), GiveUp::default());
        let for_ever = ["a2a-local", "--attempts", "0", "--max-age-seconds", "0"];
        let give_up = Config::parse_from(for_ever).give_up();
        assert_eq!((give_up.attempts, give_up.age), (None, None));
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
        let secret = Config::parse_from(["a2a-local", "--kafka", "u:secret@h:1"]).brokers();
        assert!(secret.is_err_and(|told| !told.contains("secret")));
        assert!(said(&["--reply-topics", "a b"]).contains("`a b` is no pattern of topics"));
        assert!(said(&["--concurrency", "0"]).contains("1..=1000000"));
    }
}
