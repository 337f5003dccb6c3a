//! The variables a function is set up with.
//!
//! Owns: their names, and what is said of one that is missing or wrong. Must never know: which
//! function it is.

use std::{env::VarError, sync::Arc};

use a2a_core::{AgentCard, AgentExecutor, DefaultRequestHandler, kafka::Topics, store};

/// The agent's name, which names its topics; `data` where it is unset.
pub const NAME: &str = "A2A_NAME";
/// The store's URL; see [`store::open`].
pub const STORE: &str = "A2A_STORE";
/// What page tokens are signed with, the same for all instances; see
/// [`DefaultRequestHandler::with_secret`].
pub const SECRET: &str = "A2A_SECRET";

/// Environment variables. One that is empty is unset: that is how a template says so.
pub struct Environment(Box<Lookup>);

type Lookup = dyn Fn(&str) -> Result<String, VarError>;

impl Environment {
    /// The process's.
    pub fn process() -> Self {
        Self(Box::new(|name| std::env::var(name)))
    }

    /// These and no others, for tests.
    pub fn of<const N: usize>(variables: [(&'static str, &'static str); N]) -> Self {
        Self(Box::new(move |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        }))
    }

    /// The value of a variable that may be unset.
    ///
    /// # Errors
    /// One sentence when it is not text.
    pub fn get(&self, name: &str) -> Result<Option<String>, String> {
        match (self.0)(name) {
            Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8 text.")),
        }
    }

    /// The value of a variable that must be set: `what` it holds is said where it is not.
    ///
    /// # Errors
    /// One sentence when it is unset.
    pub fn need(&self, name: &str, what: &str) -> Result<String, String> {
        self.get(name)?.ok_or_else(|| format!("{name} is not set. It holds {what}."))
    }

    /// The agent's name.
    ///
    /// # Errors
    /// One sentence when it cannot be part of a topic's name.
    pub fn agent_name(&self) -> Result<String, String> {
        let name = self.get(NAME)?.unwrap_or_else(|| "data".to_owned());
        match Topics::check(&name) {
            Ok(()) => Ok(name),
            Err(why) => Err(format!("{NAME} is `{name}`: {why}.")),
        }
    }

    /// The handler of this agent, under its name and over its store.
    ///
    /// # Errors
    /// One sentence when the name or the store is missing or wrong.
    pub async fn handler(
        &self,
        mut card: AgentCard,
        executor: Arc<dyn AgentExecutor>,
    ) -> Result<DefaultRequestHandler, String> {
        card.name = self.agent_name()?;
        let url = self.need(STORE, "the URL of the task store, for example memory:")?;
        let store = store::open(&url).await.map_err(|why| format!("{STORE}: {why}"))?;
        let handler = DefaultRequestHandler::new(card, executor, store);
        Ok(match self.get(SECRET)? {
            Some(secret) => handler.with_secret(secret.as_bytes()),
            None => handler,
        })
    }

    /// Whether this is a Lambda environment, or something that looks like it.
    ///
    /// # Errors
    /// One sentence on what to do when it is not.
    pub fn check_lambda(&self) -> Result<(), String> {
        if self.get("AWS_LAMBDA_RUNTIME_API")?.is_some() {
            return Ok(());
        }
        Err("This program is a Lambda function: start it with `cargo lambda watch`. \
             Without Lambda, `cargo run` starts the local runner."
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use a2a_core::{AgentError, EventQueue, RequestContext, async_trait};

    use super::*;

    struct Silent;

    #[async_trait]
    impl AgentExecutor for Silent {
        async fn execute(&self, _: RequestContext, _: EventQueue) -> Result<(), AgentError> {
            Ok(())
        }
    }

    async fn refused<const N: usize>(variables: [(&'static str, &'static str); N]) -> String {
        let environment = Environment::of(variables);
        environment.handler(AgentCard::default(), Arc::new(Silent)).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_one_sentence() {
        assert_eq!(
            refused([]).await,
            "A2A_STORE is not set. It holds the URL of the task store, for example memory:."
        );
        let unknown = refused([(STORE, "floppy://:secret@host")]).await;
        let told = "A2A_STORE: `floppy:` is no store this build knows; it knows memory:";
        assert!(unknown.starts_with(told) && !unknown.contains("secret"), "{unknown}");
        assert_eq!(
            refused([(NAME, "a b"), (STORE, "memory:")]).await,
            "A2A_NAME is `a b`: use 1 to 200 letters, digits, `.`, `_` or `-`, since it names Kafka topics."
        );
        assert!(Environment::of([]).check_lambda().unwrap_err().contains("cargo lambda watch"));
    }

    #[tokio::test]
    async fn an_agent_is_served_under_its_name() {
        let named = Environment::of([(NAME, "balance"), (STORE, " memory: ")]);
        let handler = named.handler(AgentCard::default(), Arc::new(Silent)).await.unwrap();
        assert_eq!(handler.card().name, "balance");
        let unnamed = Environment::of([(NAME, ""), (STORE, "memory:?bytes=1000000")]);
        assert_eq!(unnamed.agent_name().unwrap(), "data");
    }
}
