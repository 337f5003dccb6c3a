//! The engine: what every operation on tasks shares.
//!
//! Owns: the parts of an engine, reading a task for its owner, and waiting for the runs of an
//! invocation. Must never know: cards, credentials, transports.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    host::Host, liveness::Liveness, page::PageKey, places::Places, streams::Streams, writer::Writer,
};
use crate::{
    agent::{AgentExecutor, RequestContext, Scope},
    call::Caller,
    env::Env,
    error::Error,
    limits::Limits,
    store::{Journal, TaskStore},
    task::{Fold, TaskKey},
    types::Message,
};

/// Owns the life of every run of one agent. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) executor: Arc<dyn AgentExecutor>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) env: Env,
    /// Runs that go on without their caller.
    pub(crate) runs: TaskTracker,
    /// Of all runs at work.
    pub(crate) places: Places,
    /// How many of them were released before they were done.
    pub(crate) released: Arc<AtomicUsize>,
    /// Ends the streams of tasks that no run is at work on.
    pub(crate) shutdown: CancellationToken,
    /// Releases every run that is not done, and lets none begin.
    pub(crate) release: CancellationToken,
    pub(crate) page_key: Arc<PageKey>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) liveness: Arc<Liveness>,
    pub(crate) host: Arc<Host>,
}

impl Engine {
    /// An engine with default limits and the system's clock.
    pub(crate) fn new(
        executor: Arc<dyn AgentExecutor>,
        store: Arc<dyn TaskStore>,
        page_key: PageKey,
    ) -> Self {
        Self {
            store,
            executor,
            limits: Arc::default(),
            env: Env::system(),
            runs: TaskTracker::new(),
            places: Places::default(),
            released: Arc::default(),
            shutdown: CancellationToken::new(),
            release: CancellationToken::new(),
            page_key: Arc::new(page_key),
            streams: Arc::default(),
            liveness: Arc::default(),
            host: Arc::default(),
        }
    }

    /// The same engine with runs of its own to wait for.
    pub(crate) fn invocation(&self) -> Self {
        Self { runs: TaskTracker::new(), released: Arc::default(), ..self.clone() }
    }

    /// Waits until every run that goes on without its caller has ended.
    pub(crate) async fn settled(&self) {
        self.runs.close();
        self.runs.wait().await;
        self.runs.reopen();
    }

    /// A task this caller may see, folded.
    pub(super) async fn load(
        &self,
        key: &TaskKey,
        caller: &Caller,
    ) -> Result<(Journal, Fold), Error> {
        let journal = self.read_owned(key, caller).await?;
        let fold = Fold::replay(Arc::clone(&key.id), &journal.slots);
        // A journal is a task once something has come of the message; before that a reply without
        // a task is still possible.
        let visible = fold.is_task() && journal.head.phase.is_listed();
        if visible { Ok((journal, fold)) } else { Err(Error::task_not_found(&key.id)) }
    }

    /// THE ownership check: another owner's task does not exist.
    pub(super) async fn read_owned(
        &self,
        key: &TaskKey,
        caller: &Caller,
    ) -> Result<Journal, Error> {
        let read = self.store.read(key, 0).await.inspect_err(|_| self.liveness.renew_all());
        match read? {
            Some(journal) if journal.head.owner == caller.owner => Ok(journal),
            _ => Err(Error::task_not_found(&key.id)),
        }
    }

    /// A writer on top of this fold. `listed` is whether lists show the journal, or it is new.
    pub(super) fn writer(
        &self,
        key: &TaskKey,
        owner: &Arc<str>,
        fold: Fold,
        listed: bool,
    ) -> Writer {
        Writer {
            store: Arc::clone(&self.store),
            key: key.clone(),
            owner: Arc::clone(owner),
            fold,
            pending: Vec::new(),
            listed,
            written: None,
            tries: self.limits.append_tries,
            outage: self.limits.call_outage,
        }
    }

    /// What the events on this writer's task share.
    pub(super) fn scope(&self, writer: &Writer) -> Scope {
        Scope {
            task_id: Arc::clone(&writer.key.id),
            context_id: Arc::clone(&writer.fold.task.context_id),
            env: self.env.clone(),
            max_entry: self.limits.entry,
            max_id: self.limits.id,
        }
    }

    /// What an executor is given for this message, at its first attempt and without a task before.
    pub(super) fn context(
        &self,
        caller: &Arc<Caller>,
        key: &TaskKey,
        context_id: &Arc<str>,
        message: Arc<Message>,
    ) -> RequestContext {
        RequestContext {
            message,
            task: None,
            key: key.clone(),
            context_id: Arc::clone(context_id),
            caller: Arc::clone(caller),
            attempt: 1,
            deadline: self.ends(caller, Duration::ZERO).first(),
            configuration: None,
            metadata: None,
            store: Arc::clone(&self.store),
            max_related: self.limits.related,
            steps: None,
        }
    }
}

/// The runtime's clock, which its timers go by and a test can hold still.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
