//! Whose turn it is on a task: which journal a message goes to, and what its journal allows.
//!
//! Owns: admission against the journal, waiting for the turn, and what an idempotency key stands
//! for. Must never know: what is answered, how a run starts or records, transports.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture};

use super::{
    answer::{AnswerReceiver, Want},
    ends::{Ends, interrupted, still_at_work},
    places::Place,
    start::Start,
    state::Engine,
    writer::Writer,
};
use crate::{
    call::Caller,
    error::{Error, ErrorKind},
    store::{AppendError, Journal},
    task::{
        Entry, Fold, KeyUsed, Slot, TaskKey,
        admit::{self, Admission},
    },
    types::SendMessageRequest,
};

/// What a message's turn leads to.
pub(super) enum Turn {
    /// A run on that task, to be driven, and where its answer comes.
    Started(TaskKey, BoxFuture<'static, ()>, AnswerReceiver),
    /// The journal of an earlier delivery, which is answered or is being worked on.
    Recorded(TaskKey, Vec<Slot>),
}

impl Engine {
    /// Finds or makes the message's journal, waits for its turn and starts a run.
    pub(super) async fn take_turn(
        &self,
        caller: &Arc<Caller>,
        mut request: SendMessageRequest,
        want: Want,
    ) -> Result<Turn, Error> {
        let named = request.message.task_id.take();
        let tenant = request.tenant.clone().unwrap_or_default();
        let id = match (&named, &caller.key) {
            (Some(id), _) => Arc::clone(id),
            (None, Some(request_key)) => request_key.id("task"),
            (None, None) => self.env.id(),
        };
        let key = TaskKey { tenant, id };
        let time = self.ends(caller, Duration::ZERO);
        let expired = self.is_expired(caller);
        let mut journal = None;
        if named.is_some() {
            let found = self.read_owned(&key, caller).await?;
            if !Fold::replay(Arc::clone(&key.id), &found.slots).is_task() {
                return Err(Error::task_not_found(&key.id));
            }
            journal = Some(found);
        } else if expired || time.is_cut() {
            // It is not started now. But it may have been, before.
            let found = self.read_owned(&key, caller).await;
            journal = Some(found.map_err(|error| not_started(error, expired))?);
        }
        // The first may only tell that the request is known already.
        let mut tries = self.limits.append_tries.max(2);
        while tries > 0 {
            let (slots, listed) = journal.take().map_or((Vec::new(), true), |journal: Journal| {
                (journal.slots, journal.head.phase.is_listed())
            });
            let fold = Fold::replay(Arc::clone(&key.id), &slots);
            let writer = self.writer(&key, &caller.owner, fold, listed);
            let decision = match slots.is_empty() {
                true => Admission::Begin,
                false => {
                    admit::message(&slots, &writer.fold, &request.message, caller, &self.limits)?
                }
            };
            if expired && matches!(decision, Admission::Begin | Admission::Wait) {
                return Err(Error::expired());
            }
            match decision {
                Admission::Answered => return Ok(Turn::Recorded(key, slots)),
                // It is a task already: a caller that follows its events need not wait.
                Admission::Join if want != Want::Settled && listed => {
                    if want == Want::Created && caller.at_least_once {
                        self.attend(writer, caller);
                    }
                    return Ok(Turn::Recorded(key, slots));
                }
                // Waiting is bounded by the deadline, not by how often the task changes meanwhile.
                Admission::Join | Admission::Wait => {
                    let (wait, time) = match decision {
                        Admission::Join if want == Want::Settled => {
                            (Wait::Joined, self.ends_of_join(caller))
                        }
                        Admission::Join => (Wait::Seen, self.ends_of_join(caller)),
                        _ => (Wait::Turn, time.clone()),
                    };
                    // Rare, and large: boxed, so that a call that need not wait stays small.
                    Box::pin(self.wait_turn(writer, wait, caller, &time)).await?;
                }
                Admission::GiveUp => Box::pin(self.fail_orphan(writer)).await?,
                Admission::Begin | Admission::Restart(_) => {
                    // What was begun once goes on; a new run must find a place.
                    let place = match decision {
                        Admission::Begin => Some(self.places.take(&caller.owner, &self.limits)?),
                        _ => None,
                    };
                    if named.is_some() && decision == Admission::Begin {
                        self.bind_key(caller, &key).await?;
                    }
                    let start = Start::new(decision, writer, &slots);
                    if let Some((run, answer)) = self.start(caller, start, &request, want).await? {
                        let run = placed(run, place);
                        if want == Want::Created && matches!(decision, Admission::Restart(_)) {
                            // Its answer is the first attempt's.
                            self.runs.spawn(run);
                            return Ok(Turn::Recorded(key, slots));
                        }
                        return Ok(Turn::Started(key, run, answer));
                    }
                    tries -= 1;
                }
            }
            journal = Some(self.read_owned(&key, caller).await?);
        }
        Err(Error::new(ErrorKind::Unavailable, "The task is too busy; try again."))
    }

