//! The agent itself: from a message to questions for its peer, and to the events of its own task.
//!
//! Owns which questions are asked, and what becomes of their answers. Must never know how a question
//! is asked once only (that is `peer`'s), nor the words of a verdict.

use std::{sync::Arc, time::Instant};

use a2a_core::{
    AgentError, AgentExecutor, Artifact, EventQueue, Message, Part, RequestContext, Role, Stopped,
    TaskState, async_trait, client::Client,
};
use futures_util::future::{join, join_all};

use super::{
    peer::{self, Answer, Asked, PEER},
    verdict::{Figure, Threshold, Verdict},
};
use crate::{
    answer::race_name,
    executor::said_in,
    question::{Language, Question},
    race::Race,
    words::{OPPONENTS, Words},
};

/// What people say for the balance of races.
const BALANCE: &str = "balance balanced imbalanced unbalanced overpowered underpowered strong weak \
    밸런스 발란스 균형 사기";

/// Judges whether races are balanced, by what the peer says of their win rates.
///
/// It keeps nothing: which task of the peer's belongs to which of its own stands in its own task,
/// in the metadata of the artifacts named "Thinking". So any instance carries a conversation on,
/// and any instance passes a cancel on. A task of the peer's that is not recorded yet when the
/// cancel comes is found by the question's key, which is made of nothing but its own task.
#[derive(Clone, Debug)]
pub struct BalanceExecutor {
    peer: Client,
    threshold: Threshold,
}

/// What a message, or the first one of its task, wants.
enum Wish {
    /// To know whether these races are balanced.
    Verdict(Vec<Race>, Language),
    /// Something for the peer to know.
    Other(Language),
}

impl Wish {
    /// What is wanted, a task's first message says: a later one answers the peer's question.
    fn first(context: &RequestContext) -> Self {
        let history = context.task().into_iter().flat_map(|task| &task.history);
        let first = history.map(Arc::as_ref).find(|message| message.role == Role::User);
        Self::of(first.unwrap_or(context.message()))
    }

    fn of(message: &Message) -> Self {
        let text = said_in(message);
        let (question, words) = (Question::parse(&text), Words::of(&text));
        match question.races {
            _ if !words.any(BALANCE) || words.any(OPPONENTS) => Self::Other(question.language),
            races if races.is_empty() => Self::Verdict(Race::ALL.to_vec(), question.language),
            races => Self::Verdict(races, question.language),
        }
    }
}

impl BalanceExecutor {
    /// An agent that asks this peer and judges by this threshold.
    pub fn new(peer: Client, threshold: Threshold) -> Self {
        Self { peer, threshold }
    }

    /// Asks for every race's win rate at once.
    async fn judge(
        &self,
        context: &RequestContext,
        about: &[Race],
        language: Language,
        queue: &EventQueue,
    ) -> Result<(), Stopped> {
        queue.working(()).await?;
        let peer = self.peer.on_behalf_of(context);
        let asked = Race::ALL.map(|race| {
            let question = language.text(
                format_args!("{} win rate", race.english()),
                format_args!("{} 승률", race.korean()),
            );
            self.asked(context, &about_race(race), question, None)
        });
        let asking = asked.map(|asked| {
            let known = known(context, &asked.artifact);
            // The client's message is the answer to what the peer asked.
            let parts = known.is_some().then(|| context.message().parts.clone());
            let asked = Asked { parts: parts.unwrap_or(asked.parts), ..asked };
            asked.ask(&peer, known, queue)
        });
        let mut figures = Vec::new();
        let mut waits: Option<(TaskState, Vec<Part>)> = None;
        for (race, answer) in Race::ALL.into_iter().zip(join_all(asking).await) {
            match answer? {
                Answer::None(why) => return queue.fail(no_answer(&why, language)).await,
                Answer::Waits(state, parts) => {
                    let (_, question) = waits.get_or_insert_with(|| (state, Vec::new()));
                    for part in parts {
                        // What all of them need is asked for once.
                        if !question.contains(&part) {
                            question.push(part);
                        }
                    }
                }
                Answer::Done(made, _) => match Figure::read(race, &made) {
                    Some(figure) => figures.push(figure),
                    None => return queue.fail(no_figure(race, language)).await,
                },
            }
        }
        if let Some((state, question)) = waits {
            return ask_client(state, question, queue).await;
        }
        let threshold = self.threshold;
        let verdict = Verdict { figures: &figures, about, threshold, language };
        queue.artifact(Artifact::new("result", verdict.table()).named("Balance")).await?;
        queue.complete(verdict.text()).await
    }

