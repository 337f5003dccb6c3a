//! A redelivery of a request that is being worked on, by whatever process: it joins the run, and each
//! delivery is answered as it asked. Only work whose runner is gone is begun again.

use std::{sync::Arc, time::Duration};

use a2a_core::{Call, Caller, DefaultRequestHandler, Limits, Reply, TaskState};
use tokio::time::Instant;

use crate::{
    delivery::{attempts, died},
    world::*,
};

/// A living run is joined by whatever redelivers its message, and answers each as it asked.
#[tokio::test(start_paused = true)]
async fn a_redelivery_joins_a_living_run() {
    let world = World::new();
    let story = "working hm\ngate\ncomplete done";
    let first = world.spawn(keyed("k"), say(story));
    world.script.begun.passed().await;
    yields().await;
    let other = DefaultRequestHandler::new(
        card(),
        Arc::clone(&world.script) as _,
        Arc::clone(&world.store) as _,
    );
    let call = |call| soon_on(&other, call);
    let created = Call::SendMessage(at_once(say(story)));
    assert_eq!(sent_task(call(created).await).status.state, TaskState::Submitted, "at once");
    let stream = events(call(Call::SendStreamingMessage(say(story))).await);
    let stream = tokio::spawn(all(stream));
    let settled = tokio::spawn({
        let other = other.clone();
        async move { other.call(keyed("k"), Call::SendMessage(say(story))).await }
    });
    // One that is cut meanwhile leaves no trace.
    let cut = Some((Instant::now() + Duration::from_secs(9)).into_std());
    let impatient = Caller { cut, ..keyed("k") };
    let impatient = call_on(&other, impatient, Call::SendMessage(say(story))).await;
    assert!(impatient.unwrap_err().is_retriable());
    tokio::time::sleep(Limits::default().lease * 3).await;
    assert_eq!((world.script.runs(), world.script.over()), (1, 0));
    world.script.gate.open();
    let first = sent_task(soon(first).await.unwrap().unwrap());
    assert_eq!(sent_task(soon(settled).await.unwrap().unwrap()), first);
    let told = told_all(&soon(stream).await.unwrap());
    assert_eq!(told, ["task submitted", "working hm", "completed done"]);
    assert_eq!((attempts(&world, &first.id).await, other.released()), (vec![1], 0));
}

async fn soon_on(handler: &DefaultRequestHandler, call: Call) -> Reply {
    call_on(handler, keyed("k"), call).await.unwrap()
}

/// A record is done when its work is, also where its answer was given at once: so a redelivery of it
/// looks after work whose runner died.
#[tokio::test(start_paused = true)]
async fn a_redelivery_that_is_answered_at_once_sees_the_work_to_its_end() {
    let world = World::new();
    let story = "working hm\ngate\ncomplete done";
    died(&world, keyed("k"), say(story));
    let cut = Some((Instant::now() + Duration::from_secs(50)).into_std());
    for (at_least_once, cut, released, runs) in
        [(false, None, 0, 1), (true, cut, 1, 2), (true, None, 0, 3)]
    {
        let invocation = world.handler.invocation();
        let caller = Caller { at_least_once, cut, ..keyed("k") };
        let call = Call::SendMessage(at_once(say(story)));
        let task = sent_task(call_on(&invocation, caller, call).await.unwrap());
        assert_eq!(task.status.state, TaskState::Submitted);
        if runs == 3 {
            world.script.gate.open();
        }
        soon(invocation.settled()).await;
        assert_eq!((invocation.released() > 0, world.script.runs()), (released > 0, runs));
    }
    let id = keyed("k").key.unwrap().id("task");
    assert_eq!(world.get(&id).await.status.state, TaskState::Completed);
}
