//! The agent itself: from a message to the events of its task.
//!
//! Owns which event follows which, and where in a conversation the missing half of a question is
//! looked for. Must never know how the message came or where the task is stored; the words are
//! `question`'s and `answer`'s.

use std::sync::{Arc, LazyLock};

use a2a_core::{
    AgentError, AgentExecutor, Artifact, EventQueue, Message, Part, PartContent, RequestContext,
    Role, Stopped, Task, TaskState, async_trait,
};
use serde_json::Value;

use crate::{
    answer::{self, Figure},
    matches::Matches,
    question::Question,
    table::TableError,
};

/// Answers questions about a table of games.
///
/// A question names a figure and a race. Where one of them is missing, the agent asks for it and
/// the task waits; the answer may come to the same task, or as a new task of the same context. A
/// text with neither completes with what the agent can do.
#[derive(Clone, Debug)]
pub struct DataAnalysisExecutor {
    matches: Arc<LazyLock<Read, Box<dyn FnOnce() -> Read + Send>>>,
}

type Read = Result<Matches, TableError>;

impl DataAnalysisExecutor {
    /// An agent that answers from these games.
    pub fn new(matches: Matches) -> Self {
        Self::reading(move || Ok(matches))
    }

    /// An agent that answers from the sample that is compiled in. The first question has it read:
    /// that a function starts need not wait for it.
    pub fn from_sample() -> Self {
        Self::reading(Matches::sample)
    }

    fn reading(read: impl FnOnce() -> Read + Send + 'static) -> Self {
        Self { matches: Arc::new(LazyLock::new(Box::new(read))) }
    }

    /// The games it answers from.
    pub(crate) fn matches(&self) -> Result<&Matches, &TableError> {
        LazyLock::force(&self.matches).as_ref()
    }
}

async fn answer(question: &Question, matches: &Matches, queue: &EventQueue) -> Result<(), Stopped> {
    let thinking = Part::text(answer::thinking(question, matches));
    queue.working(()).await?;
    queue.artifact(Artifact::new("thinking", vec![thinking]).named("Thinking")).await?;

    let figures = Figure::all(question, matches);
    let texts = Vec::from_iter(figures.iter().map(|figure| figure.text(question.language)));
    // One text for a person, then every figure for a program.
    let mut parts = vec![Part::text(texts.join("\n"))];
    parts.extend(figures.iter().map(|figure| Part::data(&figure.data())));
    queue.artifact(Artifact::new("result", parts).named(answer::title(question))).await?;
    queue.complete(()).await
}

#[async_trait]
impl AgentExecutor for DataAnalysisExecutor {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let question = in_conversation(&context).await?;
        match (&question.metrics[..], &question.races[..]) {
            ([], []) => queue.complete(answer::help(question.language)).await?,
            (_, []) => queue.require_input(answer::which_race(&question)).await?,
            ([], _) => queue.require_input(answer::which_metric(&question)).await?,
            _ => {
                let matches = self.matches().map_err(|error| {
                    AgentError::new("The agent has no figures.").with_source(error.to_string())
                })?;
                answer(&question, matches, &queue).await?;
            }
        }
        Ok(())
    }
}

/// What the message asks, read together with what was said before it.
///
/// In its own task every earlier message counts. Another task of the context counts only while it
/// waits for an answer, and only for a message that is half a question: that one can be the answer.
async fn in_conversation(context: &RequestContext) -> Result<Question, AgentError> {
    let mut question = asked_by(context.message());
    if let Some(task) = context.task() {
        question = question.after(&asked_in(task));
    }
    // Reading the context costs a trip to the store; a whole question does without.
    if question.metrics.is_empty() != question.races.is_empty() {
        for task in context.related().await? {
            if task.status.state == TaskState::InputRequired {
                question = question.after(&asked_in(&task));
            }
        }
    }
    Ok(question)
}

/// What the user has asked in `task` so far; a later message goes before an earlier one.
fn asked_in(task: &Task) -> Question {
    let said = task.history.iter().filter(|message| message.role == Role::User);
    said.map(|message| asked_by(message))
        .reduce(|earlier, later| later.after(&earlier))
        .unwrap_or_else(|| Question::parse(""))
}

fn asked_by(message: &Message) -> Question {
    Question::parse(&said_in(message))
}

