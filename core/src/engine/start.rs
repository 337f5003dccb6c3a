//! Starting a run: the message and the runner's name are recorded, then the executor is ready to go.
//!
//! Owns: the entries that start an attempt at a message. Must never know: whose turn it is, what is
//! answered, transports.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{
    answer::{AnswerReceiver, Waiter, Want},
    ends::interrupted,
    run::Run,
    state::{Engine, now},
    writer::Writer,
};
use crate::{
    agent::{RequestContext, Scope},
    call::Caller,
    error::{Error, ErrorKind},
    store::AppendError,
    task::{
        self, DoneSteps, Entry, Fold, Slot, Started, Submitted,
        admit::{self, Admission},
    },
    types::{Message, SendMessageRequest, Task, TaskState},
};

/// An attempt about to start: on what, after which task, and which attempt it is.
pub(super) struct Start {
    writer: Writer,
    before: Option<Arc<Task>>,
    attempt: u32,
    /// What earlier attempts have done.
    steps: DoneSteps,
}

impl Start {
    pub(super) fn new(decision: Admission, mut writer: Writer, slots: &[Slot]) -> Self {
        let Admission::Restart(attempt) = decision else {
            let before = (writer.fold.messages > 0).then(|| Arc::new(writer.fold.task.clone()));
            return Self { writer, before, attempt: 1, steps: DoneSteps::new() };
        };
        // What the attempt before recorded no longer counts, here as for every later reader.
        let Fold { cursor, ref work, .. } = writer.fold;
        let (fold, before) = admit::restart(&writer.key.id, slots);
        writer.fold = Fold { cursor, work: work.clone(), ..fold };
        let steps = task::done_steps(slots);
        Self { writer, before: before.map(Arc::new), attempt, steps }
    }
}

impl Engine {
    /// Records the message and that work on it starts. `None` when another writer was first.
    pub(super) async fn start(
        &self,
        caller: &Arc<Caller>,
        start: Start,
        request: &SendMessageRequest,
        want: Want,
    ) -> Result<Option<(BoxFuture<'static, ()>, AnswerReceiver)>, Error> {
        let Start { mut writer, before, attempt, steps } = start;
        let ends = self.ends(caller, writer.fold.work.spent());
        if ends.is_cut() {
            return Err(interrupted());
        }
        let mut scope = self.scope(&writer);
        if writer.fold.messages == 0 {
            scope.context_id = match (&request.message.context_id, &caller.key) {
                (Some(id), _) => Arc::clone(id),
                (None, Some(key)) => key.id("context"),
                (None, None) => self.env.id(),
            };
        }
        let message = Arc::new(Message {
            task_id: Some(Arc::clone(&scope.task_id)),
            context_id: Some(Arc::clone(&scope.context_id)),
            ..request.message.clone()
        });
        let new = attempt == 1 && before.is_none();
        let context = RequestContext {
            task: before,
            attempt,
            deadline: ends.first(),
            configuration: request.configuration.clone().map(Arc::new),
            metadata: request.metadata.clone(),
            ..self.context(caller, &writer.key, &scope.context_id, message)
        };
        let runner = self.env.id();
        let entries = self.start_entries(&context, &scope, &runner);
        if new && caller.key.is_none() {
            // No other writer can know this id: the start is recorded together with the outcome.
            writer.pending = entries;
        } else {
            // Also where it may be recorded although the store says that it failed.
            self.host.saw(&runner, &writer.key, self.limits.lease);
            // A reply without a task must stay possible, so a start alone is not listed.
            let listed = !new && writer.listed;
            match writer.append(entries, listed, |_| false).await {
                Ok(()) => {}
                Err(AppendError::Conflict) => {
                    self.host.ended(&runner);
                    return Ok(None);
                }
                Err(AppendError::TooLarge) => {
                    let sentence = "The message is too large to record.";
                    return Err(Error::new(ErrorKind::TooLarge, sentence));
                }
                Err(AppendError::Store(error)) => return Err(error.into()),
            }
        }
        let (sender, receiver) = oneshot::channel();
        let (executor, limits) = (Arc::clone(&self.executor), Arc::clone(&self.limits));
        let (sender, stream_due) = (Some(sender), now() + limits.first_event);
        // What no other delivery can ask for need not be kept.
        let is_repeated = want == Want::Created && writer.pending.is_empty();
        let first = is_repeated.then(|| Box::new(writer.fold.task.clone()));
        let waiter = Waiter { want, sender, stream_due, begun: writer.fold.cursor, first };
        let (released, host) = (Arc::clone(&self.released), Arc::clone(&self.host));
        let run = Run {
            writer,
            executor,
            context,
            steps,
            scope,
            runner,
            host,
            limits,
            ends,
            released,
            waiter,
        };
        Ok(Some((Box::pin(run.drive()), receiver)))
    }

    /// The message, unless it is recorded already, and that an attempt at it starts.
    fn start_entries(
        &self,
        context: &RequestContext,
        scope: &Scope,
        runner: &Arc<str>,
    ) -> Vec<Entry> {
        let at = self.env.now();
        let attempt = context.attempt;
        let mut entries = Vec::with_capacity(3);
        if attempt == 1 {
            entries.push(Entry::from(Submitted {
                message: Arc::clone(&context.message),
                request: context.caller.key.as_ref().map(|key| Arc::clone(key.as_str())),
                configuration: context.configuration.clone(),
                metadata: context.metadata.clone(),
                expires: context.caller.expires,
                extensions: context.caller.extensions.clone(),
                trace: context.caller.trace.clone(),
                transport: context.caller.transport.clone(),
                reply_to: context.caller.reply_to.clone(),
                at,
            }));
        }
        let host = Some(Arc::clone(self.host.name(runner)));
        entries.push(Entry::Started(Started { runner: Arc::clone(runner), host, attempt, at }));
        if context.task.is_some() {
            entries.push(scope.status(TaskState::Working, None));
        }
        entries
    }
}
