//! The function as a program.
//!
//! Owns: what its environment says of Kafka. Must never know: what an event holds.

use std::{fmt::Display, process::ExitCode, sync::Arc};

use a2a_core::{
    AgentCard, AgentExecutor,
    kafka::{KafkaEndpoint, Topics},
};
use a2a_lambda::Environment;
use lambda_runtime::{LambdaEvent, run_concurrent, service_fn};

use crate::{KafkaEvent, KafkaFunction, login};

/// The brokers that take the answers.
const BROKERS: &str = "A2A_KAFKA";
/// What tells clusters apart that share a store; see [`KafkaEndpoint::new`].
const SCOPE: &str = "A2A_KAFKA_SCOPE";
/// The topic of the answers, where it is not `agent.{name}.responses`.
const RESPONSES: &str = "A2A_KAFKA_RESPONSES";
/// The topic of answers that nobody can correlate, where it is not `agent.{name}.dead-letter`.
const DEAD_LETTER: &str = "A2A_KAFKA_DEAD_LETTER";

/// Serves this agent as a Lambda function; a whole program.
pub fn main<E: Display>(
    card: AgentCard,
    executor: impl FnOnce() -> Result<Arc<dyn AgentExecutor>, E>,
) -> ExitCode {
    a2a_lambda::main(executor, async move |environment, executor| {
        let function = function(&environment, card, executor).await?;
        let service = service_fn(move |event: LambdaEvent<KafkaEvent>| {
            let function = function.clone();
            async move {
                let LambdaEvent { payload, context } = event;
                let deadline = a2a_lambda::deadline(context.deadline);
                Ok::<_, lambda_runtime::Error>(function.handle(payload, deadline).await)
            }
        });
        let end = run_concurrent(service).await;
        end.map_err(|error| format!("Lambda's runtime API broke off: {error}."))
    })
}

/// The function as its environment wants it.
async fn function(
    environment: &Environment,
    card: AgentCard,
    executor: Arc<dyn AgentExecutor>,
) -> Result<KafkaFunction, String> {
    let brokers = environment.need(BROKERS, "the Kafka brokers, HOST:PORT with commas between")?;
    let producer = login::producer(environment, &brokers)?;
    let name = environment.agent_name()?;
    let mut topics = Topics::of(&name);
    for (variable, topic) in
        [(RESPONSES, &mut topics.responses), (DEAD_LETTER, &mut topics.dead_letter)]
    {
        if let Some(named) = environment.get(variable)? {
            *topic = named;
        }
    }
    let handler = environment.handler(card, executor).await?;
    let scope = environment.get(SCOPE)?.unwrap_or_default();
    let endpoint = KafkaEndpoint::new(handler, &name, scope).with_topics(topics);
    Ok(KafkaFunction::new(endpoint, producer))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused<const N: usize>(variables: [(&'static str, &'static str); N]) -> String {
        let environment = Environment::of(variables);
        let executor = a2a_agent::executor_from_env().unwrap();
        function(&environment, a2a_agent::card(), executor).await.err().unwrap()
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_one_sentence() {
        assert_eq!(
            refused([("A2A_STORE", "memory:")]).await,
            "A2A_KAFKA is not set. It holds the Kafka brokers, HOST:PORT with commas between."
        );
        assert!(refused([(BROKERS, "host:9092")]).await.starts_with("A2A_STORE is not set."));
        assert_eq!(
            refused([(BROKERS, "host:9092"), ("A2A_KAFKA_AUTH", "kerberos")]).await,
            "A2A_KAFKA_AUTH is `kerberos`: use none, tls, scram or iam."
        );
    }

    #[tokio::test]
    async fn what_is_set_is_enough() {
        let environment = Environment::of([(BROKERS, "127.0.0.1:1"), ("A2A_STORE", "memory:")]);
        let executor = a2a_agent::executor_from_env().unwrap();
        assert!(function(&environment, a2a_agent::card(), executor).await.is_ok());
    }
}
