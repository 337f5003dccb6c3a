//! An agent, as it is handed to what serves it: the functions, the local runner.
//!
//! Owns: which of several agents a name means, and what an executor is made with. Must never know:
//! where an agent is served, over what, and where its tasks are kept.

#[cfg(feature = "client")]
use std::collections::BTreeMap;
use std::{fmt, sync::Arc};

#[cfg(feature = "client")]
use crate::client::Client;
use crate::{agent::AgentExecutor, types::AgentCard};

/// An agent that is not served yet: its card, and how its executor is made.
pub struct Agent {
    /// What it tells of itself. Its name is the name it is chosen by, and names its topics.
    pub card: AgentCard,
    /// Makes its executor once there are logs to say so in; or one sentence why there is none.
    pub executor: MakeExecutor,
}

/// Makes an executor, which may call those peers.
pub type MakeExecutor =
    Box<dyn FnOnce(&Peers) -> Result<Arc<dyn AgentExecutor>, String> + Send + 'static>;

impl Agent {
    /// The agent of this card and this executor.
    pub fn new(card: AgentCard, executor: impl AgentExecutor) -> Self {
        Self { card, executor: Box::new(|_| Ok(Arc::new(executor))) }
    }

    /// The agent of this card, whose executor is made of its environment, or to call its peers.
    pub fn made<E: fmt::Display>(
        card: AgentCard,
        executor: impl FnOnce(&Peers) -> Result<Arc<dyn AgentExecutor>, E> + Send + 'static,
    ) -> Self {
        let executor = Box::new(|peers: &Peers| executor(peers).map_err(|error| error.to_string()));
        Self { card, executor }
    }

    /// Which of these agents has this name.
    ///
    /// # Errors
    /// One sentence that names those there are.
    pub fn find(agents: &[Self], name: &str) -> Result<usize, String> {
        agents.iter().position(|agent| agent.card.name == name).ok_or_else(|| {
            let names = agents.iter().map(|agent| format!("`{}`", agent.card.name));
            format!("There is no agent `{name}` here, only {}.", Vec::from_iter(names).join(", "))
        })
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Agent").field("name", &self.card.name).finish_non_exhaustive()
    }
}

/// The agents that an agent may call, by name. Over which transport, it need not know.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    #[cfg(feature = "client")]
    clients: BTreeMap<String, Client>,
}

#[cfg(feature = "client")]
impl Peers {
    /// Adds a peer of that name, in place of one there was.
    pub fn insert(&mut self, name: impl Into<String>, client: Client) {
        self.clients.insert(name.into(), client);
    }

    /// The peer of that name.
    pub fn get(&self, name: &str) -> Option<&Client> {
        self.clients.get(name)
    }
}

#[cfg(feature = "client")]
impl FromIterator<(String, Client)> for Peers {
    fn from_iter<T: IntoIterator<Item = (String, Client)>>(clients: T) -> Self {
        Self { clients: clients.into_iter().collect() }
    }
}
