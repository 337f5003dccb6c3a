//! Sending a message: the admission against the journal, and the run that follows.
//!
//! Owns: which journal a message goes to, the claim on it, and what each kind of send answers. Must
//! never know: how a run records, transports.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::BoxFuture, stream};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::{
    admit::{self, Admission},
    call::{Caller, Event, Events, StreamsEnd},
    error::{Error, ErrorKind},
    executor::RequestContext,
    follow::{EndsAt, Follow, Tail, tail_from},
    handler::DefaultRequestHandler,
    journal::{Cursor, Entry, Fold, Slot, Started, Submitted, TaskKey},
    ledger::{Ledger, Refused},
    queue::Scope,
    record::{Answer, Want},
    run::Run,
    store::Journal,
    types::{Message, SendMessageRequest, SendMessageResponse, StreamResponse, Task, TaskState},
};

/// What admission leads to.
enum Admitted {
    /// A run on that task, to be driven, and where its answer comes.
    Begun(TaskKey, BoxFuture<'static, ()>, oneshot::Receiver<Result<Answer, Error>>),
    /// An earlier delivery's journal, answered.
    Answered(TaskKey, Vec<Slot>),
}

impl DefaultRequestHandler {
    /// Section 3.1.1.
    pub(crate) async fn send(
        &self,
        caller: &Arc<Caller>,
        request: SendMessageRequest,
    ) -> Result<SendMessageResponse, Error> {
        let configuration = request.configuration.as_ref();
        let history = configuration.and_then(|it| it.history_length);
        let at_once = configuration.is_some_and(|it| it.return_immediately);
        let want = if at_once { Want::Created } else { Want::Settled };
        let mut response = match self.admit(caller, request, want).await? {
            Admitted::Begun(_, run, answer) => self.watch(run, answer).await?,
            Admitted::Answered(key, slots) => {
                let (mut fold, _) = admit::answered(&key.id, &slots, caller);
                match fold.reply.take() {
                    Some(message) => SendMessageResponse::Message(message),
                    None => SendMessageResponse::Task(Box::new(fold.task)),
                }
            }
        };
        if let SendMessageResponse::Task(task) = &mut response {
            admit::trim_history(task, history);
        }
        Ok(response)
    }

    /// Section 3.1.2: the task first, then each recorded event.
    pub(crate) async fn send_streaming(
        &self,
        caller: &Arc<Caller>,
        request: SendMessageRequest,
    ) -> Result<Events, Error> {
        let history = request.configuration.as_ref().and_then(|it| it.history_length);
        let ends = EndsAt {
            input_required: true,
            auth_required: caller.streams_end == StreamsEnd::AtRest,
        };
        let (key, mut task, cursor, tail) = match self.admit(caller, request, Want::Stream).await? {
            Admitted::Begun(key, run, answer) => {
                // A reader may stall; a run may not.
                self.runs.spawn(run);
                match answer.await.map_err(|_| lost_run())?? {
                    Answer::Stream { task, cursor, tail } => (key, *task, cursor, tail),
                    Answer::Message(message) => return Ok(only_message(message)),
                    Answer::Task(_) => return Err(lost_run()),
                }
            }
            Admitted::Answered(key, slots) => {
                let (mut fold, _) = admit::answered(&key.id, &slots, caller);
                if let Some(message) = fold.reply.take() {
                    return Ok(only_message(message));
                }
                let begun = admit::begun(&key.id, &slots, caller);
                let tail = tail_from(&self.store, &key, begun.cursor);
                (key, begun.task, begun.cursor, tail)
            }
        };
        admit::trim_history(&mut task, history);
        Ok(self.events_from(key, task, cursor, tail, ends))
    }

    /// A stream that begins with the task as it stands at the cursor.
    pub(crate) fn events_from(
        &self,
        key: TaskKey,
        task: Task,
        cursor: Cursor,
        tail: Tail,
        ends: EndsAt,
    ) -> Events {
        let state = task.status.state;
        let last = ends.state(state);
        let response = StreamResponse::Task(Box::new(task));
        let first = stream::iter([Ok(Event { cursor: Some(cursor), response, last })]);
        if last {
            return Events(first.boxed());
        }
        let follow = self.follow(key, tail, cursor, ends, state.is_interrupted());
        Events(first.chain(follow.events()).boxed())
    }

    pub(crate) fn follow(
        &self,
        key: TaskKey,
        tail: Tail,
        after: Cursor,
        ends: EndsAt,
        at_rest: bool,
    ) -> Follow {
        let (store, closing) = (Arc::clone(&self.store), self.closing.clone());
        Follow { store, key, tail, after, ends, at_rest, closing }
    }

    /// Drives a run until its answer is there. A caller that leaves earlier changes nothing: the
    /// run goes on.
    async fn watch(
        &self,
        run: BoxFuture<'static, ()>,
        mut answer: oneshot::Receiver<Result<Answer, Error>>,
    ) -> Result<SendMessageResponse, Error> {
        let mut drive = Watched { run: Some(run), runs: self.runs.clone() };
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            // It has answered before it ended.
            () = &mut drive => answer.await,
        };
        match answer.map_err(|_| lost_run())?? {
            Answer::Message(message) => Ok(SendMessageResponse::Message(message)),
            Answer::Task(task) | Answer::Stream { task, .. } => Ok(SendMessageResponse::Task(task)),
        }
    }

