//! The agent beside its peer, which is in this process, over stores of their own.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use a2a_core::{
    AgentCard, AgentError, AgentExecutor, Artifact, Call, Caller, DefaultRequestHandler,
    EventQueue, IdempotencyKey, MemoryStore, Message, Part, Reply, RequestContext,
    SendMessageRequest, SendMessageResponse, Task, TaskState, TaskStore, async_trait,
    client::{Client, Parameters, Transport},
    types::{
        CancelTaskRequest, ListTasksRequest, SendMessageConfiguration, SubscribeToTaskRequest,
    },
};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{BalanceExecutor, Threshold, card, peer};
use crate::{DataAnalysisExecutor, Matches};

/// The peer of these wins and games of each race.
fn data(table: &[(&str, usize, usize)]) -> Client {
    let mut csv = "game_id,race,result,duration_minutes\n".to_owned();
    for (race, wins, games) in table {
        for game in 0..*games {
            let result = if game < *wins { "win" } else { "loss" };
            csv += &format!("{race}-{game},{race},{result},10\n");
        }
    }
    let matches = Matches::read("table", csv.as_bytes()).unwrap();
    served(crate::card(), DataAnalysisExecutor::new(matches))
}

fn sample() -> Client {
    served(crate::card(), DataAnalysisExecutor::new(Matches::sample().unwrap()))
}

fn served(card: AgentCard, executor: impl AgentExecutor) -> Client {
    let store = Arc::new(MemoryStore::default());
    Client::new(Arc::new(DefaultRequestHandler::new(card, Arc::new(executor), store)))
}

/// An instance of the agent.
fn instance(peer: &Client, threshold: &str, store: &Arc<dyn TaskStore>) -> DefaultRequestHandler {
    let executor = BalanceExecutor::new(peer.clone(), threshold.parse().unwrap());
    DefaultRequestHandler::new(card(), Arc::new(executor), Arc::clone(store))
}

fn store() -> Arc<dyn TaskStore> {
    Arc::new(MemoryStore::default())
}

fn says(text: &str, of: Option<&Task>) -> SendMessageRequest {
    let mut message = Message::user("m", vec![Part::text(text)]);
    message.task_id = of.map(|task| Arc::clone(&task.id));
    SendMessageRequest { message, ..SendMessageRequest::default() }
}

async fn send(agent: &DefaultRequestHandler, caller: Caller, request: SendMessageRequest) -> Task {
    match agent.call(caller, Call::SendMessage(request)).await.unwrap() {
        Reply::Sent(SendMessageResponse::Task(task)) => *task,
        other => panic!("not a task: {other:?}"),
    }
}

async fn ask(peer: &Client, threshold: &str, text: &str) -> Task {
    send(&instance(peer, threshold, &store()), Caller::default(), says(text, None)).await
}

fn said(task: &Task) -> String {
    task.status.message.as_ref().map(|message| message.text()).unwrap_or_default()
}

fn artifact<'a>(task: &'a Task, id: &str) -> &'a Artifact {
    let found = task.artifacts.iter().find(|artifact| &*artifact.artifact_id == id);
    found.unwrap_or_else(|| panic!("no artifact {id}: {task:?}"))
}

/// All tasks the peer has.
async fn tasks(peer: &Client) -> Vec<Task> {
    peer.list(ListTasksRequest::default()).await.unwrap().tasks
}

