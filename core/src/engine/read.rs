//! Getting a task and listing tasks (specification sections 3.1.3 and 3.1.4).
//!
//! Owns: making tasks of journals and of a list's rows. Must never know: how a store lists, what a
//! page token holds.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::state::Engine;
use crate::{
    call::Caller,
    error::Error,
    store::ReadLimit,
    task::{Entry, Fold, Head, Slot, TaskKey, admit},
    types::{GetTaskRequest, ListTasksRequest, ListTasksResponse, Task},
};

/// How many journals are read at the same time.
const READS: usize = 8;

impl Engine {
    /// One task.
    pub(crate) async fn get_task(
        &self,
        caller: &Caller,
        request: &GetTaskRequest,
    ) -> Result<Box<Task>, Error> {
        let key = TaskKey::new(request.tenant.as_ref(), &request.id);
        let (_, fold) = self.load(&key, caller).await?;
        self.take_over_if_expired(&key, &fold, caller);
        let mut task = fold.task;
        admit::trim_history(&mut task, request.history_length);
        Ok(Box::new(task))
    }

    /// A page of the caller's tasks.
    pub(crate) async fn list_tasks(
        &self,
        caller: &Caller,
        request: ListTasksRequest,
    ) -> Result<ListTasksResponse, Error> {
        let tenant = request.tenant.clone().unwrap_or_default();
        let query = self.page_key.query(&request, Arc::clone(&tenant), caller, &self.limits)?;
        let page = self.store.list(&query).await?;
        let next = page.next.as_ref().map(|next| self.page_key.token(&query, next));
        let request = &request;
        let tasks: Vec<Result<Option<Task>, Error>> = stream::iter(page.rows)
            .map(|(id, head)| {
                let key = TaskKey { tenant: Arc::clone(&tenant), id };
                async move { self.listed_task(key, head, request, caller).await }
            })
            .buffered(READS)
            .collect()
            .await;
        let tasks = tasks.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(ListTasksResponse {
            tasks,
            next_page_token: next.unwrap_or_default(),
            page_size: i32::try_from(query.limit).unwrap_or(i32::MAX),
            total_size: i32::try_from(page.total).unwrap_or(i32::MAX),
        })
    }

    /// A row of a list as a task; the head and the slot of its status's message are enough where
    /// neither history nor artifacts are wanted.
    async fn listed_task(
        &self,
        key: TaskKey,
        head: Head,
        request: &ListTasksRequest,
        caller: &Caller,
    ) -> Result<Option<Task>, Error> {
        let bare = request.history_length == Some(0) && !request.include_artifacts;
        let read = match (bare, head.message_at) {
            (true, None) => return Ok(Some(bare_task(&key, head, &[]))),
            (true, Some(at)) => self.store.read_page(&key, at - 1, ReadLimit::SLOT).await,
            (false, _) => self.store.read(&key, 0).await,
        };
        let journal = match read {
            Ok(Some(journal)) if bare => return Ok(Some(bare_task(&key, head, &journal.slots))),
            Ok(Some(journal)) => journal,
            // It is gone since the list was made.
            Ok(None) => return Ok(None),
            Err(error) if error.is_retriable() => return Err(error.into()),
            // One task that cannot be read is no reason not to show the others.
            Err(error) => {
                tracing::error!(task = %key.id, %error, "a listed task cannot be read");
                return Ok(Some(bare_task(&key, head, &[])));
            }
        };
        let fold = Fold::replay(Arc::clone(&key.id), &journal.slots);
        self.take_over_if_expired(&key, &fold, caller);
        let mut task = fold.task;
        admit::trim_history(&mut task, request.history_length);
        if !request.include_artifacts {
            task.artifacts.clear();
        }
        Ok(Some(task))
    }
}

/// A task of its head alone, with its status's message from the slot where that is.
fn bare_task(key: &TaskKey, head: Head, slots: &[Slot]) -> Task {
    let Head { context_id, mut status, message_at, .. } = head;
    let slot = slots.iter().find(|slot| Some(slot.version) == message_at);
    let said = slot.and_then(|slot| slot.entries.iter().rev().find_map(Entry::status_message));
    status.message = status.message.or_else(|| said.cloned());
    Task { id: Arc::clone(&key.id), context_id, status, ..Task::default() }
}
