//! Getting a task and listing tasks (specification sections 3.1.3 and 3.1.4).
//!
//! Owns: making tasks of journals and of a list's rows. Must never know: how a store lists, what a
//! page token holds.

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use futures_util::{StreamExt, stream};

use super::{
    size::{self, Room},
    state::Engine,
};
use crate::{
    call::Caller,
    error::Error,
    limits::Limits,
    store::{ListPosition, ReadLimit, StoreError},
    task::{Fold, Head, Phase, Slot, TaskKey, Version, admit},
    types::{GetTaskRequest, ListTasksRequest, ListTasksResponse, Task},
};

/// How many journals are read at the same time.
const READS: usize = 8;
/// What stands around a page's tasks: its token and its numbers.
const AROUND_PAGE: usize = 2_048;

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
        self.answered(task)
    }

    /// A task as the answer to a call.
    ///
    /// # Errors
    /// When it is over the limit of an answer.
    pub(super) fn answered(&self, task: Task) -> Result<Box<Task>, Error> {
        size::within(&task, self.limits.answer)?;
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
        let request = &request;
        let mut reads = pin!(
            stream::iter(page.rows)
                .map(|(id, head)| {
                    let position = ListPosition::of(&id, &head);
                    let key = TaskKey { tenant: Arc::clone(&tenant), id };
                    async move { (position, self.listed_task(key, head, request, caller).await) }
                })
                .buffered(READS)
        );
        let Limits { page_bytes, answer, .. } = *self.limits;
        let most = [page_bytes, answer].into_iter().chain(caller.page_bytes).min();
        let mut room = Room::new(most.unwrap_or_default().saturating_sub(AROUND_PAGE));
        let (mut tasks, mut next, mut last) = (Vec::new(), page.next, None);
        while let Some((position, task)) = reads.next().await {
            if let Some(task) = task? {
                if !room.add(&tasks, &task) {
                    match last.take() {
                        Some(last) => {
                            next = Some(last);
                            break;
                        }
                        None => size::within(&task, self.limits.answer)?,
                    }
                }
                tasks.push(task);
            }
            last = Some(position);
        }
        let token = next.map(|next| self.page_key.token(&query, &next));
        Ok(ListTasksResponse {
            tasks,
            next_page_token: token.unwrap_or_default(),
            page_size: i32::try_from(query.limit).unwrap_or(i32::MAX),
            total_size: i32::try_from(page.total).unwrap_or(i32::MAX),
        })
    }

    /// A row of a list as a task. Without artifacts it is read from the slots that its head names:
    /// those of its history, or the one of its status's message.
    async fn listed_task(
        &self,
        key: TaskKey,
        head: Head,
        request: &ListTasksRequest,
        caller: &Caller,
    ) -> Result<Option<Task>, Error> {
        let named = match (request.include_artifacts, request.history_length) {
            (true, _) => None,
            (false, Some(0)) => Some(Vec::from_iter(head.message_at)),
            (false, _) => head.history_at.clone(),
        };
        // Who reads a running task looks after its lease, by its version.
        let looks = head.phase == Phase::Running && request.history_length != Some(0);
        let read = match &named {
            Some(versions) => {
                async {
                    if looks {
                        self.look_after(&key, caller).await?;
                    }
                    self.slots_at(&key, versions).await
                }
                .await
            }
            None => self.store.read(&key, 0).await.map(|it| it.map(|journal| journal.slots)),
        };
        let slots = match read {
            Ok(Some(slots)) => slots,
            // It is gone since the list was made.
            Ok(None) => return Ok(None),
            Err(error) if error.is_retriable() => return Err(error.into()),
            // One task that cannot be read is no reason not to show the others.
            Err(error) => {
                tracing::error!(task = %key.id, %error, "a listed task cannot be read");
                return Ok(Some(listed(&key, head, Task::default())));
            }
        };
        let fold = Fold::replay(Arc::clone(&key.id), &slots);
        let mut task = match named {
            Some(_) => listed(&key, head, fold.task),
            None => {
                self.take_over_if_expired(&key, &fold, caller);
                fold.task
            }
        };
        admit::trim_history(&mut task, request.history_length);
        if !request.include_artifacts {
            task.artifacts.clear();
        }
        Ok(Some(task))
    }

    /// Takes the work on a task over if its lease has expired.
    async fn look_after(&self, key: &TaskKey, caller: &Caller) -> Result<(), StoreError> {
        if let Some((head, version)) = self.store.newest(key).await?
            && head.phase == Phase::Running
        {
            let released = self.is_released(key, &head, version).await?;
            self.take_over_if_silent(key, version, released, caller);
        }
        Ok(())
    }

    /// These slots of a journal, which ascend; those next to each other are read together.
    async fn slots_at(
        &self,
        key: &TaskKey,
        versions: &[Version],
    ) -> Result<Option<Vec<Slot>>, StoreError> {
        let mut slots = BTreeMap::new();
        for run in versions.chunk_by(|one, next| one + 1 == *next) {
            let (mut after, last) = (run[0] - 1, run[run.len() - 1]);
            while after < last {
                let wanted = usize::try_from(last - after).unwrap_or(usize::MAX);
                let limit = ReadLimit { slots: wanted, ..ReadLimit::PAGE };
                let page = self.store.read_page(key, after, limit).await?;
                let read = page.map_or_else(Vec::new, |page| page.slots);
                let Some(end) = read.last() else { return Ok(None) };
                after = end.version;
                slots.extend(read.into_iter().map(|slot| (slot.version, slot)));
            }
        }
        slots.retain(|version, _| versions.contains(version));
        Ok(Some(slots.into_values().collect()))
    }
}

/// A task by its head and what was read of its history.
fn listed(key: &TaskKey, head: Head, read: Task) -> Task {
    let Task { mut history, status: said, .. } = read;
    let mut status = head.status;
    match head.message_at {
        Some(_) => status.message = said.message,
        // The current status, which was not read, has none: so that is history.
        None => history.extend(said.message),
    }
    Task {
        id: Arc::clone(&key.id),
        context_id: head.context_id,
        status,
        history,
        ..Task::default()
    }
}
