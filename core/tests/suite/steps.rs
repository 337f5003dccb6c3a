//! Steps: what an agent has done once is not done twice, whatever becomes of its process; and nobody
//! but the agent sees them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use a2a_core::{
    AgentError, Artifact, Call, Caller, DefaultRequestHandler, ErrorKind, EventQueue, Limits,
    ListTasksRequest, MemoryStore, Part, Reply, RequestContext, SendMessageResponse, Task,
    TaskState, TaskStore,
    task::{Entry, TaskKey},
};
use futures_util::future::{join, try_join};
use tokio::time::{Instant, sleep};

use crate::{clocks::wrong_by, world::*};

/// How often each step's work was begun and done.
#[derive(Clone, Default)]
struct Effects(Arc<Mutex<BTreeMap<String, (u32, u32)>>>);

impl Effects {
    /// An effect that takes a while.
    async fn of(&self, what: impl Into<String>, time: Duration) -> Result<String, AgentError> {
        let what = what.into();
        self.0.lock().unwrap().entry(what.clone()).or_default().0 += 1;
        sleep(time).await;
        self.0.lock().unwrap().entry(what.clone()).or_default().1 += 1;
        Ok(format!("<{what}>"))
    }

    fn done(&self) -> Vec<(String, u32)> {
        self.0.lock().unwrap().iter().map(|(what, (_, done))| (what.clone(), *done)).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// One process of an agent on a store.
fn process<Work>(
    store: &Arc<MemoryStore>,
    agent: impl Fn(RequestContext, EventQueue) -> Work + Send + Sync + 'static,
) -> DefaultRequestHandler
where
    Work: Future<Output = Result<(), AgentError>> + Send,
{
    let mut limits = Limits::default();
    // Fewer than there are invocations: cuts between which steps are done do not count.
    limits.attempts = 2;
    limits.deadline_margin = SECOND / 2;
    handler_on(Arc::clone(store) as _, Agent(agent)).with_limits(limits).with_env(wrong_by(0))
}

fn cut_in(time: Duration) -> Caller {
    Caller { cut: Some((Instant::now() + time).into_std()), ..keyed("k") }
}

fn key() -> TaskKey {
    TaskKey { tenant: "".into(), id: keyed("k").key.unwrap().id("task") }
}

async fn entries(store: &MemoryStore, key: &TaskKey) -> Vec<Entry> {
    let journal = store.read(key, 0).await.unwrap().unwrap();
    journal.slots.iter().flat_map(|slot| slot.entries.iter().cloned()).collect()
}

async fn steps(store: &MemoryStore) -> Vec<String> {
    let step = |entry| match entry {
        Entry::Step(step) => Some(format!("{}={}", step.name, step.value.as_str())),
        _ => None,
    };
    entries(store, &key()).await.into_iter().filter_map(step).collect()
}

/// Invocations of that length until one answers, and how many were cut.
async fn invoke(handler: &DefaultRequestHandler, time: Duration) -> (Task, usize) {
    let mut cuts = 0;
    loop {
        match call_on(handler, cut_in(time), Call::SendMessage(say("go"))).await {
            Ok(reply) => return (sent_task(reply), cuts),
            Err(error) => assert!(error.is_retriable(), "{error}"),
        }
        soon(handler.settled()).await;
        cuts += 1;
        assert!(cuts < 10, "it never ends");
    }
}

#[tokio::test(start_paused = true)]
async fn six_steps_of_two_seconds_end_under_a_limit_of_five() {
    let (store, effects) = (Arc::<MemoryStore>::default(), Effects::default());
    let of_agent = effects.clone();
    let handler = process(&store, move |context: RequestContext, queue: EventQueue| {
        let effects = of_agent.clone();
        async move {
            let mut all = String::new();
            for step in ["a", "b", "c", "d", "e", "f"] {
                all += &context.step(step, effects.of(step, SECOND * 2)).await?;
            }
            Ok(queue.complete(all).await?)
        }
    });
    let (task, cuts) = invoke(&handler, SECOND * 5).await;
    assert_eq!((task.status.state, cuts), (TaskState::Completed, 2));
    assert_eq!(status_text(&task), "<a><b><c><d><e><f>");
    assert!(effects.done().iter().all(|(_, done)| *done == 1), "{:?}", effects.done());
    assert_eq!(effects.done().len(), 6);
    assert_eq!(history(&task), ["go"], "steps are no messages");
}

#[tokio::test(start_paused = true)]
async fn what_is_told_inside_a_step_is_told_at_once_and_by_the_next_attempt_too() {
    let (store, effects) = (Arc::<MemoryStore>::default(), Effects::default());
    let of_agent = effects.clone();
    let handler = process(&store, move |context: RequestContext, queue: EventQueue| {
        let effects = of_agent.clone();
        async move {
            queue.working("before").await?;
            let draft = async {
                for text in ["one ", "two "] {
                    queue.append("draft", text).await?;
                    effects.of(text, SECOND).await?;
                }
                context
                    .step("inner", async { Ok::<_, AgentError>(queue.working("hm").await?) })
                    .await?;
                Ok::<_, AgentError>("drafted".to_owned())
            };
            let (draft, ()) = join(context.step("draft", draft), async {
                queue.artifact(Artifact::new("beside", vec![Part::text("x")])).await.unwrap();
            })
            .await;
            queue.append("last", "begun ").await?;
            let last = context.step("last", effects.of("last", SECOND * 3)).await?;
            Ok(queue.complete(draft? + &last).await?)
        }
    });
    let call = Call::SendStreamingMessage(say("go"));
    let mut stream = events(call_on(&handler, cut_in(SECOND * 5), call).await.unwrap());
    let began = Instant::now();
    let mut heard = Vec::new();
    while began.elapsed() < SECOND {
        heard.push(told(&next(&mut stream).await));
    }
    assert!(heard.contains(&"draft one ".to_owned()), "at once: {heard:?}");
    let heard: Vec<_> = futures_util::StreamExt::collect(stream.0).await;
    assert_eq!(kind(heard.into_iter().last().unwrap()), ErrorKind::Unavailable);
    soon(handler.settled()).await;
    let (task, _) = invoke(&handler, SECOND * 5).await;
    assert_eq!(status_text(&task), "drafted<last>");
    assert_eq!(history(&task), ["go", "before", "hm"], "once each");
    let artifacts = task.artifacts.iter();
    let artifacts: Vec<_> =
        artifacts.map(|it| format!("{} {}", it.artifact_id, parts_text(&it.parts))).collect();
    assert_eq!(artifacts, ["draft one two ", "beside x", "last begun "]);
    assert!(effects.done().iter().all(|(_, done)| *done == 1), "{:?}", effects.done());
    assert_eq!(steps(&store).await, ["inner=null", "draft=\"drafted\"", "last=\"<last>\""]);
}

#[tokio::test(start_paused = true)]
async fn steps_of_one_name_are_numbered_when_they_are_called() {
    let (store, effects) = (Arc::<MemoryStore>::default(), Effects::default());
    let of_agent = effects.clone();
    let handler = process(&store, move |context: RequestContext, queue: EventQueue| {
        let effects = of_agent.clone();
        async move {
            let slow = context.step("a", effects.of("slow", SECOND * 2));
            let quick = context.step("a", effects.of("quick", SECOND));
            // Neither the order they are polled in counts, nor the one they are done in.
            let (quick, slow) = try_join(quick, slow).await?;
            let third = context.step("a#2", effects.of("third", SECOND * 4)).await?;
            Ok(queue.complete(slow + &quick + &third).await?)
        }
    });
    let began = Instant::now();
    let (task, cuts) = invoke(&handler, SECOND * 5).await;
    assert_eq!((status_text(&task), cuts), ("<slow><quick><third>".to_owned(), 1));
    // The two together took as long as the slower.
    assert_eq!(began.elapsed(), SECOND * 9 / 2 + SECOND * 4);
    let recorded = ["a#2=\"<quick>\"", "a=\"<slow>\"", "a#2#2=\"<third>\""];
    assert_eq!(steps(&store).await, recorded);
}

#[derive(Debug, thiserror::Error)]
enum Declined {
    #[error("declined")]
    Declined,
    #[error(transparent)]
    Agent(#[from] AgentError),
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_is_not_done_and_its_error_is_its_authors() {
    let store = Arc::<MemoryStore>::default();
    let handler = process(&store, |context: RequestContext, queue: EventQueue| async move {
        let paid = context.step("pay", async { Err::<u32, _>(Declined::Declined) }).await;
        let Err(Declined::Declined) = paid else { panic!("{paid:?}") };
        let paid = context.step("pay", async { Ok::<_, Declined>(7) }).await;
        let paid = paid.map_err(|error| AgentError::new(error.to_string()))?;
        Ok(queue.complete(format!("paid {paid}")).await?)
    });
    let (task, _) = invoke(&handler, SECOND * 5).await;
    assert_eq!(status_text(&task), "paid 7");
    assert_eq!(steps(&store).await, ["pay#2=7"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_fails_the_agent() {
    let mut limits = Limits::default();
    (limits.entry, limits.steps) = (1_000, 3);
    for (case, steps_done) in
        [("large", 0), ("not a number", 0), ("map", 0), ("name", 0), ("many", 3)]
    {
        let store = Arc::<MemoryStore>::default();
        let handler = process(&store, move |context: RequestContext, _| async move {
            match case {
                "large" => drop(context.step(case, ok("x".repeat(1_000))).await?),
                "not a number" => drop(context.step(case, ok(f64::NAN)).await?),
                "map" => drop(context.step(case, ok(BTreeMap::from([((1, 2), 3)]))).await?),
                "name" => context.step(&"n".repeat(257), ok(())).await?,
                _ => loop {
                    context.step(case, ok(())).await?;
                },
            }
            unreachable!()
        });
        let handler = handler.with_limits(limits.clone());
        let call = Call::SendMessage(say("go"));
        let task = sent_task(call_on(&handler, keyed("k"), call).await.unwrap());
        assert_eq!(task.status.state, TaskState::Failed, "{case}");
        assert_eq!(steps(&store).await.len(), steps_done, "{case}");
    }
}

async fn ok<T>(value: T) -> Result<T, AgentError> {
    Ok(value)
}

#[tokio::test(start_paused = true)]
async fn a_value_of_another_type_fails_the_next_attempt() {
    let store = Arc::<MemoryStore>::default();
    let before = process(&store, |context: RequestContext, _| async move {
        context.step("a", ok("text".to_owned())).await?;
        std::future::pending().await
    });
    let call = || Call::SendMessage(say("go"));
    assert!(call_on(&before, cut_in(SECOND), call()).await.is_err());
    let after = process(&store, |context: RequestContext, _| async move {
        context.step("a", ok(7)).await.map(drop)
    });
    let task = sent_task(call_on(&after, keyed("k"), call()).await.unwrap());
    assert_eq!(task.status.state, TaskState::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_step_makes_no_task_of_what_may_be_a_reply() {
    for caller in [Caller::default(), keyed("k")] {
        let store = Arc::<MemoryStore>::default();
        let handler = process(&store, |context: RequestContext, queue: EventQueue| async move {
            let text = context.step("a", ok("hi".to_owned())).await?;
            sleep(SECOND).await;
            Ok(queue.reply(text).await?)
        });
        let sent = tokio::spawn({
            let (handler, caller) = (handler.clone(), caller.clone());
            async move { handler.call(caller, Call::SendMessage(say("go"))).await }
        });
        sleep(SECOND / 2).await;
        let page = Call::ListTasks(ListTasksRequest::default());
        let Reply::Tasks(page) = call_on(&handler, Caller::default(), page).await.unwrap() else {
            panic!("not a page")
        };
        assert_eq!(page.total_size, 0);
        let reply = soon(sent).await.unwrap().unwrap();
        let Reply::Sent(SendMessageResponse::Message(reply)) = reply else { panic!("{reply:?}") };
        assert_eq!(reply.text(), "hi");
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_has_the_task_before_a_step_and_after() {
    let store = Arc::<MemoryStore>::default();
    let handler = process(&store, |context: RequestContext, queue: EventQueue| async move {
        context.step("a", ok(())).await?;
        let slow = async {
            sleep(SECOND * 20).await;
            Ok::<_, AgentError>(())
        };
        context.step("b", slow).await?;
        Ok(queue.complete("done").await?)
    });
    let call = Call::SendMessage(at_once(say("go")));
    let task = sent_task(call_on(&handler, Caller::default(), call).await.unwrap());
    assert_eq!(get_on(&handler, &task.id).await.status.state, TaskState::Submitted);
    let call = Call::SendStreamingMessage(say("go"));
    let began = Instant::now();
    let told =
        told_all(&all(events(call_on(&handler, Caller::default(), call).await.unwrap())).await);
    assert_eq!(told, ["task submitted", "submitted", "completed done"]);
    assert_eq!(began.elapsed(), SECOND * 20);
    soon(handler.settled()).await;
    assert_eq!(get_on(&handler, &task.id).await.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn each_message_has_steps_of_its_own_and_a_cancel_drops_one() {
    let (store, effects) = (Arc::<MemoryStore>::default(), Effects::default());
    let of_agent = effects.clone();
    let handler = process(&store, move |context: RequestContext, queue: EventQueue| {
        let effects = of_agent.clone();
        async move {
            context.step("a", effects.of(context.text(), SECOND)).await?;
            Ok(queue.require_input("more").await?)
        }
    });
    let (task, _) = invoke(&handler, SECOND * 5).await;
    let call = Call::SendMessage(say_to(&task.id, "again"));
    call_on(&handler, Caller::default(), call).await.unwrap();
    assert_eq!(effects.done(), [("again".to_owned(), 1), ("go".to_owned(), 1)]);
    let call = Call::SendMessage(at_once(say_to(&task.id, "canceled")));
    call_on(&handler, Caller::default(), call).await.unwrap();
    sleep(SECOND / 2).await;
    let canceled = call_on(&handler, Caller::default(), cancel(&task.id)).await.unwrap();
    assert_eq!(task_of(canceled).status.state, TaskState::Canceled);
    sleep(SECOND * 5).await;
    assert_eq!(effects.done()[1], ("canceled".to_owned(), 0));
    assert_eq!(steps(&store).await, ["a=\"<go>\"", "a=\"<again>\""]);
}
