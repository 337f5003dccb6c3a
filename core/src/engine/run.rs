//! Drives one execution: the executor beside the recording of what it says.
//!
//! Owns: running an executor whatever it does, and dropping it when its task is no longer its own.
//! Must never know: transports, what may be admitted, how an event is recorded (that is
//! `recorder`'s).
//!
//! While an append is in flight the executor goes on and the next batch gathers. Both are one
//! future. When another writer ends the task the future ends, which drops the executor: that is how
//! a cancel reaches it.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    answer::Waiter,
    ends::Ends,
    host::Host,
    recorder::{End, Recorder},
    state::now,
    writer::Writer,
};
use crate::{
    agent::{AgentExecutor, EventQueue, RequestContext, Scope, Steps},
    error::AgentError,
    limits::Limits,
    task::DoneSteps,
};
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use tokio::task::unconstrained;

/// One execution, ready to go.
pub(crate) struct Run {
    pub(crate) writer: Writer,
    pub(crate) executor: Arc<dyn AgentExecutor>,
    pub(crate) context: RequestContext,
    pub(crate) steps: DoneSteps,
    pub(crate) scope: Scope,
    pub(crate) runner: Arc<str>,
    pub(crate) host: Arc<Host>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) ends: Ends,
    /// Counts the runs that are released.
    pub(crate) released: Arc<AtomicUsize>,
    pub(crate) waiter: Waiter,
}

impl Run {
    /// Runs to the end. The waiter may leave at any time; this future must be driven on.
    pub(crate) fn drive(self) -> impl Future<Output = ()> + Send {
        let Self { writer, executor, mut context, steps, .. } = self;
        let Self { scope, runner, host, limits, ends, released, waiter, .. } = self;
        let (queue, events) = EventQueue::new(scope.clone(), limits.queue);
        context.steps = Some(Arc::new(Steps::new(queue.clone(), steps, &limits)));
        let time = ends.clone();
        // Boxed, as it is handed from one future to the next, which would all have room for it.
        let recorder = Box::new(Recorder {
            writer,
            tail: None,
            events,
            scope,
            runner,
            host,
            next_heartbeat: now() + limits.lease / 3,
            limits,
            ends,
            waiter,
        });
        // Late from the start, such as an orphan past its client's deadline: it only ends.
        let is_late = time.over().is_some();
        let work = async move {
            let work = work(executor, context, queue);
            if is_late { std::future::pending().await } else { work.await }
        };
        drive(work, recorder, time, released)
    }
}

/// The executor's work beside the recording of what it says.
async fn drive(
    work: impl Future<Output = ()>,
    recorder: Box<Recorder>,
    time: Ends,
    released: Arc<AtomicUsize>,
) {
    let (end, mut recorder) = {
        let mut work = pin!(work);
        // An executor that never pauses uses up what the runtime grants this task at a time; its
        // end, its lease and a cancel come all the same.
        match select(work.as_mut(), pin!(unconstrained(recorder.record()))).await {
            Either::Left(((), recording)) => recording.await,
            Either::Right((ended, _)) => {
                if ended.0 == End::Outcome && time.over().is_none() {
                    finish(work, &time).await;
                }
                ended
            }
        }
    };
    // Here the executor is dropped: it is fenced off from the run that took the task over.
    match end {
        End::Outcome => {}
        End::Stopped => {
            let Recorder { waiter, writer, .. } = &mut *recorder;
            Box::pin(waiter.follow_to_answer(writer, &time)).await;
        }
        End::Released => _ = released.fetch_add(1, Ordering::Relaxed),
    }
}

/// Its task has its outcome and its queue is closed, but what an agent does after its last word is
/// its own.
async fn finish(work: impl Future<Output = ()>, time: &Ends) {
    if time.bound(work).await.is_none() {
        tracing::warn!("an executor went on after its task's end until its time was up");
    }
}

/// Runs the executor; a panic is one more way to fail.
async fn work(executor: Arc<dyn AgentExecutor>, context: RequestContext, queue: EventQueue) {
    let last = queue.clone();
    let run = AssertUnwindSafe(async move { executor.execute(context, queue).await });
    let outcome = run.catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(AgentError::new(FAILED).with_source(format!("the executor panicked: {text}")))
    });
    last.returned(outcome).await;
}

const FAILED: &str = "The agent failed because of an internal error.";