/// JSON is read as the words in it: `{"race": "terran", "metric": "win_rate"}` is a question.
pub(crate) fn said_in(message: &Message) -> String {
    let texts = message.parts.iter().filter_map(|part| match &part.content {
        PartContent::Text(text) => Some(text.to_string()),
        // By way of a `Value`, whose Hangul is no longer escaped.
        PartContent::Data(json) => json.to::<Value>().ok().map(|value| value.to_string()),
        PartContent::Raw(_) | PartContent::Url(_) => None,
    });
    Vec::from_iter(texts).join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use To::*;
    use a2a_core::{
        Call, Caller, DefaultRequestHandler, MemoryStore, Reply, SendMessageRequest,
        SendMessageResponse, StreamResponse,
    };
    use futures_util::TryStreamExt;
    use serde_json::json;

    use super::*;

    /// Where the user sends a message.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum To {
        /// To nobody they talked to before.
        Anew,
        /// To the conversation, with its `contextId` only.
        TheContext,
        /// To the task of the message before.
        TheTask,
    }

    const WHICH_WIN_RATE: &str =
        "Which race would you like the win rate of: Terran, Zerg, Protoss or all of them?";
    const WHICH_GAME_LENGTH: &str = "Which race would you like the average game length of: \
        Terran, Zerg, Protoss or all of them?";
    const WHICH_OF_ZERG: &str =
        "What would you like to know about Zerg: the win rate or the average game length?";
    const TERRAN: &str = "Terran win rate 58% (58 of 100)";
    const ZERG_LENGTH: &str = "Zerg average game length 12.9 minutes (100 games)";

    fn handler() -> DefaultRequestHandler {
        let executor = Arc::new(DataAnalysisExecutor::new(Matches::sample().unwrap()));
        DefaultRequestHandler::new(crate::card(), executor, Arc::new(MemoryStore::default()))
    }

    fn request(parts: Vec<Part>) -> SendMessageRequest {
        let message = Message::user("message", parts);
        SendMessageRequest { message, ..SendMessageRequest::default() }
    }

    async fn send(handler: &DefaultRequestHandler, request: SendMessageRequest) -> Task {
        let reply = handler.call(Caller::default(), Call::SendMessage(request)).await.unwrap();
        match reply {
            Reply::Sent(SendMessageResponse::Task(task)) => task.as_ref().clone(),
            other => panic!("not a task: {other:?}"),
        }
    }

    /// Runs a dialogue: each text, where it is sent, the state and the text it is answered with.
    async fn dialogue(turns: &[(&str, To, TaskState, &str)]) {
        let handler = handler();
        let mut before: Option<Task> = None;
        for &(text, to, state, answer) in turns {
            let mut request = request(vec![Part::text(text)]);
            if let Some(before) = &before {
                let (context, task) = (before.context_id.clone(), before.id.clone());
                request.message.context_id = (to != Anew).then_some(context);
                request.message.task_id = (to == TheTask).then_some(task);
            }
            let task = send(&handler, request).await;
            assert_eq!(task.status.state, state, "{text:?} in {turns:?}");
            assert_eq!(answer_in(&task), answer, "{text:?} in {turns:?}");
            if let Some(before) = &before {
                assert_eq!(task.id == before.id, to == TheTask, "{text:?} in {turns:?}");
                assert_eq!(task.context_id == before.context_id, to != Anew, "{text:?}");
            }
            before = Some(task);
            // "Newest first" goes by a clock of milliseconds.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The result, or what was said instead of one.
    fn answer_in(task: &Task) -> String {
        let result = task.artifacts.iter().find(|artifact| &*artifact.artifact_id == "result");
        match (result, &task.status.message) {
            (Some(result), None) => result.parts[0].as_text().unwrap().to_owned(),
            (None, Some(message)) => message.text(),
            both => panic!("either a result or a message: {both:?}"),
        }
    }

    #[tokio::test]
    async fn dialogues() {
        use TaskState::{Completed, InputRequired};
        let help = answer::help(crate::question::Language::English);
        let help_in_korean = answer::help(crate::question::Language::Korean);
        for turns in [
            // What the brief asks for: at once, as a new task of the context, in the same task.
            &[("Terran win rate", Anew, Completed, TERRAN)][..],
            &[
                ("win rate", Anew, InputRequired, WHICH_WIN_RATE),
                ("Terran", TheContext, Completed, TERRAN),
            ],
            &[
                ("win rate", Anew, InputRequired, WHICH_WIN_RATE),
                ("Terran", TheTask, Completed, TERRAN),
            ],
            &[
                (
                    "승률 알려 주세요",
                    Anew,
                    InputRequired,
                    "어느 종족의 승률을 알고 싶으신가요? 테란, 저그, 프로토스 또는 모든 종족 중에서 골라 주세요.",
                ),
                ("테란이요", TheContext, Completed, "테란 승률 58% (100경기 중 58승)"),
                ("저그는?", TheContext, Completed, "저그 승률 49% (100경기 중 49승)"),
            ],
            // A question that cannot be answered, also where another one waits.
            &[("hello", Anew, Completed, help)],
            &[("안녕하세요", Anew, Completed, help_in_korean)],
            &[
                ("win rate", Anew, InputRequired, WHICH_WIN_RATE),
                ("hello", TheContext, Completed, help),
            ],
            // A reply that is no answer leaves the task waiting.
            &[
                ("win rate", Anew, InputRequired, WHICH_WIN_RATE),
                ("Teran", TheTask, InputRequired, WHICH_WIN_RATE),
                ("Tearn", TheTask, InputRequired, WHICH_WIN_RATE),
                ("Terran", TheTask, Completed, TERRAN),
            ],
            // The other half may be missing as well.
            &[
                ("Zerg", Anew, InputRequired, WHICH_OF_ZERG),
                ("win rate", TheTask, Completed, "Zerg win rate 49% (49 of 100)"),
            ],
            &[
                ("Zerg", Anew, InputRequired, WHICH_OF_ZERG),
                ("win rate", TheContext, Completed, "Zerg win rate 49% (49 of 100)"),
            ],
            // Another mind: the later message goes before the earlier one.
            &[
                ("win rate", Anew, InputRequired, WHICH_WIN_RATE),
                ("no, how long do Zerg games take?", TheTask, Completed, ZERG_LENGTH),
            ],
            &[
                ("win rate", Anew, InputRequired, WHICH_WIN_RATE),
                ("average game length", TheTask, InputRequired, WHICH_GAME_LENGTH),
                ("Zerg", TheTask, Completed, ZERG_LENGTH),
            ],
            // Neither a stranger's question nor one that has its answer is anybody's missing half.
            &[
                ("win rate", Anew, InputRequired, WHICH_WIN_RATE),
                ("Zerg", Anew, InputRequired, WHICH_OF_ZERG),
            ],
            &[
                ("Terran win rate", Anew, Completed, TERRAN),
                ("Zerg", TheContext, InputRequired, WHICH_OF_ZERG),
            ],
        ] {
            dialogue(turns).await;
        }
    }

    #[tokio::test]
    async fn of_two_waiting_questions_the_newer_is_answered() {
        use TaskState::{Completed, InputRequired};
        dialogue(&[
            ("win rate", Anew, InputRequired, WHICH_WIN_RATE),
            ("average game length", TheContext, InputRequired, WHICH_GAME_LENGTH),
            ("Zerg", TheContext, Completed, ZERG_LENGTH),
        ])
        .await;
    }

    #[tokio::test]
    async fn the_result_is_a_text_and_data() {
        let task = send(&handler(), request(vec![Part::text("Terran and Zerg win rate")])).await;
        let artifacts = serde_json::to_value(&task.artifacts).unwrap();
        let expected = json!([
            {
                "artifactId": "thinking",
                "name": "Thinking",
                "parts": [{"text": "Analysing the games of Terran and Zerg: 200 in the table."}],
            },
            {
                "artifactId": "result",
                "name": "Win rate",
                "parts": [
                    {"text": "Terran win rate 58% (58 of 100)\nZerg win rate 49% (49 of 100)"},
                    {"data": {"metric": "win_rate", "race": "terran", "wins": 58, "games": 100,
                        "winRate": 0.58}},
                    {"data": {"metric": "win_rate", "race": "zerg", "wins": 49, "games": 100,
                        "winRate": 0.49}},
                ],
            },
        ]);
        assert_eq!(artifacts, expected);
    }

    #[tokio::test]
    async fn json_is_a_question_too() {
        for (data, answer) in [
            (json!({"race": "terran", "metric": "win_rate"}), TERRAN),
            (json!({"종족": "테란", "수치": "승률"}), "테란 승률 58% (100경기 중 58승)"),
        ] {
            let task = send(&handler(), request(vec![Part::data(&data)])).await;
            assert_eq!(answer_in(&task), answer, "{data}");
        }
    }

    #[tokio::test]
    async fn a_stream_tells_of_the_work_then_of_the_result() {
        let call = Call::SendStreamingMessage(request(vec![Part::text("Terran win rate")]));
        let Reply::Events(events) = handler().call(Caller::default(), call).await.unwrap() else {
            panic!("not a stream");
        };
        let told = events.0.map_ok(|event| match event.response {
            StreamResponse::StatusUpdate(update) => format!("{:?}", update.status.state),
            StreamResponse::ArtifactUpdate(update) => update.artifact.artifact_id.to_string(),
            StreamResponse::Task(_) => "task".to_owned(),
            StreamResponse::Message(_) => "message".to_owned(),
        });
        let told: Vec<String> = told.try_collect().await.unwrap();
        assert_eq!(told, ["task", "Working", "thinking", "result", "Completed"]);
    }
}
