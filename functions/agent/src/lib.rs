//! The example agent: `data`, which knows the win rates and the game lengths of a table of matches.
//!
//! **Replace this crate with yours.** The functions and the local runner need one thing of it:
//! [`agents`], the list of what it offers, each a card and a way to make its executor.
//!
//! Owns everything that is about matches. Must never know a transport, a store or a task's life:
//! an agent reads its [`RequestContext`](a2a_core::RequestContext) and writes to its
//! [`EventQueue`](a2a_core::EventQueue), and so runs over HTTP and over Kafka alike.
//!
//! | module | |
//! |---|---|
//! | `executor` | from a message to the events of its task |
//! | `question`, `words` | what was asked, in English or Korean |
//! | `answer` | what is said, and the figures as JSON |
//! | `race`, `matches`, `table` | the figures, and the CSV they are read from |
//! | `card` | the agent card |
//!
//! With the feature `balance` it offers a second agent, which calls the first (`balance`).

mod answer;
#[cfg(feature = "balance")]
pub mod balance;
mod card;
mod executor;
mod matches;
mod question;
mod race;
mod table;
mod words;

use std::{ffi::OsStr, path::Path, sync::Arc};

use a2a_core::{Agent, AgentExecutor};

pub use card::card;
pub use executor::DataAnalysisExecutor;
pub use matches::{Matches, Totals};
pub use race::Race;
pub use table::TableError;

/// The environment variable that names the table of matches to answer from.
pub const MATCHES_CSV: &str = "MATCHES_CSV";

/// What this crate offers. An agent stands behind those it calls; the first is the one that is
/// served where nobody chooses.
pub fn agents() -> Vec<Agent> {
    vec![
        Agent::made(card(), |_| executor_from_env()),
        #[cfg(feature = "balance")]
        Agent::made(balance::card(), balance::executor_from_env),
    ]
}

/// The agent `data`, as the environment wants it: with the file [`MATCHES_CSV`] names, or, where that is
/// unset or empty, with the sample that is compiled in.
///
/// # Errors
/// [`TableError`] if the file cannot be read or is no table of matches. The process should not
/// start then: an agent without its figures can only give wrong answers.
pub fn executor_from_env() -> Result<Arc<dyn AgentExecutor>, TableError> {
    Ok(Arc::new(executor_from(std::env::var_os(MATCHES_CSV).as_deref())?))
}

fn executor_from(file: Option<&OsStr>) -> Result<DataAnalysisExecutor, TableError> {
    // Set but empty is how a compose file or a template says "not set".
    let Some(file) = file.filter(|file| !file.is_empty()) else {
        tracing::info!("answering from the sample; {MATCHES_CSV} is unset");
        return Ok(DataAnalysisExecutor::from_sample());
    };
    let matches = Matches::from_file(Path::new(file))?;
    tracing::info!(games = matches.games(), file = %file.display(), "answering from {MATCHES_CSV}");
    Ok(DataAnalysisExecutor::new(matches))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_the_sample_answers() {
        let sample = Matches::sample().unwrap();
        for file in [None, Some(OsStr::new(""))] {
            assert_eq!(executor_from(file).unwrap().matches().unwrap(), &sample);
        }
    }

    #[test]
    fn the_file_that_is_named_answers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let table = "game_id,race,result,duration_minutes\n1,Zerg,win,8\n";
        std::fs::write(&file, table).unwrap();
        let executor = executor_from(Some(file.path().as_os_str())).unwrap();
        let matches = executor.matches().unwrap();
        assert_eq!((matches.games(), matches.of(Race::Zerg).wins), (1, 1));
    }

    #[test]
    fn a_bad_file_is_an_error_that_names_it_and_the_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "game_id,race,result,duration_minutes\n1,Zerg,draw,8\n").unwrap();
        let error = executor_from(Some(file.path().as_os_str())).unwrap_err();
        let expected = format!(
            "{}, line 2: result must be `win` or `loss`, not `draw`",
            file.path().display()
        );
        assert_eq!(error.to_string(), expected);
    }
}
