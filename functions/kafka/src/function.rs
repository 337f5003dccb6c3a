//! The function as a program.
//!
//! Owns: what its environment says of Kafka. Must never know: what an event holds.

use std::process::ExitCode;

use a2a_core::{
    Agent, DefaultRequestHandler,
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

/// Serves one of these agents as a Lambda function; a whole program.
pub fn main(agents: impl Into<Vec<Agent>>) -> ExitCode {
    a2a_lambda::main(agents, async |environment, handler| {
        let function = function(&environment, handler)?;
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
fn function(
    environment: &Environment,
    handler: DefaultRequestHandler,
) -> Result<KafkaFunction, String> {
    let brokers = environment.need(BROKERS, "the Kafka brokers, HOST:PORT with commas between")?;
    let producer = login::producer(environment, &brokers)?;
    let name = handler.card().name.clone();
    let mut topics = Topics::of(&name);
    for (variable, topic) in
        [(RESPONSES, &mut topics.responses), (DEAD_LETTER, &mut topics.dead_letter)]
    {
        if let Some(named) = environment.get(variable)? {
            *topic = named;
        }
    }
    let scope = environment.get(SCOPE)?.unwrap_or_default();
    let endpoint = KafkaEndpoint::new(handler, &name, scope).with_topics(topics);
    Ok(KafkaFunction::new(endpoint, producer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTH: &str = "A2A_KAFKA_AUTH";

    async fn begin<const N: usize>(
        variables: [(&'static str, &'static str); N],
    ) -> Result<KafkaFunction, String> {
        let environment = Environment::of(variables);
        let handler = environment.handler(a2a_agent::agents()).await?;
        function(&environment, handler)
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_one_sentence() {
        for (variables, sentence) in [
            (
                [("A2A_STORE", "memory:"), (AUTH, "")],
                "A2A_KAFKA is not set. It holds the Kafka brokers, HOST:PORT with commas between.",
            ),
            (
                [(BROKERS, "host:9092"), (AUTH, "")],
                "A2A_STORE is not set. It holds the URL of the task store, for example memory:.",
            ),
        ] {
            assert_eq!(begin(variables).await.err().unwrap(), sentence);
        }
        let unknown = [("A2A_STORE", "memory:"), (BROKERS, "host:9092"), (AUTH, "kerberos")];
        assert_eq!(
            begin(unknown).await.err().unwrap(),
            "A2A_KAFKA_AUTH is `kerberos`: use none, tls, scram or iam."
        );
    }

    #[tokio::test]
    async fn what_is_set_is_enough() {
        assert!(begin([(BROKERS, "127.0.0.1:1"), ("A2A_STORE", "memory:")]).await.is_ok());
    }
}
