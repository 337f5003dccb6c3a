//! What an operator says of an agent's topics counts: how large an answer may be, and whose time a
//! record has.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    Agent, AgentCard, AgentError, AgentExecutor, EventQueue, Message, Part, RequestContext,
    SendMessageRequest, SendMessageResponse, async_trait,
    client::{
        Client, Parameters,
        kafka::{KafkaOptions, KafkaTransport},
    },
    kafka::{MAX_ANSWER, Topics},
};
use a2a_local::{broker, config::Config, consumer, run::Runner};
use clap::Parser;
use futures_util::future::join_all;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
};

fn brokers() -> String {
    std::env::var("A2A_TEST_KAFKA").expect("run `cargo xtask test`, which starts Kafka")
}

/// It answers with as many bytes as it is asked for.
struct Large;

#[async_trait]
impl AgentExecutor for Large {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let bytes = context.text().parse().unwrap_or(0);
        Ok(queue.complete("x".repeat(bytes)).await?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_be_as_large_as_its_topic_takes() {
    let (name, brokers) = (format!("large-{}", uuid::Uuid::new_v4().simple()), brokers());
    let topics = Topics::of(&name);
    let Topics { requests, responses, .. } = &topics;
    let max_answer = async || broker::max_answer(&brokers, responses).await;
    assert_eq!(max_answer().await, MAX_ANSWER, "there is no topic");
    let one = |topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    let all = [
        one(requests).set("message.timestamp.type", "LogAppendTime"),
        one(responses).set("max.message.bytes", "6000000"),
    ];
    let mut kafka = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> =
        kafka.set("bootstrap.servers", &brokers).create().unwrap();
    for created in admin.create_topics(&all, &AdminOptions::new()).await.unwrap() {
        created.unwrap();
    }
    assert_eq!(max_answer().await, 6_000_000);
    let card = AgentCard { name: name.clone(), ..AgentCard::default() };
    let (on, agents) = (format!("--kafka={brokers}"), format!("--agents={name}"));
    let options = ["a2a-local", "--port=0", "--store=memory:", &on, &agents];
    let config = Config::parse_from(options);
    let runner = Runner::start(&config, [Agent::new(card, Large)]).await.unwrap();
    let url = format!("kafka://{brokers}/{requests}");
    let mut parameters = Parameters::default();
    parameters.timeout = Duration::from_secs(60);
    let client = KafkaTransport::new(&url, KafkaOptions::default()).unwrap();
    let client = Client::new(Arc::new(client)).with_parameters(parameters);
    let send = async |bytes: usize| {
        let message = Message::user(format!("m-{bytes}"), vec![Part::text(bytes.to_string())]);
        let request = SendMessageRequest { message, ..SendMessageRequest::default() };
        client.send(request).await
    };
    let SendMessageResponse::Task(task) = send(2_500_000).await.unwrap() else { panic!() };
    assert_eq!(task.status.message.unwrap().text().len(), 2_500_000);
    let refused = send(3_900_000).await.map(|_| ()).err();
    assert!(refused.is_none(), "it is within the topic's limit: {refused:?}");
    runner.stop().await.unwrap();
    for (topic, broker_time) in [(requests, true), (responses, false)] {
        let consumer: StreamConsumer = kafka.set("group.id", &name).create().unwrap();
        let mut first = TopicPartitionList::new();
        first.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&first).unwrap();
        let record = consumer::record(&consumer.recv().await.unwrap());
        assert_eq!(record.broker_time, broker_time, "{topic}");
    }
}

/// Requests and answers are sent together, but none is too large because of its neighbours.
#[tokio::test(flavor = "multi_thread")]
async fn small_answers_fit_a_topic_of_small_records() {
    let (name, brokers) = (format!("small-{}", uuid::Uuid::new_v4().simple()), brokers());
    let Topics { requests, responses, .. } = Topics::of(&name);
    let one = |topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    let small = |topic| one(topic).set("max.message.bytes", "20000");
    let all = [small(&requests), small(&responses)];
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> =
        config.set("bootstrap.servers", &brokers).create().unwrap();
    for created in admin.create_topics(&all, &AdminOptions::new()).await.unwrap() {
        created.unwrap();
    }
    let card = AgentCard { name: name.clone(), ..AgentCard::default() };
    let (kafka, agents) = (format!("--kafka={brokers}"), format!("--agents={name}"));
    let options = ["a2a-local", "--port=0", "--store=memory:", &kafka, &agents];
    let config = Config::parse_from(options);
    let runner = Runner::start(&config, [Agent::new(card, Large)]).await.unwrap();
    let url = format!("kafka://{brokers}/{requests}");
    let mut parameters = Parameters::default();
    parameters.timeout = Duration::from_secs(60);
    let client = KafkaTransport::new(&url, KafkaOptions::default()).unwrap();
    let client = Client::new(Arc::new(client)).with_parameters(parameters);
    let send = async |number: usize| {
        let message = Message::user(format!("m-{number}"), vec![Part::text("4000")]);
        client.send(SendMessageRequest { message, ..SendMessageRequest::default() }).await
    };
    for answer in join_all((0..200).map(send)).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    runner.stop().await.unwrap();
}