#[tokio::test]
async fn verdicts() {
    let (even, few) =
        (&[("Terran", 1, 2), ("Zerg", 11, 20), ("Protoss", 9, 20)], &[("Zerg", 2, 5)]);
    for (peer, threshold, question, verdict) in [
        (
            sample(),
            "5",
            "Is Terran balanced?",
            "Terran is out of balance: it wins 58% (58 of 100), more than 5 points above 50%.",
        ),
        (
            sample(),
            "5",
            "테란 밸런스 맞아?",
            "테란: 밸런스가 맞지 않습니다. 승률 58% (100경기 중 58승), 50% ± 5%p보다 높습니다.",
        ),
        (
            sample(),
            "5",
            "저그 밸런스는 괜찮아요?",
            "저그: 밸런스가 맞습니다. 승률 49% (100경기 중 49승), 50% ± 5%p 안입니다.",
        ),
        (
            sample(),
            "2.5",
            "Is Protoss too weak?",
            "Protoss is out of balance: it wins 47% (47 of 100), more than 2.5 points below 50%.",
        ),
        (
            sample(),
            "8",
            "Are the races balanced?",
            "The races are balanced. Terran is balanced: it wins 58% (58 of 100), within 8 points of \
             50%. Zerg is balanced: it wins 49% (49 of 100), within 8 points of 50%. Protoss is \
             balanced: it wins 47% (47 of 100), within 8 points of 50%.",
        ),
        (
            sample(),
            "5",
            "종족 밸런스 어때?",
            "종족 밸런스가 맞지 않습니다. 테란: 밸런스가 맞지 않습니다. 승률 58% (100경기 중 58승), \
             50% ± 5%p보다 높습니다. 저그: 밸런스가 맞습니다. 승률 49% (100경기 중 49승), 50% ± 5%p \
             안입니다. 프로토스: 밸런스가 맞습니다. 승률 47% (100경기 중 47승), 50% ± 5%p 안입니다.",
        ),
        // Exactly at the threshold is within it.
        (
            data(even),
            "5",
            "Are Zerg and Protoss balanced?",
            "The races are balanced. Zerg is balanced: it wins 55% (11 of 20), within 5 points of \
             50%. Protoss is balanced: it wins 45% (9 of 20), within 5 points of 50%.",
        ),
        (
            data(even),
            "4.9",
            "Zerg balance",
            "Zerg is out of balance: it wins 55% (11 of 20), more than 4.9 points above 50%.",
        ),
        (
            data(few),
            "5",
            "Is Terran overpowered?",
            "Nothing can be said of Terran: it has no games.",
        ),
        (
            data(few),
            "10",
            "balance of Zerg and Terran",
            "Nothing can be said of Terran: it has no games. Zerg is balanced: it wins 40% (2 of 5), \
             within 10 points of 50%.",
        ),
        (data(few), "10", "프로토스 밸런스", "프로토스: 경기가 없어 판단할 수 없습니다."),
    ] {
        let task = ask(&peer, threshold, question).await;
        assert_eq!((task.status.state, said(&task)), (TaskState::Completed, verdict.to_owned()));
    }
}

#[tokio::test]
async fn the_table_is_a_text_and_data_and_the_peers_progress_is_its_thinking() {
    let task = ask(&sample(), "5", "Is Terran balanced?").await;
    let ids = Vec::from_iter(task.artifacts.iter().map(|artifact| &*artifact.artifact_id));
    assert_eq!(ids, ["asked-terran", "asked-zerg", "asked-protoss", "result"]);
    let thinking = Vec::from_iter(
        artifact(&task, "asked-zerg").parts.iter().map(|part| part.as_text().unwrap().to_owned()),
    );
    assert_eq!(thinking, ["Zerg win rate", "Analysing the games of Zerg: 100 in the table."]);
    let result = serde_json::to_value(artifact(&task, "result")).unwrap();
    assert_eq!(
        result["parts"][0]["text"],
        "Race | Win rate | Verdict\nTerran | 58% (58 of 100) | wins too often\n\
         Zerg | 49% (49 of 100) | balanced\nProtoss | 47% (47 of 100) | balanced"
    );
    assert_eq!(
        result["parts"][1]["data"],
        json!({ "thresholdPoints": 5.0, "races": [
            { "race": "terran", "wins": 58, "games": 100, "winRate": 0.58, "verdict": "wins_too_often" },
            { "race": "zerg", "wins": 49, "games": 100, "winRate": 0.49, "verdict": "balanced" },
            { "race": "protoss", "wins": 47, "games": 100, "winRate": 0.47, "verdict": "balanced" },
        ] })
    );
}

