//! Subscribing to a task (specification section 3.1.6).
//!
//! Owns: where a subscription begins, and its end by the client's deadline. Must never know: how a
//! journal becomes events.

use std::{sync::Arc, time::Duration};

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use super::{
    follow::{EndsAt, Source, Tail, end_of, tail_from},
    state::Engine,
};
use crate::{
    call::{Caller, Events, StreamsEnd},
    error::{Error, ErrorKind},
    store::ReadLimit,
    task::{Cursor, TaskKey, Version},
    types::SubscribeToTaskRequest,
};

impl Engine {
    /// The task as it stands, or what follows the event that the caller has seen; then each event
    /// as it is recorded.
    pub(crate) async fn subscribe(
        &self,
        caller: &Caller,
        request: &SubscribeToTaskRequest,
    ) -> Result<Events, Error> {
        let open = self.streams.open(&caller.owner, self.limits.streams_per_caller)?;
        let key = TaskKey::new(request.tenant.as_ref(), &request.id);
        // What is followed is not dropped: not between two looks at it either.
        let _held = Arc::clone(&self.store).tail(key.clone(), Version::MAX);
        let at_rest = caller.streams_end == StreamsEnd::AtRest;
        let time = self.ends(caller, Duration::ZERO);
        let ends = EndsAt { input_required: at_rest, auth_required: at_rest, time };
        if let Some(resume) = caller.resume
            && let Some((tail, at_rest)) = self.what_follows(&key, caller, resume).await?
        {
            let events = self.follow(Source { key, tail, ends, _open: open }, resume, at_rest);
            return Ok(self.until_expiry(caller, events));
        }
        let (_, fold) = self.load(&key, caller).await?;
        self.take_over_if_expired(&key, &fold, caller);
        let (cursor, state) = (fold.cursor, fold.task.status.state);
        let ends_there = ends.state(state);
        let source_at = |at| {
            let tail = tail_from(&self.store, &key, at);
            let tail = self.tail_with_takeover(key.clone(), cursor.version, tail, caller);
            Source { key, tail, ends, _open: open }
        };
        let events = match caller.resume {
            Some(resume) if resume > cursor => {
                return Err(Error::invalid_field(
                    "Last-Event-ID",
                    "is not of an event of this task",
                ));
            }
            // Nothing follows. Where a stream's end is told, it is.
            Some(resume) if at_rest && resume == cursor && ends_there => {
                self.events_from(source_at(resume), fold.task, resume)?
            }
            // There is nothing left to hear of a task that has ended.
            resume if state.is_terminal() && resume.is_none_or(|it| it == cursor) => {
                return Err(Error::new(
                    ErrorKind::UnsupportedOperation,
                    format!("The task {:?} has ended ({}).", request.id, state.name()),
                ));
            }
            Some(resume) => self.follow(source_at(resume), resume, state.is_interrupted()),
            None => self.events_from(source_at(cursor), fold.task, cursor)?,
        };
        Ok(self.until_expiry(caller, events))
    }

    fn until_expiry(&self, caller: &Caller, events: Events) -> Events {
        let Some(at) = self.expiry(caller) else { return events };
        let sentence = "The task had not come to rest by the request's deadline.";
        until(events, at.into(), Error::new(ErrorKind::DeadlineExceeded, sentence))
    }

    /// What follows the event that the caller has seen, where something does, and whether no run is at
    /// work on the task. No more of the journal is read for it than that.
    async fn what_follows(
        &self,
        key: &TaskKey,
        caller: &Caller,
        resume: Cursor,
    ) -> Result<Option<(Tail, bool)>, Error> {
        let after = resume.version.saturating_sub(1);
        let page = self.store.read_page(key, after, ReadLimit::POLL).await?;
        let visible = page.filter(|it| it.head.owner == caller.owner && it.head.phase.is_listed());
        let page = visible.ok_or_else(|| Error::task_not_found(&key.id))?;
        let end = page.slots.last().map_or(Cursor::default(), end_of);
        if !page.more && end <= resume {
            return Ok(None);
        }
        let tail = tail_from(&self.store, key, resume);
        let tail = self.tail_with_takeover(key.clone(), end.version, tail, caller);
        Ok(Some((tail, page.head.status.state.is_interrupted())))
    }
}

/// The same events up to that time; then this error is the last item.
pub(crate) fn until(events: Events, at: Instant, error: Error) -> Events {
    let items = stream::unfold(Some((events.0, error)), move |events| async move {
        let (mut events, error) = events?;
        // Also where there is always one more.
        let item = match Instant::now() < at {
            true => tokio::time::timeout_at(at, events.next()).await.ok(),
            false => None,
        };
        match item {
            Some(item) => Some((item?, Some((events, error)))),
            None => Some((Err(error), None)),
        }
    });
    Events(items.boxed())
}
