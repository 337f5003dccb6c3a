//! The function as a program.
//!
//! Owns: what its environment says of Kafka. Must never know: what an event holds.

use std::{process::ExitCode, str::FromStr, time::Duration};

use a2a_core::{
    Agent, DefaultRequestHandler,
    kafka::{self, KafkaEndpoint, Topics},
};
use a2a_lambda::Environment;
use lambda_runtime::{LambdaEvent, run_concurrent, service_fn};

use crate::{GiveUp, KafkaEvent, KafkaFunction, RecordHandler, login, producer::MAX_MESSAGE};

/// The brokers that take the answers.
const BROKERS: &str = "A2A_KAFKA";
/// What tells clusters apart that share a store; see [`KafkaEndpoint::new`].
const SCOPE: &str = "A2A_KAFKA_SCOPE";
/// The topic of the answers, where it is not `agent.{name}.responses`.
const RESPONSES: &str = "A2A_KAFKA_RESPONSES";
/// The topic of records that are given up, where it is not `agent.{name}.dead-letter`.
const DEAD_LETTER: &str = "A2A_KAFKA_DEAD_LETTER";
/// Which topics clients may have their answers on; see
/// [`ReplyTopics`](a2a_core::kafka::ReplyTopics).
const REPLY_TOPICS: &str = "A2A_KAFKA_REPLY_TOPICS";
/// How many bytes an answer may have: `max.message.bytes` of its topic, where that is not Kafka's
/// default; see [`KafkaEndpoint::with_max_answer`].
const MAX_ANSWER: &str = "A2A_KAFKA_MAX_ANSWER_BYTES";
/// How long after its first attempt, in seconds, a record is given up; see [`GiveUp`]. 0 is never.
const MAX_AGE: &str = "A2A_KAFKA_MAX_AGE_SECONDS";

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
    let reply_topics = environment.get(REPLY_TOPICS)?.unwrap_or_default().parse();
    let reply_topics = reply_topics.map_err(|why| format!("{REPLY_TOPICS}: {why}."))?;
    let max_answer = number(environment, MAX_ANSWER, "of bytes")?.unwrap_or(kafka::MAX_ANSWER);
    let endpoint = KafkaEndpoint::new(handler, &name, scope)
        .with_topics(topics)
        .with_reply_topics(reply_topics)
        .with_max_answer(max_answer.min(MAX_MESSAGE));
    let records = RecordHandler::new(endpoint, producer).give_up_after(give_up(environment)?);
    Ok(KafkaFunction::new(records))
}

fn give_up(environment: &Environment) -> Result<GiveUp, String> {
    let mut give_up = GiveUp::default();
    if let Some(seconds) = number(environment, MAX_AGE, "of seconds, or 0 for no limit")? {
        give_up.age = (seconds > 0).then(|| Duration::from_secs(seconds));
    }
    Ok(give_up)
}

/// The number in that variable, where it is set.
fn number<N: FromStr>(
    environment: &Environment,
    variable: &str,
    of_what: &str,
) -> Result<Option<N>, String> {
    let Some(text) = environment.get(variable)? else { return Ok(None) };
    let number = text.parse();
    number.map(Some).map_err(|_| format!("{variable} is `{text}`: use a number {of_what}."))
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
    async fn options_are_read() {
        for (variable, wrong, sentence) in [
            (REPLY_TOPICS, "a b", "A2A_KAFKA_REPLY_TOPICS: `a b` is no pattern of topics"),
            (MAX_ANSWER, "6MB", "A2A_KAFKA_MAX_ANSWER_BYTES is `6MB`: use a number of bytes."),
            (MAX_AGE, "1h", "A2A_KAFKA_MAX_AGE_SECONDS is `1h`: use a number of seconds"),
        ] {
            let variables = [(BROKERS, "host:9092"), ("A2A_STORE", "memory:"), (variable, wrong)];
            let told = begin(variables).await.err().unwrap();
            assert!(told.starts_with(sentence), "{told}");
        }
        let age = |text| give_up(&Environment::of([(MAX_AGE, text)])).unwrap().age;
        assert_eq!(age("60"), Some(Duration::from_secs(60)));
        assert_eq!((age("0"), age("")), (None, GiveUp::default().age));
    }

    #[tokio::test]
    async fn the_required_variables_suffice() {
        assert!(begin([(BROKERS, "127.0.0.1:1"), ("A2A_STORE", "memory:")]).await.is_ok());
    }
}