    async fn admit(
        &self,
        caller: &Arc<Caller>,
        mut request: SendMessageRequest,
        want: Want,
    ) -> Result<Admitted, Error> {
        let named = request.message.task_id.take();
        let tenant = request.tenant.clone().unwrap_or_default();
        let id = match (&named, &caller.key) {
            (Some(id), _) => Arc::clone(id),
            (None, Some(request_key)) => request_key.id("task"),
            (None, None) => self.env.id(),
        };
        let key = TaskKey { tenant, id };
        let deadline = self.deadline(caller);
        let mut journal = None;
        if named.is_some() {
            let found = self.read_owned(&key, caller).await?;
            if !Fold::replay(Arc::clone(&key.id), &found.slots).is_task() {
                return Err(Error::task_not_found(&key.id));
            }
            journal = Some(found);
        }
        // The first may only tell that the request is known already.
        let mut tries = self.limits.append_tries.max(2);
        while tries > 0 {
            let (slots, claimed) =
                journal.take().map_or_else(Default::default, |journal: Journal| {
                    (journal.slots, !journal.head.phase.is_listed())
                });
            let ledger = self.ledger(&key, caller, &slots, claimed);
            let decision = match slots.is_empty() {
                true => Admission::Begin,
                false => {
                    admit::message(&slots, &ledger.fold, &request.message, caller, &self.limits)?
                }
            };
            match decision {
                Admission::Answered => return Ok(Admitted::Answered(key, slots)),
                // Waiting is bounded by the deadline, not by how often the task changes meanwhile.
                Admission::Wait => self.wait_turn(&ledger, deadline).await?,
                Admission::GiveUp => self.fail_orphan(caller, ledger).await?,
                Admission::Begin | Admission::Restart(_) => {
                    let claim = Claim::new(decision, ledger, &slots, caller);
                    if let Some((run, answer)) = self.begin(caller, claim, &request, want).await? {
                        return Ok(Admitted::Begun(key, run, answer));
                    }
                    tries -= 1;
                }
            }
            journal = Some(self.read_owned(&key, caller).await?);
        }
        Err(Error::new(ErrorKind::Unavailable, "The task is too busy; try again."))
    }

