//! What the events of one run share, and inside which of its steps an event is emitted.
//!
//! Owns: making messages and changes of state, and knowing the steps that the code at work is inside
//! of. Must never know: the channel they go through, what becomes of them.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    env::Env,
    error::AgentError,
    task::{Entry, Step, Within},
    types::{Message, Part, Role, TaskState, TaskStatus, TaskStatusUpdateEvent},
};

tokio::task_local! {
    /// The run and the steps of it that the code being polled is inside of. Two steps at once are
    /// told apart by it, and so are the runs of agents that call each other in one process.
    static ENCLOSING: (Arc<Scope>, Arc<Within>);
}

/// What the events of one run share.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) task_id: Arc<str>,
    pub(crate) context_id: Arc<str>,
    pub(crate) env: Env,
    pub(crate) max_entry: usize,
    pub(crate) max_id: usize,
}

/// What arrives at the run loop.
#[derive(Debug)]
pub(crate) enum Emitted {
    /// What is told, and inside which steps.
    Entry(Entry, Option<Arc<Within>>),
    /// A step is done; who waits for it to be recorded.
    Step(Step, oneshot::Sender<()>),
    /// The executor asked for something that cannot be recorded.
    Refused(AgentError),
    /// The executor has returned, or panicked.
    Returned(Result<(), AgentError>),
}

impl Scope {
    /// A message of the agent's.
    pub(crate) fn message(&self, parts: Vec<Part>, of_task: bool) -> Message {
        Message {
            message_id: self.env.id(),
            context_id: Some(Arc::clone(&self.context_id)),
            task_id: of_task.then(|| Arc::clone(&self.task_id)),
            role: Role::Agent,
            parts,
            ..Message::default()
        }
    }

    /// A change of state, as of now.
    pub(crate) fn status(&self, state: TaskState, message: Option<Message>) -> Entry {
        let status =
            TaskStatus { state, message: message.map(Arc::new), timestamp: Some(self.env.now()) };
        Entry::Status(Arc::new(TaskStatusUpdateEvent {
            task_id: Arc::clone(&self.task_id),
            context_id: Arc::clone(&self.context_id),
            status,
            metadata: None,
        }))
    }

    /// The steps of this run that the caller is inside of.
    pub(crate) fn enclosing(self: &Arc<Self>) -> Option<Arc<Within>> {
        let of_this_run = |(scope, within): &(Arc<Scope>, Arc<Within>)| {
            Arc::ptr_eq(scope, self).then(|| Arc::clone(within))
        };
        ENCLOSING.try_with(of_this_run).ok().flatten()
    }

    /// Does work inside a step: what it tells is the step's.
    pub(crate) fn within<W: Future>(
        self: &Arc<Self>,
        step: Arc<str>,
        work: W,
    ) -> impl Future<Output = W::Output> + use<W> {
        let outer = self.enclosing();
        let outer = outer.iter().flat_map(|within| within.steps.iter().cloned());
        let within = Arc::new(Within { steps: outer.chain([step]).collect() });
        ENCLOSING.scope((Arc::clone(self), within), work)
    }
}
