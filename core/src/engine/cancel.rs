//! Canceling a task (specification section 3.1.5).
//!
//! Owns: recording that a task is canceled, on top of whatever its run records, and the executor's
//! clean-up. The run itself learns of it by its tail. Must never know: transports, how a run ends.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;

use super::{
    state::{Engine, now},
    writer::keeps_run,
};
use crate::{
    call::Caller,
    error::{Error, ErrorKind},
    store::AppendError,
    task::{CancelRequested, Entry, TaskKey, admit},
    types::{CancelTaskRequest, Role, Task, TaskState},
};

impl Engine {
    /// The canceled task.
    pub(crate) async fn cancel_task(
        &self,
        caller: &Arc<Caller>,
        request: &CancelTaskRequest,
    ) -> Result<Box<Task>, Error> {
        let key = TaskKey::new(request.tenant.as_ref(), &request.id);
        for _ in 0..self.limits.append_tries.max(1) {
            let (journal, fold) = self.load(&key, caller).await?;
            if let Some(task) = admit::canceled(&key.id, &journal.slots, caller) {
                // The process that recorded it may have died before its clean-up.
                self.clean_up(caller, &key, &task, request).await;
                return self.answered(task);
            }
            if self.is_expired(caller) {
                return Err(Error::expired());
            }
            admit::cancel(&fold.task)?;
            let mut writer = self.writer(&key, &journal.head.owner, fold, true);
            let request_key = caller.key.as_ref().map(|key| Arc::clone(key.as_str()));
            let requested =
                request_key.map(|request| Entry::CancelRequested(CancelRequested { request }));
            let canceled = self.scope(&writer).status(TaskState::Canceled, None);
            let entries = requested.into_iter().chain([canceled]).collect();
            match writer.append(entries, true, keeps_run).await {
                Ok(()) => {
                    let task = writer.fold.task;
                    self.clean_up(caller, &key, &task, request).await;
                    return self.answered(task);
                }
                Err(AppendError::Conflict) => {}
                Err(AppendError::Store(error)) => return Err(error.into()),
                Err(AppendError::TooLarge) => {
                    return Err(Error::internal("a cancel is too large"));
                }
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "The task is too busy; try again."))
    }

    /// The executor's own clean-up; whatever becomes of it, the task is canceled.
    async fn clean_up(
        &self,
        caller: &Arc<Caller>,
        key: &TaskKey,
        task: &Task,
        request: &CancelTaskRequest,
    ) {
        let Some(message) = task.history.iter().rev().find(|it| it.role == Role::User) else {
            return;
        };
        let now = now();
        let mut context = self.context(caller, key, &task.context_id, Arc::clone(message));
        context.task = Some(Arc::new(task.clone()));
        context.metadata.clone_from(&request.metadata);
        context.deadline = context.deadline.min(now + self.limits.cancel_time);
        let limit = context.deadline.saturating_duration_since(now);
        let (executor, key) = (Arc::clone(&self.executor), key.clone());
        let work = AssertUnwindSafe(async move { executor.cancel(context).await });
        let cleaned = self.runs.spawn(async move {
            match tokio::time::timeout(limit, work.catch_unwind()).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => {
                    tracing::error!(task = %key.id, %error, "an agent's clean-up failed");
                }
                Ok(Err(_)) => tracing::error!(task = %key.id, "an agent's clean-up panicked"),
                Err(_) => tracing::error!(task = %key.id, "an agent's clean-up took too long"),
            }
        });
        // The caller waits for it, but it does not wait for the caller.
        let _ = cleaned.await;
    }
}