    /// Records the message and the claim to work on it. `None` when somebody else was first.
    async fn begin(
        &self,
        caller: &Arc<Caller>,
        claim: Claim,
        request: &SendMessageRequest,
        want: Want,
    ) -> Result<Option<(BoxFuture<'static, ()>, oneshot::Receiver<Result<Answer, Error>>)>, Error>
    {
        let Claim { mut ledger, before, attempt } = claim;
        let scope = self.scope(caller, &ledger, &request.message);
        let message = Arc::new(Message {
            task_id: Some(Arc::clone(&scope.task_id)),
            context_id: Some(Arc::clone(&scope.context_id)),
            ..request.message.clone()
        });
        let new = attempt == 1 && before.is_none();
        let entries = self.claim(caller, &scope, &message, attempt, before.is_some());
        if new && caller.key.is_none() {
            // Nobody else can know this id: the claim is recorded together with what comes of it.
            ledger.pending = entries;
        } else {
            // A reply without a task must stay possible, so a claim alone is not listed.
            let listed = !new && !ledger.claimed;
            match ledger.append(entries, listed, |_| false).await {
                Ok(()) => {}
                Err(Refused::Overtaken) => return Ok(None),
                Err(Refused::TooLarge) => {
                    let sentence = "The message is too large to record.";
                    return Err(Error::new(ErrorKind::TooLarge, sentence));
                }
                Err(Refused::Store(error)) => return Err(error.into()),
            }
        }
        let (answer, receiver) = oneshot::channel();
        let context = RequestContext {
            message,
            task: before,
            key: ledger.key.clone(),
            context_id: Arc::clone(&scope.context_id),
            caller: Arc::clone(caller),
            attempt,
            deadline: self.deadline(caller),
            configuration: request.configuration.clone().map(Arc::new),
            metadata: request.metadata.clone(),
            store: Arc::clone(&self.store),
            max_related: self.limits.related,
        };
        let (executor, limits) = (Arc::clone(&self.executor), Arc::clone(&self.limits));
        let run = Run { ledger, executor, context, scope, limits, want, answer };
        Ok(Some((Box::pin(run.drive()), receiver)))
    }

    /// The entries of a claim: the message, unless it is recorded already, and that work on it
    /// begins.
    fn claim(
        &self,
        caller: &Caller,
        scope: &Scope,
        message: &Arc<Message>,
        attempt: u32,
        continues: bool,
    ) -> Vec<Entry> {
        let at = self.env.now();
        let mut entries = Vec::with_capacity(3);
        if attempt == 1 {
            let request = caller.key.as_ref().map(|key| Arc::clone(key.as_str()));
            entries.push(Entry::Submitted(Submitted { message: Arc::clone(message), request, at }));
        }
        entries.push(Entry::Started(Started { runner: self.env.id(), attempt, at }));
        if continues {
            entries.push(scope.status(TaskState::Working, None));
        }
        entries
    }

    fn scope(&self, caller: &Caller, ledger: &Ledger, message: &Message) -> Scope {
        let context_id = match (&message.context_id, &caller.key) {
            _ if ledger.fold.messages > 0 => Arc::clone(&ledger.fold.task.context_id),
            (Some(id), _) => Arc::clone(id),
            (None, Some(key)) => key.id("context"),
            (None, None) => self.env.id(),
        };
        Scope {
            task_id: Arc::clone(&ledger.key.id),
            context_id,
            env: self.env.clone(),
            max_entry: self.limits.entry,
        }
    }

    fn ledger(&self, key: &TaskKey, caller: &Caller, slots: &[Slot], claimed: bool) -> Ledger {
        Ledger {
            store: Arc::clone(&self.store),
            key: key.clone(),
            owner: Arc::clone(&caller.owner),
            fold: Fold::replay(Arc::clone(&key.id), slots),
            pending: Vec::new(),
            claimed,
            tries: self.limits.append_tries,
        }
    }

    /// Waits until nobody is at work on the task.
    async fn wait_turn(&self, ledger: &Ledger, deadline: Instant) -> Result<(), Error> {
        let mut tail = ledger.tail();
        let rests = |entry: &Entry| {
            let interrupts = matches!(entry, Entry::Status(it) if it.status.state.is_interrupted());
            interrupts || entry.ends_run()
        };
        let rest = async {
            while let Some(slot) = tail.next().await {
                if slot?.entries.iter().any(rests) {
                    break;
                }
            }
            Ok(())
        };
        tokio::time::timeout_at(deadline.into(), rest).await.unwrap_or_else(|_| {
            let sentence = "The agent is still at work on this task; try again later.";
            Err(Error::new(ErrorKind::Unavailable, sentence))
        })
    }

    /// Its runners died too often: the task ends here.
    async fn fail_orphan(&self, caller: &Caller, mut ledger: Ledger) -> Result<(), Error> {
        let scope = self.scope(caller, &ledger, &Message::default());
        let sentence = "The agent could not finish this, although it was tried several times.";
        let message = scope.message(vec![crate::types::Part::text(sentence)], true);
        let failed = scope.status(TaskState::Failed, Some(message));
        match ledger.append(vec![failed], true, |_| false).await {
            Ok(()) | Err(Refused::Overtaken) => Ok(()),
            Err(Refused::Store(error)) => Err(error.into()),
            Err(Refused::TooLarge) => Err(Error::internal("a sentence is too large to record")),
        }
    }

    /// When a run begun now must have its outcome.
    pub(crate) fn deadline(&self, caller: &Caller) -> Instant {
        /// As good as never.
        const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
        let longest = Instant::now() + self.limits.run_time.min(LONGEST);
        let margin = self.limits.deadline_margin;
        let of_call = caller.deadline.map(|at| at.checked_sub(margin).unwrap_or(at));
        of_call.map_or(longest, |at| at.min(longest))
    }
}

/// A claim about to be made: on what, after which task, and which attempt it is.
struct Claim {
    ledger: Ledger,
    before: Option<Arc<Task>>,
    attempt: u32,
}

impl Claim {
    fn new(decision: Admission, mut ledger: Ledger, slots: &[Slot], caller: &Caller) -> Self {
        let Admission::Restart(attempt) = decision else {
            let before = (ledger.fold.messages > 0).then(|| Arc::new(ledger.fold.task.clone()));
            return Self { ledger, before, attempt: 1 };
        };
        // What the attempt before recorded no longer counts, here as for every later reader.
        let cursor = ledger.fold.cursor;
        let (fold, before) = admit::restart(&ledger.key.id, slots, caller);
        ledger.fold = Fold { cursor, ..fold };
        Self { ledger, before: before.map(Arc::new), attempt }
    }
}

/// A run that is polled by whoever waits for it, and goes on by itself once nobody does.
struct Watched {
    run: Option<BoxFuture<'static, ()>>,
    runs: TaskTracker,
}

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(run) = &mut self.run else { return Poll::Ready(()) };
        let poll = run.as_mut().poll(context);
        if poll.is_ready() {
            self.run = None;
        }
        poll
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Outside of a runtime there is nothing left to run on.
        if let (Some(run), Ok(runtime)) = (self.run.take(), tokio::runtime::Handle::try_current()) {
            self.runs.spawn_on(run, &runtime);
        }
    }
}

fn only_message(message: Arc<Message>) -> Events {
    let response = StreamResponse::Message(message);
    Events(stream::iter([Ok(Event { cursor: None, response, last: true })]).boxed())
}

fn lost_run() -> Error {
    Error::internal("a run ended without an answer")
}
