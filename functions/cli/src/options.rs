//! The command line, with an environment variable for what stays the same.

use std::path::PathBuf;

use a2a_core::{Cursor, TaskState};
use clap::{Args, Parser, Subcommand, builder::NonEmptyStringValueParser};

/// What scripts go by, below the options.
const FOR_SCRIPTS: &str = "\
With --json, standard output has one JSON object per line and nothing else. They are the protocol's \
own: a card, a task, {\"task\"} or {\"message\"} of a send, a page of a list; of a stream each event, with \
its \"eventId\", which --after takes. A failure is one line on standard error: \
{\"error\": {\"code\", \"message\", \"data\"}}.

Exit codes:
  0    done
  1    the call failed, or the task that was sent or watched failed, was rejected or was canceled
  2    the command line is wrong
  3    the agent is not reached, or did not answer in time
  4    the task that was sent or watched waits for an answer (or for credentials)
  130  interrupted by Ctrl-C
When the reader of its output closes the pipe (| head), the command ends in silence, with 0.";

/// Speaks to any A2A agent, over JSON-RPC, HTTP+JSON or Kafka: the agent's card says which.
///
/// What the agent says goes to standard output, how it fares to standard error.
#[derive(Clone, Parser)]
#[command(name = "a2a", version, after_help = FOR_SCRIPTS)]
pub(crate) struct Options {
    /// Where the agent is: http://HOST:PORT, https://..., kafka://HOST:PORT/agent.NAME.requests
    #[arg(long, global = true, env = "A2A_URL", default_value = "http://127.0.0.1:9003")]
    pub(crate) url: String,
    /// Take only an interface of this binding: JSONRPC, HTTP+JSON, or a custom binding's URI
    #[arg(long, global = true, env = "A2A_BINDING", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) binding: Option<String>,
    /// A header to send along, as 'Name: value'; may be given several times. Not over Kafka
    #[arg(long, global = true, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// A token to send along, as 'Authorization: Bearer TOKEN', over Kafka too
    #[arg(long, global = true, env = "A2A_BEARER", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) bearer: Option<String>,
    /// Another origin than the URL's where the token and the headers may go, if the agent's card leads
    /// there, as https://HOST:PORT or kafka://HOST:PORT; may be given several times
    #[arg(long, global = true, env = "A2A_BEARER_TO", value_name = "ORIGIN")]
    pub(crate) bearer_to: Vec<String>,
    /// How long an answer may take, and a stream be silent
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Print the protocol's own objects, one JSON per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Subcommand)]
pub(crate) enum Command {
    /// Show who the agent is and what it can do; over Kafka, as the cluster's registry has it
    Card {
        /// The card for this caller, which needs credentials
        #[arg(long)]
        extended: bool,
    },
    /// Send a message and wait for what comes of it
    Send {
        #[command(flatten)]
        said: Said,
        /// Do not wait: answer once the task exists
        #[arg(long)]
        no_wait: bool,
    },
    /// Send a message and watch what comes of it
    Stream {
        #[command(flatten)]
        said: Said,
    },
    /// Show a task
    Get {
        /// The task's id
        task: String,
        /// At most this many of its newest messages
        #[arg(long, value_name = "COUNT")]
        history: Option<i32>,
    },
    /// List tasks, the newest first
    List(Listed),
    /// Cancel a task
    Cancel {
        /// The task's id
        task: String,
    },
    /// Watch a task
    Subscribe {
        /// The task's id
        task: String,
        /// Begin after this event, whose id an earlier stream had, for example 12-3
        #[arg(long, value_name = "EVENT")]
        after: Option<Cursor>,
    },
    /// Have a task's news pushed to a webhook
    #[command(subcommand)]
    Push(Push),
    /// List the agents of a Kafka cluster; --url kafka://HOST:PORT
    Agents,
    /// Check a server of the Kafka binding; --url kafka://HOST:PORT/agent.NAME.requests
    ///
    /// Each requirement of the binding that shows outside, by its number. The agent must do what
    /// the A2A conformance kit's message ids ask for. It fails if one requirement is not met.
    KafkaCheck {
        /// The server is fed in batches, as a function is: it may hold a partition meanwhile
        #[arg(long)]
        batches: bool,
    },
    /// Enter an agent into a Kafka cluster's registry, until it is withdrawn; --url kafka://HOST:PORT
    ///
    /// For agents that do not do so themselves, such as functions on Lambda.
    Register {
        /// The file of its card; - reads it from standard input
        card: PathBuf,
        #[command(flatten)]
        entry: Entered,
    },
    /// Take an agent out of a Kafka cluster's registry; --url kafka://HOST:PORT
    Withdraw {
        /// The agent's name
        agent: String,
        #[command(flatten)]
        entry: Entered,
    },
}

/// A task's push configurations.
#[derive(Clone, Subcommand)]
pub(crate) enum Push {
    /// Add a configuration
    Add {
        /// The task's id
        task: String,
        /// Where to post its news
        webhook: String,
        /// A name for the configuration; the agent makes one where it is absent
        #[arg(long)]
        id: Option<String>,
        /// What the webhook knows the agent by
        #[arg(long, env = "A2A_PUSH_TOKEN", hide_env_values = true)]
        token: Option<String>,
    },
    /// Show a configuration
    Get {
        /// The task's id
        task: String,
        /// The configuration's id
        id: String,
    },
    /// List a task's configurations
    List {
        /// The task's id
        task: String,
    },
    /// Delete a configuration
    Delete {
        /// The task's id
        task: String,
        /// The configuration's id
        id: String,
    },
}

/// Which of an agent's entries in a registry.
#[derive(Args, Clone, Debug)]
pub(crate) struct Entered {
    /// What tells this entry from those of the agent's own processes
    #[arg(long, value_name = "NAME", default_value = "registered")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) instance: String,
}

/// A message, and how it is to be answered.
#[derive(Args, Clone, Debug)]
pub(crate) struct Said {
    /// The words; - reads them from standard input
    pub(crate) text: Vec<String>,
    /// A file to send along, or an http(s) address of one; may be given several times
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Vec<String>,
    /// JSON to send along, or @PATH of some; may be given several times
    #[arg(long, value_name = "JSON")]
    pub(crate) data: Vec<String>,
    /// The conversation this belongs to
    #[arg(long, value_name = "ID")]
    pub(crate) context: Option<String>,
    /// The task this continues
    #[arg(long, value_name = "ID")]
    pub(crate) task: Option<String>,
    /// The message's idempotency key: sent again under it, the message is executed once
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

/// Which tasks to list.
#[derive(Args, Clone, Debug)]
pub(crate) struct Listed {
    /// Only those of this conversation
    #[arg(long, value_name = "ID")]
    pub(crate) context: Option<String>,
    /// Only those in this state, for example input-required
    #[arg(long, value_parser = state)]
    pub(crate) state: Option<TaskState>,
    /// How many at most
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<i32>,
    /// The page after an earlier one, by the token that it ended with
    #[arg(long, value_name = "TOKEN")]
    pub(crate) page: Option<String>,
    /// With their artifacts
    #[arg(long)]
    pub(crate) artifacts: bool,
}

fn state(text: &str) -> Result<TaskState, String> {
    let known = words().into_iter().find(|(word, _)| *word == text.to_ascii_lowercase());
    known.map(|(_, state)| state).ok_or_else(|| {
        let words: Vec<String> = words().into_iter().map(|(word, _)| word).collect();
        format!("expected one of {}", words.join(", "))
    })
}

fn words() -> [(String, TaskState); 8] {
    [
        TaskState::Submitted,
        TaskState::Working,
        TaskState::Completed,
        TaskState::Failed,
        TaskState::Canceled,
        TaskState::InputRequired,
        TaskState::Rejected,
        TaskState::AuthRequired,
    ]
    .map(|state| (crate::words::state(state), state))
}

/// Where a file is.
pub(crate) enum FileLocation {
    /// On this machine.
    Path(PathBuf),
    /// Anywhere.
    Url(String),
}

impl FileLocation {
    pub(crate) fn of(text: &str) -> Self {
        if text.starts_with("http://") || text.starts_with("https://") {
            Self::Url(text.to_owned())
        } else {
            Self::Path(text.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn fault(arguments: &[&str]) -> String {
        let all = std::iter::once(&"a2a").chain(arguments);
        Options::try_parse_from(all).err().unwrap().to_string()
    }

    #[test]
    fn options_stand_before_or_behind_the_command() {
        Options::command().debug_assert();
        for line in ["--json send hello there", "send hello there --json"] {
            let options = Options::parse_from(["a2a"].into_iter().chain(line.split(' ')));
            let Command::Send { said, no_wait: false } = options.command else { panic!() };
            assert!(options.json && said.text == ["hello", "there"]);
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!(fault(&["list", "--state", "busy"]).contains("input-required"));
        assert!(fault(&["subscribe", "t", "--after", "x"]).contains("an event id such as 12-3"));
        assert!(fault(&["card", "--timeout", "0"]).contains("1..=86400"));
        let help = Options::command().render_help().to_string();
        assert!(help.contains("130  interrupted"), "{help}");
    }
}
