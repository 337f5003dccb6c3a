//! The client over Kafka when things go wrong: answers that are lost, come twice or are another's,
//! readers that are slow, brokers that are unavailable. On librdkafka's own broker, which can be
//! told to be unavailable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use a2a_core::{
    AgentCard, AgentError, AgentExecutor, DefaultRequestHandler, Error, ErrorKind, Event,
    EventQueue, GetTaskRequest, MemoryStore, Message, Part, RequestContext, SendMessageRequest,
    SendMessageResponse, StreamResponse, Task, TaskState, async_trait,
    client::{
        Client, Parameters,
        kafka::{
            KafkaOptions, KafkaTransport,
            registry::{Entry, Registry},
        },
    },
    wire::kafka::interface,
};
use futures_util::{StreamExt, future::join_all};

use crate::{
    kafka_agent::{KafkaAgent, options},
    raw_batch,
};

/// Counts its executions; says as many pieces as it is asked for, and one word at the end.
#[derive(Clone, Default)]
struct Pieces(Arc<AtomicUsize>);

#[async_trait]
impl AgentExecutor for Pieces {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        for piece in 0..context.text().parse().unwrap_or(0) {
            queue.append("pieces", format!("{piece};")).await?;
        }
        queue.complete(context.text()).await?;
        Ok(())
    }
}

fn agent(executor: &Pieces) -> KafkaAgent {
    let mut card = AgentCard { name: "data".to_owned(), ..AgentCard::default() };
    card.capabilities.streaming = Some(true);
    let store = Arc::new(MemoryStore::default());
    KafkaAgent::start(DefaultRequestHandler::new(card, Arc::new(executor.clone()), store))
}

fn client(transport: KafkaTransport, timeout: Duration) -> Client {
    let mut parameters = Parameters::default();
    parameters.timeout = timeout;
    Client::new(Arc::new(transport)).with_parameters(parameters)
}

const PATIENCE: Duration = Duration::from_secs(20);

fn say(text: &str) -> SendMessageRequest {
    let message = Message::user("message", vec![Part::text(text)]);
    SendMessageRequest { message, ..SendMessageRequest::default() }
}

async fn send(client: &Client, text: &str) -> Result<Task, Error> {
    match client.send(say(text)).await? {
        SendMessageResponse::Task(task) => Ok(*task),
        SendMessageResponse::Message(message) => panic!("no task but {message:?}"),
    }
}

/// The rest of a stream, which must be in order and end well.
async fn rest(mut events: a2a_core::Events, mut all: Vec<Event>) -> Vec<Event> {
    while let Some(event) = events.0.next().await {
        all.push(event.unwrap());
    }
    assert!(all.is_sorted_by(|before, after| before.cursor < after.cursor), "{all:?}");
    assert!(all.last().is_some_and(|last| last.last), "{all:?}");
    all
}

/// What a reader has in the end: a task that is told takes the place of what was told before.
fn pieces(events: &[Event]) -> String {
    let mut all = Vec::new();
    for event in events {
        match &event.response {
            StreamResponse::Task(task) => {
                let parts = task.artifacts.iter().flat_map(|artifact| &artifact.parts);
                all = parts.filter_map(|part| part.as_text()).collect();
            }
            StreamResponse::ArtifactUpdate(update) => {
                all.extend(update.artifact.parts.iter().filter_map(|part| part.as_text()));
            }
            _ => {}
        }
    }
    all.concat()
}

