//! Executors that never pause: what ends a run, keeps its lease and cancels it comes all the same.
//!
//! Under the real clock, since a paused one stands still while anything is busy.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    AgentError, Call, Caller, DefaultRequestHandler, EventQueue, Limits, MemoryStore,
    RequestContext, TaskState, TaskStore,
    task::{Entry, TaskKey},
};
use tokio::time::{Instant, sleep, timeout};

use crate::world::*;

const RUN_TIME: Duration = Duration::from_millis(400);

/// An agent that is always busy, and yields only when the runtime makes it.
fn busy(store: &Arc<MemoryStore>) -> DefaultRequestHandler {
    let agent = |_: RequestContext, queue: EventQueue| async move {
        queue.working("busy").await?;
        loop {
            tokio::task::consume_budget().await;
        }
        #[allow(unreachable_code, reason = "it names the closure's type")]
        Ok::<_, AgentError>(())
    };
    let mut limits = Limits::default();
    (limits.run_time, limits.lease) = (RUN_TIME, RUN_TIME / 4);
    limits.deadline_margin = Duration::ZERO;
    handler_on(Arc::clone(store) as _, Agent(agent)).with_limits(limits)
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(RUN_TIME * 20, future).await.expect("it is starved")
}

fn call() -> Call {
    Call::SendMessage(say("go"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_deadline_its_lease_and_its_hosts_end_come() {
    let store = Arc::<MemoryStore>::default();
    let handler = busy(&store);
    let sent = handler.clone();
    let sent = tokio::spawn(async move { sent.call(keyed("k"), call()).await });
    let task = sent_task(soon(sent).await.unwrap().unwrap());
    assert_eq!(task.status.state, TaskState::Failed);
    let key = TaskKey { tenant: "".into(), id: task.id };
    let journal = store.read(&key, 0).await.unwrap().unwrap();
    let entries = journal.slots.iter().flat_map(|slot| slot.entries.iter());
    let beats = entries.filter(|entry| matches!(entry, Entry::Heartbeat(_))).count();
    assert!(beats >= 3, "{beats} heartbeats");

    let cut = Some((Instant::now() + RUN_TIME / 4).into_std());
    let sent =
        tokio::spawn(async move { handler.call(Caller { cut, ..keyed("l") }, call()).await });
    assert!(soon(sent).await.unwrap().unwrap_err().is_retriable());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_cancel_comes() {
    let handler = busy(&Arc::default());
    let sent = handler.clone();
    let sent = tokio::spawn(async move { sent.call(keyed("k"), call()).await });
    sleep(RUN_TIME / 4).await;
    let id = keyed("k").key.unwrap().id("task");
    soon(handler.call(Caller::default(), cancel(&id))).await.unwrap();
    let task = sent_task(soon(sent).await.unwrap().unwrap());
    assert_eq!(task.status.state, TaskState::Canceled);
}
