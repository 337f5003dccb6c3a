//! What the other modules share: a scripted agent, a handler around it, and short ways to call it.
//!
//! The agent does what a message tells it, line by line: `working hello`, `artifact a hello`,
//! `append a more`, `last a end`, `ask what?`, `auth how?`, `complete done`, `fail why`, `reject
//! why`, `reply hi`, `gate` (waits for a permit), `hang` (for ever), `pause` (for a second),
//! `yield` (lets the loop record), `chunks 5`. So a test reads as the story it tells.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use a2a_core::{
    AgentCapabilities, AgentCard, AgentError, AgentExecutor, Artifact, Call, Caller,
    CancelTaskRequest, DefaultRequestHandler, Env, Error, ErrorKind, Event, EventQueue, Events,
    GetTaskRequest, IdempotencyKey, ListTasksRequest, ListTasksResponse, MemoryStore, Message,
    Part, Reply, RequestContext, SendMessageConfiguration, SendMessageRequest, SendMessageResponse,
    Stopped, StreamResponse, SubscribeToTaskRequest, Task, TaskState, TaskStore, Timestamp,
    async_trait,
};
use futures_util::StreamExt;
use tokio::sync::Semaphore;

/// See the module's own words.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) runs: AtomicUsize,
    /// Executions that are over, by return, by panic or because they were dropped.
    pub(crate) over: AtomicUsize,
    pub(crate) begun: Gate,
    pub(crate) gate: Gate,
    pub(crate) seen: Mutex<Vec<RequestContext>>,
    pub(crate) canceled: Mutex<Vec<String>>,
}

/// Permits one side gives and the other takes.
pub(crate) struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Gate {
    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    pub(crate) async fn passed(&self) {
        soon(self.0.acquire()).await.unwrap().forget();
    }

    async fn wait(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

struct Over<'a>(&'a AtomicUsize);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl AgentExecutor for Script {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let _over = Over(&self.over);
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.begun.open();
        self.seen.lock().unwrap().push(context.clone());
        for line in context.text().lines() {
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            self.line(&queue, verb, rest).await?;
        }
        Ok(())
    }

    async fn cancel(&self, context: RequestContext) -> Result<(), AgentError> {
        self.canceled.lock().unwrap().push(context.task_id().to_owned());
        Ok(())
    }
}

impl Script {
    async fn line(&self, queue: &EventQueue, verb: &str, rest: &str) -> Result<(), Stopped> {
        let (id, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "working" if rest.is_empty() => queue.working(()).await,
            "working" => queue.working(rest).await,
            "artifact" => queue.artifact(Artifact::new(id, vec![Part::text(text)])).await,
            "append" => queue.append(id, text).await,
            "last" => queue.last(id, text).await,
            "ask" => queue.require_input(rest).await,
            "auth" => queue.require_auth(rest).await,
            "complete" if rest.is_empty() => queue.complete(()).await,
            "complete" => queue.complete(rest).await,
            "fail" => queue.fail(rest).await,
            "reject" => queue.reject(rest).await,
            "reply" => queue.reply(rest).await,
            "gate" => {
                self.gate.wait().await;
                Ok(())
            }
            "hang" => std::future::pending().await,
            "pause" => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(())
            }
            "yield" => {
                yields().await;
                Ok(())
            }
            "chunks" => {
                for number in 0..rest.parse::<usize>().unwrap() {
                    queue.append("chunks", format!("{number};")).await?;
                }
                Ok(())
            }
            other => panic!("the script has no verb {other:?}"),
        }
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) fn over(&self) -> usize {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn context(&self, run: usize) -> RequestContext {
        self.seen.lock().unwrap()[run].clone()
    }
}

/// Any closure as an agent.
pub(crate) struct Agent<F>(pub(crate) F);

#[async_trait]
impl<F, Work> AgentExecutor for Agent<F>
where
    F: Fn(RequestContext, EventQueue) -> Work + Send + Sync + 'static,
    Work: Future<Output = Result<(), AgentError>> + Send,
{
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        (self.0)(context, queue).await
    }
}

/// Lets everything else that is ready go first.
pub(crate) async fn yields() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// What must come, and soon: with a paused clock a wait for ever ends at once.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(100), Box::pin(future)).await.expect("it never came")
}