    /// Passes the message on, and what comes of it back.
    async fn pass_on(
        &self,
        context: &RequestContext,
        language: Language,
        queue: &EventQueue,
    ) -> Result<(), Stopped> {
        queue.working(()).await?;
        let heading = language.text(
            format_args!("Passing the question on to the agent `{PEER}`."),
            format_args!("질문을 에이전트 `{PEER}`에 전달합니다."),
        );
        let asked = self.asked(context, PEER, heading, Some(context.message().parts.clone()));
        let known = known(context, &asked.artifact);
        match asked.ask(&self.peer.on_behalf_of(context), known, queue).await? {
            Answer::Done(_, said) => queue.complete(said).await,
            Answer::Waits(state, question) => ask_client(state, question, queue).await,
            Answer::None(why) => queue.fail(no_answer(&why, language)).await,
        }
    }

    /// A question of this run; `about` tells it from the others. Without `parts` it is its heading.
    fn asked(
        &self,
        context: &RequestContext,
        about: &str,
        heading: String,
        parts: Option<Vec<Part>>,
    ) -> Asked {
        Asked {
            artifact: artifact(about),
            // This message is not in there yet.
            key: key(context, said(context) + 1, about),
            passed_on: parts.is_some(),
            parts: parts.unwrap_or_else(|| vec![Part::text(&*heading)]),
            heading,
        }
    }
}

#[async_trait]
impl AgentExecutor for BalanceExecutor {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        match Wish::first(&context) {
            Wish::Verdict(about, language) => {
                self.judge(&context, &about, language, &queue).await?;
            }
            Wish::Other(language) => self.pass_on(&context, language, &queue).await?,
        }
        Ok(())
    }

    /// The peer's work on this task ends too, whoever asked for it.
    async fn cancel(&self, context: RequestContext) -> Result<(), AgentError> {
        let mut parameters = self.peer.parameters().clone();
        parameters.timeout = context.deadline().saturating_duration_since(Instant::now());
        let peer = self.peer.on_behalf_of(&context).with_parameters(parameters);
        let artifacts = context.task().into_iter().flat_map(|task| &task.artifacts);
        let tasks = artifacts.filter_map(peer::task_of);
        let canceled = join_all(tasks.map(|task| peer::cancel(&peer, task)));
        let asked = peer::cancel_asked(&peer, unheard(&context));
        let (canceled, asked) = join(canceled, asked).await;
        canceled.into_iter().chain([asked]).collect::<Result<(), _>>().map_err(peer::not_canceled)
    }
}

/// The keys of what a canceled task was asking when the peer had told no task of it.
fn unheard(context: &RequestContext) -> Vec<String> {
    let asked = match Wish::first(context) {
        Wish::Verdict(..) => Race::ALL.map(about_race).to_vec(),
        Wish::Other(_) => vec![PEER.to_owned()],
    };
    let unheard = asked.into_iter().filter(|about| known(context, &artifact(about)).is_none());
    unheard.map(|about| key(context, said(context), &about)).collect()
}

fn about_race(race: Race) -> String {
    race.english().to_lowercase()
}

/// The artifact that tells of a question.
fn artifact(about: &str) -> String {
    format!("asked-{about}")
}

/// A question's name: what it is about, in which turn of which task.
fn key(context: &RequestContext, turn: usize, about: &str) -> String {
    format!("{}/{turn}/{about}", context.task_id())
}

/// How many messages of its client's the task has.
fn said(context: &RequestContext) -> usize {
    let history = context.task().into_iter().flat_map(|task| &task.history);
    history.filter(|message| message.role == Role::User).count()
}

/// The peer's task behind that artifact of an earlier turn.
fn known(context: &RequestContext, artifact: &str) -> Option<String> {
    let mut artifacts = context.task()?.artifacts.iter();
    peer::task_of(artifacts.find(|it| &*it.artifact_id == artifact)?)
}

/// What the peer needs, it needs of our client.
async fn ask_client(
    state: TaskState,
    question: Vec<Part>,
    queue: &EventQueue,
) -> Result<(), Stopped> {
    match state {
        TaskState::AuthRequired => queue.require_auth(question).await,
        _ => queue.require_input(question).await,
    }
}

fn no_answer(why: &str, language: Language) -> String {
    language.text(
        format_args!("The agent `{PEER}` gave no answer: {why}"),
        format_args!("에이전트 `{PEER}`가 답하지 못했습니다: {why}"),
    )
}

fn no_figure(race: Race, language: Language) -> String {
    let race = race_name(race, language);
    language.text(
        format_args!("The agent `{PEER}` did not say how often {race} wins."),
        format_args!("에이전트 `{PEER}`가 {race}의 승률을 말하지 않았습니다."),
    )
}