#[test]
fn thresholds() {
    for (text, written) in
        [("5", "5"), (" 2.5 ", "2.5"), ("0", "0"), ("50.0", "50"), ("0.1", "0.1")]
    {
        assert_eq!(text.parse::<Threshold>().unwrap().to_string(), written);
    }
    for text in ["", "-1", "+1", "50.1", "2.55", "2.", ".5", "5%", "five", "99999999999999999999"] {
        assert!(text.parse::<Threshold>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn what_it_does_not_understand_goes_down_and_the_peers_question_comes_up() {
    for by_task in [true, false] {
        let (peer, store) = (sample(), store());
        let first =
            send(&instance(&peer, "5", &store), Caller::default(), says("win rate", None)).await;
        assert_eq!(first.status.state, TaskState::InputRequired);
        let question =
            "Which race would you like the win rate of: Terran, Zerg, Protoss or all of them?";
        assert_eq!(said(&first), question);
        // The answer meets another instance, in the same task or in the same conversation.
        let mut answer = says("Terran", Some(&first).filter(|_| by_task));
        answer.message.context_id = Some(Arc::clone(&first.context_id));
        let second = send(&instance(&peer, "5", &store), Caller::default(), answer).await;
        assert_eq!(second.status.state, TaskState::Completed);
        assert_eq!(second.id == first.id, by_task);
        let result = artifact(&second, "result").parts[0].as_text();
        assert_eq!(result, Some("Terran win rate 58% (58 of 100)"));
        assert_eq!(tasks(&peer).await.len(), if by_task { 1 } else { 2 });
    }
    let whole = ask(&sample(), "5", "Zerg game length").await;
    let result = artifact(&whole, "result").parts[0].as_text();
    assert_eq!(result, Some("Zerg average game length 12.9 minutes (100 games)"));
    let nothing = ask(&sample(), "5", "Is Terran balanced against Zerg?").await;
    assert!(said(&nothing).starts_with("I can tell you the win rate"), "{nothing:?}");
}

/// A peer that does what it is told, and counts.
#[derive(Clone, Default)]
struct Scripted {
    does: &'static str,
    executed: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl AgentExecutor for Scripted {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        self.executed.fetch_add(1, Ordering::Relaxed);
        self.heard.lock().unwrap().push(context.text());
        match self.does {
            "fails" => queue.fail("The table burned down.").await?,
            "rejects" => queue.reject("No.").await?,
            "panics" => panic!("on purpose"),
            "talks" => queue.reply("58, I think").await?,
            "lies" => {
                self.tells(
                    &queue,
                    &json!({ "metric": "win_rate", "race": "terran",
                "wins": 7, "games": 3 }),
                )
                .await?
            }
            "babbles" => self.tells(&queue, &json!([{ "metric": 58 }])).await?,
            "hangs" => {
                queue.working("I am thinking.").await?;
                std::future::pending::<()>().await;
            }
            // Asks once per task.
            "asks" if context.task().is_none() => queue.require_input("Of which year?").await?,
            "logs in" if context.task().is_none() => queue.require_auth("Log in.").await?,
            _ => {
                let first = context.task().map(|task| task.history[0].text());
                let race = first.unwrap_or(context.text()).to_lowercase();
                let race = race.split(' ').next().unwrap_or_default();
                let figure = json!({ "metric": "win_rate", "race": race, "wins": 1, "games": 2 });
                self.tells(&queue, &figure).await?;
            }
        }
        Ok(())
    }
}

impl Scripted {
    fn that(does: &'static str) -> Self {
        Self { does, ..Self::default() }
    }

    fn served(&self) -> Client {
        let mut card = AgentCard { name: "data".to_owned(), ..AgentCard::default() };
        card.capabilities.streaming = Some(true);
        served(card, self.clone())
    }

    async fn tells(&self, queue: &EventQueue, data: &Value) -> Result<(), a2a_core::Stopped> {
        queue.artifact(Artifact::new("result", vec![Part::data(data)])).await?;
        queue.complete(()).await
    }
}

#[tokio::test]
async fn a_peer_without_an_answer_fails_the_task_with_a_sentence() {
    for (does, sentence) in [
        ("fails", "The agent `data` gave no answer: The table burned down."),
        ("rejects", "The agent `data` gave no answer: No."),
        (
            "panics",
            "The agent `data` gave no answer: The agent failed because of an internal error.",
        ),
        ("talks", "The agent `data` did not say how often Terran wins."),
        ("lies", "The agent `data` did not say how often Terran wins."),
        ("babbles", "The agent `data` did not say how often Terran wins."),
    ] {
        let task = ask(&Scripted::that(does).served(), "5", "Is Terran balanced?").await;
        assert_eq!((task.status.state, &*said(&task)), (TaskState::Failed, sentence), "{does}");
    }
    // One that does not stream cannot be followed; neither can one that is unavailable.
    let mute = served(AgentCard::default(), Scripted::that("answers"));
    let task = ask(&mute, "5", "테란 밸런스 맞아?").await;
    assert_eq!(task.status.state, TaskState::Failed);
    assert!(said(&task).starts_with("에이전트 `data`가 답하지 못했습니다: "), "{task:?}");
}

#[tokio::test]
async fn a_question_about_figures_goes_up_once_and_its_answer_down_to_each_task() {
    for (does, state, question) in [
        ("asks", TaskState::InputRequired, "Of which year?"),
        ("logs in", TaskState::AuthRequired, "Log in."),
    ] {
        let (scripted, store) = (Scripted::that(does), store());
        let peer = scripted.served();
        let agent = instance(&peer, "5", &store);
        let first = send(&agent, Caller::default(), says("Is Zerg balanced?", None)).await;
        assert_eq!((first.status.state, &*said(&first)), (state, question));
        let other = instance(&peer, "5", &store);
        let second = send(&other, Caller::default(), says("2026", Some(&first))).await;
        let verdict = "Zerg is balanced: it wins 50% (1 of 2), within 5 points of 50%.";
        assert_eq!((second.status.state, &*said(&second)), (TaskState::Completed, verdict));
        let heard = scripted.heard.lock().unwrap().clone();
        assert_eq!(heard[3..], ["2026", "2026", "2026"], "{heard:?}");
        assert_eq!(tasks(&peer).await.len(), 3, "each answer goes to the task that asked");
    }
}

#[tokio::test]
async fn a_second_delivery_repeats_nothing() {
    let scripted = Scripted::that("answers");
    let peer = scripted.served();
    let mut ids = Vec::new();
    // To the second instance nothing of the first is left but the request and the peer.
    for _ in 0..2 {
        let key = Some(IdempotencyKey::new("topic|0|1"));
        let caller = Caller { key, ..Caller::default() };
        let task =
            send(&instance(&peer, "5", &store()), caller, says("Terran balance", None)).await;
        assert_eq!(task.status.state, TaskState::Completed);
        ids.push(Vec::from_iter(task.artifacts.iter().filter_map(peer::task_of)));
    }
    assert_eq!(scripted.executed.load(Ordering::Relaxed), 3);
    assert_eq!((ids[0].len(), &ids[0]), (3, &ids[1]));
}

#[tokio::test]
async fn a_cancel_travels_down_from_any_instance() {
    for question in ["Is Terran balanced?", "tell me more"] {
        let (peer, store) = (Scripted::that("hangs").served(), store());
        let agent = instance(&peer, "5", &store);
        let mut request = says(question, None);
        request.configuration =
            Some(SendMessageConfiguration { return_immediately: true, ..Default::default() });
        let task = send(&agent, Caller::default(), request).await;
        let id = Arc::clone(&task.id);
        let asked = if question.contains("balanced") { 3 } else { 1 };
        let follow = SubscribeToTaskRequest { id: Arc::clone(&id), ..Default::default() };
        let client = Client::new(Arc::new(agent.clone()));
        let mut events = client.subscribe(follow, None).await.unwrap();
        let known = async |client: &Client| {
            let request = a2a_core::types::GetTaskRequest { id: id.clone(), ..Default::default() };
            let task = client.get(request).await.unwrap();
            task.artifacts.iter().filter_map(peer::task_of).count()
        };
        while known(&client).await < asked {
            events.0.next().await.expect("it goes on").unwrap();
        }
        let other = Client::new(Arc::new(instance(&peer, "5", &store)));
        let cancel = CancelTaskRequest { id: Arc::clone(&id), ..Default::default() };
        let canceled = other.cancel(cancel).await.unwrap();
        assert_eq!(canceled.status.state, TaskState::Canceled);
        let states = Vec::from_iter(tasks(&peer).await.iter().map(|task| task.status.state));
        assert_eq!(states, vec![TaskState::Canceled; asked], "{question}");
        agent.settled().await;
    }
}

/// A way to a peer on which questions take so long, and its answers are lost; all else is quick.
#[derive(Debug)]
struct Slow(Client, Duration);

#[async_trait]
impl Transport for Slow {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, a2a_core::Error> {
        let peer = self.0.clone().with_parameters(parameters.clone());
        if !matches!(call, Call::SendStreamingMessage(_)) {
            return peer.call(call).await;
        }
        let takes = self.1;
        tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            peer.call(call).await
        });
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_finds_a_question_that_is_on_its_way() {
    for (question, asked) in [("Is Terran balanced?", 3), ("tell me more", 1)] {
        // The last one has no waiter: it arrives after the cancel is done.
        for (takes, ends) in [(0, true), (1_500, true), (60_000, false)] {
            let (peer, store) = (Scripted::that("hangs").served(), store());
            let slow = Client::new(Arc::new(Slow(peer.clone(), Duration::from_millis(takes))));
            let agent = instance(&slow, "5", &store);
            let mut request = says(question, None);
            request.configuration =
                Some(SendMessageConfiguration { return_immediately: true, ..Default::default() });
            let task = send(&agent, Caller::default(), request).await;
            let other = Client::new(Arc::new(instance(&slow, "5", &store)));
            let cancel = CancelTaskRequest { id: Arc::clone(&task.id), ..Default::default() };
            let began = tokio::time::Instant::now();
            let canceled = other.cancel(cancel).await.unwrap();
            assert_eq!(canceled.status.state, TaskState::Canceled);
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
            let states = Vec::from_iter(tasks(&peer).await.iter().map(|task| task.status.state));
            let expected = vec![TaskState::Canceled; if ends { asked } else { 0 }];
            assert_eq!(states, expected, "{question}, {takes} ms");
            agent.settled().await;
        }
    }
}

#[tokio::test]
async fn every_example_is_a_question_of_its_own() {
    for example in &card().skills[0].examples {
        let task = ask(&sample(), "5", example).await;
        assert!(task.artifacts.iter().any(|it| it.name.as_deref() == Some("Balance")), "{example}");
    }
}