pub(crate) fn card() -> AgentCard {
    AgentCard {
        name: "script".to_owned(),
        capabilities: AgentCapabilities { streaming: Some(true), ..AgentCapabilities::default() },
        default_input_modes: vec!["text/plain".to_owned()],
        ..AgentCard::default()
    }
}

/// A clock that moves one millisecond at each look, and ids that count. No two environments have a
/// time or an id in common, as no two processes would for long.
pub(crate) fn ticking() -> Env {
    static MADE: AtomicU64 = AtomicU64::new(1);
    let made = MADE.fetch_add(1, Ordering::SeqCst);
    let clock = AtomicI64::new(START + made as i64 * 1_000_000);
    let now = move || Timestamp::from_millis(clock.fetch_add(1, Ordering::SeqCst));
    let ids = AtomicU64::new(1);
    let id = move || (u128::from(made) << 64) + u128::from(ids.fetch_add(1, Ordering::SeqCst));
    Env::new(now, move || uuid::Uuid::from_u128(id()))
}

/// The earliest time of all.
pub(crate) const START: i64 = 1_800_000_000_000;

/// A handler around the script.
pub(crate) struct World {
    pub(crate) script: Arc<Script>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) handler: DefaultRequestHandler,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_card(card())
    }

    pub(crate) fn with_card(card: AgentCard) -> Self {
        let (script, store) = (Arc::<Script>::default(), Arc::<MemoryStore>::default());
        let executor: Arc<dyn AgentExecutor> = Arc::clone(&script) as _;
        let handler = DefaultRequestHandler::new(card, executor, Arc::clone(&store) as _);
        Self { script, store, handler: handler.with_env(ticking()) }
    }

    pub(crate) async fn call(&self, caller: Caller, call: Call) -> Result<Reply, Error> {
        call_on(&self.handler, caller, call).await
    }

    /// A send whose answer is a task.
    pub(crate) async fn send(&self, request: SendMessageRequest) -> Task {
        sent_task(self.call(Caller::default(), Call::SendMessage(request)).await.unwrap())
    }

    /// A send that goes on by itself.
    pub(crate) fn spawn(
        &self,
        caller: Caller,
        request: SendMessageRequest,
    ) -> tokio::task::JoinHandle<Result<Reply, Error>> {
        let handler = self.handler.clone();
        tokio::spawn(async move { handler.call(caller, Call::SendMessage(request)).await })
    }

    /// A task that is at work, and stays so until the gate opens.
    pub(crate) async fn at_work(&self, story: &str) -> Task {
        let task = self.send(at_once(say(story))).await;
        self.script.begun.passed().await;
        yields().await;
        task
    }

    pub(crate) async fn stream(&self, request: SendMessageRequest) -> Events {
        let call = Call::SendStreamingMessage(request);
        events(self.call(Caller::default(), call).await.unwrap())
    }

    pub(crate) async fn subscribe(&self, id: &str) -> Result<Events, Error> {
        self.call(Caller::default(), subscribe(id)).await.map(events)
    }

    pub(crate) async fn get(&self, id: &str) -> Task {
        get_on(&self.handler, id).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Result<Task, Error> {
        self.call(Caller::default(), cancel(id)).await.map(task_of)
    }
}

pub(crate) async fn call_on(
    handler: &DefaultRequestHandler,
    caller: Caller,
    call: Call,
) -> Result<Reply, Error> {
    soon(handler.call(caller, call)).await
}

pub(crate) async fn get_on(handler: &DefaultRequestHandler, id: &str) -> Task {
    task_of(call_on(handler, Caller::default(), get(id)).await.unwrap())
}

pub(crate) fn say(story: &str) -> SendMessageRequest {
    let message = Message::user("m", vec![Part::text(story)]);
    SendMessageRequest { message, ..SendMessageRequest::default() }
}

/// The next message to a task.
pub(crate) fn say_to(task: &str, story: &str) -> SendMessageRequest {
    let mut request = say(story);
    request.message.task_id = Some(task.into());
    request
}

pub(crate) fn at_once(request: SendMessageRequest) -> SendMessageRequest {
    configured(request, |it| it.return_immediately = true)
}

pub(crate) fn configured(
    mut request: SendMessageRequest,
    change: impl FnOnce(&mut SendMessageConfiguration),
) -> SendMessageRequest {
    change(request.configuration.get_or_insert_default());
    request
}