    /// An idempotency key stands for one request. The journal that is named after it would be a new
    /// task's; for a message to another task it says so, before that task's own journal does. A
    /// process that is stopped between the two finds it there and goes on.
    ///
    /// # Errors
    /// When it stands for something else.
    async fn bind_key(&self, caller: &Caller, used_for: &TaskKey) -> Result<(), Error> {
        let Some(request_key) = caller.key.as_ref().filter(|key| key.is_of_client()) else {
            return Ok(());
        };
        let key = TaskKey { id: request_key.id("task"), ..used_for.clone() };
        let mut writer = self.writer(&key, &caller.owner, Fold::new(Arc::clone(&key.id)), true);
        let task_id = Arc::clone(&used_for.id);
        let used = Entry::KeyUsed(KeyUsed { task_id, at: self.env.now() });
        match writer.append(vec![used], false, |_| false).await {
            Ok(()) => Ok(()),
            Err(AppendError::Conflict) if writer.fold.used_for.as_ref() == Some(&used_for.id) => {
                Ok(())
            }
            Err(AppendError::Conflict) => Err(admit::key_is_taken()),
            Err(AppendError::Store(error)) => Err(error.into()),
            Err(AppendError::TooLarge) => {
                Err(Error::internal("a task's id is too large to record"))
            }
        }
    }

    /// Sees work to its end that an earlier delivery began, beside the answer: that delivery's
    /// runner may be gone.
    fn attend(&self, writer: Writer, caller: &Arc<Caller>) {
        let (engine, caller) = (self.clone(), Arc::clone(caller));
        let time = self.ends_of_join(&caller);
        self.runs.spawn(async move {
            if engine.wait_turn(writer, Wait::Turn, &caller, &time).await.is_err() {
                engine.released.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Waits for what is waited for; an orphan is taken over meanwhile.
    async fn wait_turn(
        &self,
        writer: Writer,
        wait: Wait,
        caller: &Caller,
        time: &Ends,
    ) -> Result<(), Error> {
        let mut tail = writer.tail();
        let mut seen = writer.fold.cursor.version;
        let mut released = writer.fold.work.released;
        let rests = |entry: &Entry| {
            let interrupts = matches!(entry, Entry::Status(it) if it.status.state.is_interrupted());
            interrupts || entry.ends_run()
        };
        let rest = async {
            loop {
                if std::mem::take(&mut released) {
                    if wait != Wait::Turn {
                        // The next attempt is this caller's.
                        return Ok(());
                    }
                    self.take_over(&writer.key, seen, caller).await?;
                }
                match tokio::time::timeout(self.limits.lease, tail.next()).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(slot)) => {
                        let slot = slot?;
                        seen = slot.version;
                        released = slot.entries.iter().any(|it| matches!(it, Entry::Released(_)));
                        if wait == Wait::Seen || slot.entries.iter().any(rests) {
                            return Ok(());
                        }
                    }
                    Err(_) => _ = self.take_over(&writer.key, seen, caller).await?,
                }
            }
        };
        time.bound(rest).await.unwrap_or_else(|| Err(still_at_work()))
    }
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// That no run is at work on the task.
    Turn,
    /// The same of the run for an earlier delivery of this very message.
    Joined,
    /// Anything that is recorded of that run.
    Seen,
}

/// The error of a request that was not started before its deadline, or its host's end.
fn not_started(error: Error, expired: bool) -> Error {
    match error.kind() {
        ErrorKind::TaskNotFound if expired => Error::expired(),
        ErrorKind::TaskNotFound => interrupted(),
        _ => error,
    }
}

/// The same run, which has its place until it ends.
fn placed(run: BoxFuture<'static, ()>, place: Option<Place>) -> BoxFuture<'static, ()> {
    match place {
        None => run,
        Some(place) => Box::pin(async move {
            let _place = place;
            run.await;
        }),
    }
}
