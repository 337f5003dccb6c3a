//! The agents the cases talk to: the real one of the brief, and a small one that does on demand
//! what an agent can do.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use a2a_agent::{DataAnalysisExecutor, Matches};
use a2a_core::{
    AgentCapabilities, AgentCard, AgentError, AgentExecutor, AgentExtension, Artifact,
    DefaultRequestHandler, Env, EventQueue, MemoryStore, Part, RequestContext, Timestamp,
    async_trait,
};

/// An extension that [`Agent::Strict`] requires.
pub(crate) const EXTENSION: &str = "https://example.org/strict";

/// Who answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Agent {
    /// The brief's `data`.
    Data,
    /// Does what its message's first word says; see [`OnDemand`].
    OnDemand,
    /// The same one under a card that allows less: no streams, an extension required, an extended
    /// card promised.
    Strict,
}

impl Agent {
    pub(crate) fn card(self) -> AgentCard {
        let mut card = a2a_agent::card();
        if let Self::Strict = self {
            let uri = EXTENSION.to_owned();
            card.capabilities = AgentCapabilities {
                streaming: Some(false),
                extended_agent_card: Some(true),
                extensions: vec![AgentExtension { uri, required: true, ..Default::default() }],
                ..AgentCapabilities::default()
            };
        }
        card
    }

    pub(crate) fn executor(self) -> Arc<dyn AgentExecutor> {
        match self {
            Self::Data => Arc::new(DataAnalysisExecutor::new(Matches::sample().unwrap())),
            Self::OnDemand | Self::Strict => Arc::new(OnDemand),
        }
    }

    /// As a runner takes it.
    pub(crate) fn served(self) -> a2a_core::Agent {
        a2a_core::Agent::made(self.card(), move |_| Ok::<_, Infallible>(self.executor()))
    }

    /// A handler of its own store. Its clock ticks at each look, so "newest first" is one order.
    pub(crate) fn handler(self) -> DefaultRequestHandler {
        let clock = AtomicI64::new(1_767_225_600_000);
        let now = move || Timestamp::from_millis(clock.fetch_add(1, Ordering::Relaxed));
        let store = Arc::new(MemoryStore::default());
        DefaultRequestHandler::new(self.card(), self.executor(), store)
            .with_env(Env::new(now, uuid::Uuid::new_v4))
    }
}

/// Does what the first word of its message says.
struct OnDemand;

#[async_trait]
impl AgentExecutor for OnDemand {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let text = context.message().parts[0].as_text().unwrap_or_default().to_owned();
        let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match verb {
            "answer" => queue.complete(rest).await?,
            "reply" => queue.reply(rest).await?,
            "ask" => queue.require_input(rest).await?,
            "reject" => queue.reject(rest).await?,
            "error" => return Err(AgentError::new(rest).with_source("the private cause")),
            "vanish" => {}
            "parts" => {
                let parts = context.message().parts[1..].to_vec();
                queue.artifact(Artifact::new("same", parts).named("The same")).await?;
                queue.complete(()).await?;
            }
            "chunks" => {
                queue.working("chunks follow").await?;
                queue.artifact(Artifact::new("chunks", vec![Part::text("one")])).await?;
                queue.append("chunks", "two").await?;
                queue.last("chunks", "three").await?;
                queue.complete(()).await?;
            }
            "slow" => {
                tokio::time::sleep(Duration::from_millis(30)).await;
                queue.complete(rest).await?;
            }
            _ => queue.complete(format!("{} to {text:?}", context.tenant())).await?,
        }
        Ok(())
    }
}