fn all_pieces(count: usize) -> String {
    (0..count).map(|piece| format!("{piece};")).collect()
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_retried_and_executed_once() {
    let executor = Pieces::default();
    let agent = agent(&executor);
    let soon = agent.transport(|options| options.resend_after = Some(Duration::from_millis(100)));
    let client = client(soon, PATIENCE);
    agent.losing.lose(0, 2);
    let task = send(&client, "once").await.unwrap();
    assert_eq!(task.status.state, TaskState::Completed);
    assert_eq!(executor.0.load(Ordering::Relaxed), 1);
    assert!(agent.losing.sent() >= 3, "two were lost");
    // A stream of which every event was lost.
    agent.losing.lose(0, 5);
    let events = client.stream(say("3")).await.unwrap();
    assert_eq!(pieces(&rest(events, Vec::new()).await), all_pieces(3));
    assert_eq!(executor.0.load(Ordering::Relaxed), 2);
    agent.stop().await;
}

#[tokio::test]
async fn an_end_that_is_lost_is_found() {
    let executor = Pieces::default();
    let agent = agent(&executor);
    let soon = agent.transport(|options| options.resend_after = Some(Duration::from_millis(200)));
    let client = client(soon, PATIENCE);
    // The task comes; its three pieces and its end do not.
    agent.losing.lose(1, 4);
    let events = client.stream(say("3")).await.unwrap();
    let all = rest(events, Vec::new()).await;
    assert!(matches!(all[0].response, StreamResponse::Task(_)));
    assert_eq!((all.len(), pieces(&all)), (5, all_pieces(3)));
    assert_eq!(executor.0.load(Ordering::Relaxed), 1);
    agent.stop().await;
}

#[tokio::test]
async fn two_clients_on_one_topic_each_have_their_own_answers() {
    let executor = Pieces::default();
    let agent = agent(&executor);
    // Other settings: as another process, it has a consumer and a producer of its own.
    let other = agent.transport(|options| {
        options.settings.insert("client.id".to_owned(), "other".to_owned());
    });
    let clients = [client(agent.transport(|_| {}), PATIENCE), client(other, PATIENCE)];
    let asked = (0..60).map(|number| {
        let client = &clients[number % 2];
        async move { (send(client, &format!("request {number}")).await, number) }
    });
    for (task, number) in join_all(asked).await {
        let text = task.unwrap().status.message.unwrap().text().to_owned();
        assert_eq!(text, format!("request {number}"));
    }
    assert_eq!(executor.0.load(Ordering::Relaxed), 60);
    agent.stop().await;
}

#[tokio::test]
async fn a_slow_reader_holds_no_other_up_and_misses_nothing() {
    const COUNT: usize = 2000;
    let agent = agent(&Pieces::default());
    let client = client(agent.transport(|_| {}), PATIENCE);
    let mut slow = client.stream(say(&COUNT.to_string())).await.unwrap();
    let first = slow.0.next().await.unwrap().unwrap();
    // Many times what waits for a reader, and all of it is sent before they go on.
    let (began, mut quick) = (Instant::now(), 0);
    while agent.losing.sent() < COUNT + quick {
        send(&client, "quick").await.unwrap();
        quick += 1;
        assert!(began.elapsed() < PATIENCE, "the stream is held up");
    }
    let all = rest(slow, vec![first]).await;
    assert_eq!(pieces(&all), all_pieces(COUNT));
    agent.stop().await;
}

#[tokio::test]
async fn an_unavailable_broker_is_one_sentence_until_it_recovers() {
    let nowhere = "kafka://127.0.0.1:1/agent.data.requests";
    let nowhere = KafkaTransport::new(nowhere, options(|_| {})).unwrap();
    let error = send(&client(nowhere, Duration::from_secs(1)), "hello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().starts_with("Kafka is not reached at 127.0.0.1:1: "), "{error}");

    let executor = Pieces::default();
    let agent = agent(&executor);
    let patient = client(agent.transport(|_| {}), PATIENCE);
    send(&patient, "before").await.unwrap();
    agent.broker.broker_down(1).unwrap();
    let hasty = client(agent.transport(|_| {}), Duration::from_millis(500));
    let error = send(&hasty, "meanwhile").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let (sent, ()) = tokio::join!(send(&patient, "across"), async {
        tokio::task::yield_now().await;
        agent.broker.broker_up(1).unwrap();
    });
    assert_eq!(sent.unwrap().status.message.unwrap().text(), "across");
    send(&patient, "after").await.unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_silent_and_a_topic_that_is_missing() {
    let agent = agent(&Pieces::default());
    let patient = client(agent.transport(|_| {}), PATIENCE);
    send(&patient, "here").await.unwrap();
    agent.losing.lose(0, usize::MAX);
    let hasty = client(agent.transport(|_| {}), Duration::from_millis(500));
    let error = send(&hasty, "silence").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(error.message(), "The agent did not answer within 0.5 seconds.");
    let hasty = client(agent.transport_on("clients.mine"), Duration::from_secs(2));
    let error = send(&hasty, "silence").await.unwrap_err();
    let sentence = "The agent did not answer on the topic clients.mine within 2 seconds.";
    assert_eq!(error.message(), sentence);
    let missing = client(agent.transport_on("my.replies"), Duration::from_secs(1));
    let get = GetTaskRequest { id: "t".into(), ..GetTaskRequest::default() };
    let error = missing.get(get).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().starts_with("There is no Kafka topic my.replies at "), "{error}");
    agent.stop().await;
}

/// The refusal comes on the agent's topic, and at once: a request is retried after a quarter of
/// the client's timeout.
#[tokio::test]
async fn a_reply_topic_that_is_refused_is_told() {
    let executor = Pieces::default();
    let agent = agent(&executor);
    let began = Instant::now();
    let refused = client(agent.transport_on("mine"), PATIENCE);
    let get = GetTaskRequest { id: "t".into(), ..GetTaskRequest::default() };
    let errors = [
        send(&refused, "hello").await.unwrap_err(),
        refused.stream(say("3")).await.err().unwrap(),
        refused.get(get).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.message(), "This agent does not answer on the topic \"mine\".");
    }
    assert!(began.elapsed() < PATIENCE / 4, "{:?}", began.elapsed());
    assert_eq!(executor.0.load(Ordering::Relaxed), 0);
    let allowed = client(agent.transport_on("clients.mine"), PATIENCE);
    send(&allowed, "hello").await.unwrap();
    let events = allowed.stream(say("3")).await.unwrap();
    assert_eq!(pieces(&rest(events, Vec::new()).await), all_pieces(3));
    // Another client, whose answers come on the agent's topic, has its own beside theirs.
    send(&client(agent.transport(|_| {}), PATIENCE), "hello").await.unwrap();
    assert_eq!(executor.0.load(Ordering::Relaxed), 3);
    agent.stop().await;
}

/// It is of no use to wait for: what cannot be read is passed over, and asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_read_holds_nobody_up() {
    let executor = Pieces::default();
    let agent = agent(&executor);
    let soon = |options: &mut KafkaOptions| {
        options.resend_after = Some(Duration::from_millis(500));
    };
    let client = client(agent.transport(soon), PATIENCE);
    send(&client, "hello").await.unwrap();
    let broker = agent.broker.bootstrap_servers();
    let break_all = || {
        for partition in 0..2 {
            raw_batch::append(&broker, "agent.data.responses", partition);
        }
    };
    break_all();
    let began = Instant::now();
    for _ in 0..5 {
        send(&client, "hello").await.unwrap();
    }
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    assert_eq!(executor.0.load(Ordering::Relaxed), 6);
    // Where all answers are of that kind, it is said, and in time.
    agent.losing.lose(0, usize::MAX);
    let began = Instant::now();
    let breaking = async {
        loop {
            break_all();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let error = tokio::select! {
        sent = send(&client, "hello") => sent.unwrap_err(),
        () = breaking => unreachable!(),
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let told = "Answers on the topic agent.data.responses cannot be read: ";
    assert!(error.message().starts_with(told), "{error}");
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    agent.stop().await;
}

#[tokio::test]
async fn a_registry_with_a_batch_that_cannot_be_read_is_read() {
    let agent = agent(&Pieces::default());
    let broker = agent.broker.bootstrap_servers();
    let registry = Registry::new(&broker, &options(|_| {})).unwrap().within(PATIENCE);
    let entry = |agent: &str| Entry {
        agent: agent.to_owned(),
        instance: "1".to_owned(),
        card: AgentCard::default(),
        expires: None,
    };
    raw_batch::append(&broker, "agent.registry", 0);
    registry.publish(&entry("a")).await.unwrap();
    raw_batch::append(&broker, "agent.registry", 0);
    registry.publish(&entry("b")).await.unwrap();
    let began = Instant::now();
    let agents = registry.list().await.unwrap().into_iter().map(|entry| entry.agent);
    assert_eq!(agents.collect::<Vec<_>>(), ["a", "b"]);
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    agent.stop().await;
}

/// Answers and cards that a producer compressed with zstd are read.
#[tokio::test]
async fn zstd_is_read() {
    let agent = agent(&Pieces::default());
    let mut settings = options(|_| {});
    settings.settings.insert("compression.type".to_owned(), "zstd".to_owned());
    let registry = Registry::new(&agent.broker.bootstrap_servers(), &settings).unwrap();
    let card = AgentCard { description: "zstd ".repeat(1000), ..AgentCard::default() };
    let (name, instance) = ("packed".to_owned(), "1".to_owned());
    registry.publish(&Entry { agent: name, instance, card, expires: None }).await.unwrap();
    let found = registry.find("packed").await.unwrap().unwrap();
    assert_eq!(found.card.description.len(), 5000);
    agent.stop().await;
}

#[tokio::test]
async fn an_agents_card_is_found_in_the_registry() {
    let agent = agent(&Pieces::default());
    let client = client(agent.transport(|_| {}), PATIENCE);
    let error = client.card().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().starts_with("There is no agent \"data\""), "{error}");
    let brokers = agent.broker.bootstrap_servers();
    let registry = Registry::new(&brokers, &options(|_| {})).unwrap();
    let named = |agent: &str, instance: &str, version: &str, expires: Option<&str>| Entry {
        agent: agent.to_owned(),
        instance: instance.to_owned(),
        card: AgentCard { name: agent.into(), version: version.into(), ..AgentCard::default() },
        expires: expires.map(|at| at.parse().unwrap()),
    };
    let entry = |instance, version, expires| named("data", instance, version, expires);
    let version = async || client.card().await.map(|card| card.version.clone());
    registry.publish(&entry("one", "1", None)).await.unwrap();
    assert_eq!(version().await.unwrap(), "1");
    // The newest that lives.
    registry.publish(&entry("two", "2", Some("2999-01-01T00:00:00Z"))).await.unwrap();
    registry.publish(&entry("three", "3", Some("2020-01-01T00:00:00Z"))).await.unwrap();
    assert_eq!(version().await.unwrap(), "2");
    registry.withdraw("data", "two").await.unwrap();
    assert_eq!(version().await.unwrap(), "1");
    // Whoever says something else is shown beside it, and never taken for it.
    let mut evil = entry("evil", "5", None);
    evil.card.supported_interfaces = vec![interface("evil:9092", "agent.data.requests")];
    registry.publish(&evil).await.unwrap();
    let error = client.card().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidAgentResponse);
    let told =
        "different addresses: data/evil at kafka://evil:9092/agent.data.requests; data/one at";
    assert!(error.message().contains(told), "{error}");
    let instances = registry.list().await.unwrap().into_iter().map(|entry| entry.instance);
    assert_eq!(instances.collect::<Vec<_>>(), ["evil", "one"]);
    registry.withdraw("data", "evil").await.unwrap();
    registry.publish(&named("other", "x", "4", None)).await.unwrap();
    let names = registry.list().await.unwrap().into_iter().map(|entry| entry.agent);
    assert_eq!(names.collect::<Vec<_>>(), ["data", "other"]);
    registry.withdraw("data", "one").await.unwrap();
    assert!(registry.find("data").await.unwrap().is_none());
    let error = registry.publish(&named("a/b", "x", "", None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidParams, "{error}");
    // The agent is the key's; its card's name is for people.
    let card = AgentCard { name: "Win rates".into(), ..AgentCard::default() };
    registry.publish(&Entry { card, ..entry("x", "", None) }).await.unwrap();
    assert_eq!(client.card().await.unwrap().name, "Win rates");
    agent.stop().await;
}