pub(crate) fn get(id: &str) -> Call {
    Call::GetTask(GetTaskRequest { id: id.into(), ..GetTaskRequest::default() })
}

pub(crate) fn cancel(id: &str) -> Call {
    Call::CancelTask(CancelTaskRequest { id: id.into(), ..CancelTaskRequest::default() })
}

pub(crate) fn subscribe(id: &str) -> Call {
    Call::SubscribeToTask(SubscribeToTaskRequest { id: id.into(), tenant: None })
}

pub(crate) fn owner(name: &str) -> Caller {
    Caller { owner: name.into(), ..Caller::default() }
}

pub(crate) fn keyed(key: &str) -> Caller {
    Caller { key: Some(IdempotencyKey::new(key)), ..Caller::default() }
}

pub(crate) fn kind<T: std::fmt::Debug>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.unwrap_err().kind()
}

pub(crate) fn sent_task(reply: Reply) -> Task {
    match reply {
        Reply::Sent(SendMessageResponse::Task(task)) => *task,
        other => panic!("not a task: {other:?}"),
    }
}

pub(crate) fn sent_message(reply: Reply) -> Message {
    match reply {
        Reply::Sent(SendMessageResponse::Message(message)) => Message::clone(&message),
        other => panic!("not a message: {other:?}"),
    }
}

pub(crate) fn task_of(reply: Reply) -> Task {
    match reply {
        Reply::Task(task) => *task,
        other => panic!("not a task: {other:?}"),
    }
}

pub(crate) fn events(reply: Reply) -> Events {
    match reply {
        Reply::Events(events) => events,
        other => panic!("not a stream: {other:?}"),
    }
}

/// All of a stream; it must end.
pub(crate) async fn all(events: Events) -> Vec<Event> {
    soon(events.0.map(Result::unwrap).collect()).await
}

pub(crate) async fn next(events: &mut Events) -> Event {
    soon(events.0.next()).await.expect("the stream ended").unwrap()
}

/// An event in one line, to compare with.
pub(crate) fn told(event: &Event) -> String {
    match &event.response {
        StreamResponse::Task(task) => format!("task {}", short(task.status.state)),
        StreamResponse::Message(message) => format!("message {}", message.text()),
        StreamResponse::StatusUpdate(update) => {
            let said = update.status.message.as_ref().map(|it| it.text()).unwrap_or_default();
            format!("{} {said}", short(update.status.state)).trim_end().to_owned()
        }
        StreamResponse::ArtifactUpdate(update) => {
            format!("{} {}", update.artifact.artifact_id, parts_text(&update.artifact.parts))
        }
    }
}

pub(crate) fn told_all(events: &[Event]) -> Vec<String> {
    events.iter().map(told).collect()
}

pub(crate) fn short(state: TaskState) -> String {
    state.name().trim_start_matches("TASK_STATE_").to_ascii_lowercase()
}

pub(crate) fn parts_text(parts: &[Part]) -> String {
    parts.iter().filter_map(Part::as_text).collect()
}

pub(crate) fn status_text(task: &Task) -> String {
    task.status.message.as_ref().map(|message| message.text()).unwrap_or_default()
}

pub(crate) fn history(task: &Task) -> Vec<String> {
    task.history.iter().map(|message| message.text()).collect()
}

/// Two handlers on one store are two instances of the agent.
pub(crate) fn handler_on(
    store: Arc<dyn TaskStore>,
    executor: impl AgentExecutor,
) -> DefaultRequestHandler {
    DefaultRequestHandler::new(card(), Arc::new(executor), store).with_env(ticking())
}

pub(crate) async fn list(world: &World, request: ListTasksRequest) -> ListTasksResponse {
    match world.call(Caller::default(), Call::ListTasks(request)).await.unwrap() {
        Reply::Tasks(page) => page,
        other => panic!("not a page: {other:?}"),
    }
}

pub(crate) fn ids(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| &*task.id).collect()
}

pub(crate) async fn violation(world: &World, call: Call) -> String {
    let error = world.call(Caller::default(), call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidParams, "{error}");
    error.violations().iter().map(|it| &*it.field).collect::<Vec<_>>().join(" ")
}
