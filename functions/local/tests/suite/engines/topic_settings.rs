//! What an operator says of an agent's topics counts: how large an answer may be, and whose time a
//! record has.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    Agent, AgentCard, AgentError, AgentExecutor, Error, EventQueue, Message, Part, RequestContext,
    SendMessageRequest, SendMessageResponse, Task, async_trait,
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

/// The agent on topics of its own, and a client of it.
struct Served {
    runner: Runner,
    client: Client,
}

impl Served {
    /// Creates the topics of that agent, so set, and serves it there.
    async fn start<const N: usize>(topics: [NewTopic<'_>; N], name: &str) -> Self {
        for created in admin().create_topics(&topics, &AdminOptions::new()).await.unwrap() {
            created.unwrap();
        }
        let (brokers, card) = (brokers(), AgentCard { name: name.into(), ..AgentCard::default() });
        let (kafka, agents) = (format!("--kafka={brokers}"), format!("--agents={name}"));
        let options = ["a2a-local", "--port=0", "--store=memory:", &kafka, &agents];
        let config = Config::parse_from(options);
        let runner = Runner::start(&config, [Agent::new(card, Large)]).await.unwrap();
        let url = format!("kafka://{brokers}/{}", Topics::of(name).requests);
        let mut parameters = Parameters::default();
        parameters.timeout = Duration::from_secs(60);
        let client = KafkaTransport::new(&url, KafkaOptions::default()).unwrap();
        let client = Client::new(Arc::new(client)).with_parameters(parameters);
        Self { runner, client }
    }

    /// Asks for so many bytes.
    async fn ask(&self, bytes: usize) -> Result<Task, Error> {
        let id = uuid::Uuid::new_v4().to_string();
        let message = Message::user(id, vec![Part::text(bytes.to_string())]);
        let request = SendMessageRequest { message, ..SendMessageRequest::default() };
        match self.client.send(request).await? {
            SendMessageResponse::Task(task) => Ok(*task),
            SendMessageResponse::Message(message) => panic!("no task: {message:?}"),
        }
    }
}

fn one(topic: &str) -> NewTopic<'_> {
    NewTopic::new(topic, 1, TopicReplication::Fixed(1))
}

fn kafka() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config
}

fn admin() -> AdminClient<DefaultClientContext> {
    kafka().create().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_be_as_large_as_its_topic_takes() {
    let name = format!("large-{}", uuid::Uuid::new_v4().simple());
    let Topics { requests, responses, .. } = &Topics::of(&name);
    let max_answer = async || broker::max_answer(&brokers(), responses).await;
    assert_eq!(max_answer().await, MAX_ANSWER, "there is no topic");
    let wide = one(responses).set("max.message.bytes", "6000000");
    let served = Served::start([one(requests), wide], &name).await;
    assert_eq!(max_answer().await, 6_000_000);
    let task = served.ask(2_500_000).await.unwrap();
    assert_eq!(task.status.message.unwrap().text().len(), 2_500_000);
    let refused = served.ask(3_900_000).await.err();
    assert!(refused.is_none(), "it is within the topic's limit: {refused:?}");
    served.runner.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_whose_time_it_has() {
    let name = format!("time-{}", uuid::Uuid::new_v4().simple());
    let Topics { requests, responses, .. } = &Topics::of(&name);
    let stamped = one(requests).set("message.timestamp.type", "LogAppendTime");
    let served = Served::start([stamped, one(responses)], &name).await;
    served.ask(1).await.unwrap();
    served.runner.stop().await.unwrap();
    for (topic, broker_time) in [(requests, true), (responses, false)] {
        let consumer: StreamConsumer = kafka().set("group.id", &name).create().unwrap();
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
    let name = format!("small-{}", uuid::Uuid::new_v4().simple());
    let Topics { requests, responses, .. } = &Topics::of(&name);
    let small = |topic| one(topic).set("max.message.bytes", "20000");
    let served = Served::start([small(requests), small(responses)], &name).await;
    for answer in join_all((0..200).map(|_| served.ask(4_000))).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    served.runner.stop().await.unwrap();
}
