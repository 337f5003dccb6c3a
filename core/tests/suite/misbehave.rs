//! Agents that do what they should not. Whatever one does, its task ends `failed` with a sentence
//! that tells nothing private, every other task is as it was, and every waiter has an answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use a2a_core::{
    AgentError, AgentExecutor, Artifact, Call, Caller, DefaultRequestHandler, ErrorKind,
    EventQueue, Limits, MemoryStore, Metadata, Part, RequestContext, Stopped, Task, TaskState,
    TaskStore,
};
use futures_util::future::BoxFuture;

use crate::world::*;

const SECRET: &str = "hunter2";

type Outcome = Result<(), AgentError>;

/// The misdeed is told by the message's text; `fine` is an agent that behaves.
fn misdeed(context: RequestContext, queue: EventQueue) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let text = context.text();
        let (deed, before) = match text.strip_prefix("after events ") {
            Some(deed) => (deed, true),
            None => (&*text, false),
        };
        if before {
            queue.working("at it").await?;
            queue.append("a", "some").await?;
            yields().await;
        }
        commit(deed, queue).await
    })
}

async fn commit(deed: &str, queue: EventQueue) -> Outcome {
    match deed {
        "fine" => queue.complete("fine").await?,
        "panic" => panic!("hunter2"),
        "panic with a String" => panic!("{SECRET}"),
        "panic with a number" => std::panic::panic_any(7_u8),
        "error" => return Err(AgentError::new("No disk.").with_source(SECRET)),
        "foreign error" => {
            Err::<(), _>(AgentError::new("Why.").with_source(std::io::Error::other(SECRET)))?
        }
        "nothing" => {}
        "large event" => queue.complete(SECRET.repeat(100)).await?,
        "large artifact" => {
            queue.artifact(Artifact::new("a", vec![Part::text(SECRET.repeat(100))])).await?;
        }
        "large metadata" => {
            let metadata = Metadata::new(&serde_json::json!({ SECRET: SECRET.repeat(100) })).ok();
            let artifact = Artifact { metadata, ..Artifact::new("a", vec![Part::text("x")]) };
            queue.artifact(artifact).await?;
            queue.complete(()).await?;
        }
        "large name" => {
            let artifact = Artifact::new("a", vec![Part::text("x")]).named(SECRET.repeat(100));
            queue.artifact(artifact).await?;
            queue.complete(()).await?;
        }
        "long artifact id" => queue.append("i".repeat(1_025), "x").await?,
        "no parts" => queue.artifact(Artifact::new(SECRET, vec![])).await?,
        "no appended parts" => queue.append(SECRET, ()).await?,
        "no artifact id" => queue.append("", "x").await?,
        "empty reply" => queue.reply(()).await?,
        "leak" => {
            tokio::spawn(async move {
                yields().await;
                let _ = queue.complete(SECRET).await;
            });
        }
        "stopped by itself" => return Err(Stopped.into()),
        other => panic!("no misdeed {other:?}"),
    }
    Ok(())
}

const INTERNAL: &str = "The agent failed because of an internal error.";
const NOT_VALID: &str = "The agent's answer was not valid.";
const LARGE: &str = "The agent's answer was too large: an event of ";
const NO_OUTCOME: &str = "The agent stopped without an outcome.";

const MISDEEDS: &[(&str, &str)] = &[
    ("panic", INTERNAL),
    ("panic with a String", INTERNAL),
    ("panic with a number", INTERNAL),
    ("error", "No disk."),
    ("foreign error", "Why."),
    ("nothing", NO_OUTCOME),
    ("large event", LARGE),
    ("large artifact", LARGE),
    ("large metadata", LARGE),
    ("large name", LARGE),
    ("long artifact id", "The agent's answer was too large: an artifact's id of 1025 bytes, and"),
    ("no parts", NOT_VALID),
    ("no appended parts", NOT_VALID),
    ("no artifact id", NOT_VALID),
    ("empty reply", NOT_VALID),
    ("leak", NO_OUTCOME),
    ("stopped by itself", NO_OUTCOME),
];

fn limited(
    executor: impl AgentExecutor,
    change: impl FnOnce(&mut Limits),
) -> DefaultRequestHandler {
    let mut limits = Limits::default();
    limits.entry = 500;
    change(&mut limits);
    handler_on(Arc::<MemoryStore>::default(), executor).with_limits(limits)
}

async fn send(handler: &DefaultRequestHandler, text: &str) -> Task {
    let call = Call::SendMessage(say(text));
    sent_task(call_on(handler, Caller::default(), call).await.unwrap())
}

fn assert_failed(task: &Task, sentence: &str) {
    assert_eq!(task.status.state, TaskState::Failed, "{task:?}");
    let told = status_text(task);
    // How large it was is told behind it.
    assert!(told.starts_with(sentence), "{told}");
    assert!(!format!("{task:?}").contains(SECRET), "{task:?}");
}

/// The panics of these tests are expected; their messages would only bury real ones.
fn quietly() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let expected = payload.downcast_ref::<&str>().is_some_and(|text| *text == SECRET)
                || payload.downcast_ref::<String>().is_some_and(|text| text == SECRET)
                || payload.is::<u8>();
            if !expected {
                loud(info);
            }
        }));
    });
}

#[tokio::test(start_paused = true)]
async fn every_misdeed_fails_its_task() {
    quietly();
    let handler = limited(Agent(misdeed), |_| {});
    for (deed, sentence) in MISDEEDS {
        let task = send(&handler, deed).await;
        assert_failed(&task, sentence);
        yields().await;
        assert_eq!(get_on(&handler, &task.id).await, task, "{deed}: nothing follows the end");
    }
    assert_eq!(send(&handler, "fine").await.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn every_misdeed_after_events_fails_its_task_and_keeps_them() {
    quietly();
    let handler = limited(Agent(misdeed), |_| {});
    for (deed, sentence) in MISDEEDS {
        let task = send(&handler, &format!("after events {deed}")).await;
        assert_failed(&task, sentence);
        assert_eq!(history(&task)[1], "at it", "{deed}");
        assert_eq!(parts_text(&task.artifacts[0].parts), "some", "{deed}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_misdeed_fails_a_continued_task() {
    quietly();
    let executor =
        Agent(|context: RequestContext, queue: EventQueue| -> BoxFuture<'static, Outcome> {
            match context.task() {
                None => Box::pin(async move { Ok(queue.require_input("what?").await?) }),
                Some(_) => misdeed(context, queue),
            }
        });
    let handler = limited(executor, |_| {});
    for (deed, sentence) in MISDEEDS {
        let asked = send(&handler, "anything").await;
        let call = Call::SendMessage(say_to(&asked.id, deed));
        let task = sent_task(call_on(&handler, Caller::default(), call).await.unwrap());
        assert_failed(&task, sentence);
        assert_eq!(history(&task), ["anything", "what?", deed]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_misdeed_ends_a_stream_with_the_failure() {
    quietly();
    let handler = limited(Agent(misdeed), |_| {});
    for (deed, sentence) in MISDEEDS {
        let call = Call::SendStreamingMessage(say(deed));
        let events = all(events(call_on(&handler, Caller::default(), call).await.unwrap())).await;
        let told_last = told(events.last().unwrap());
        assert!(told_last.starts_with(&format!("failed {sentence}")), "{deed}: {told_last}");
        assert_eq!(told(&events[0]), "task submitted", "{deed}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_tasks_are_untouched() {
    quietly();
    let world = World::new();
    let running = world.at_work("working\ngate\ncomplete done").await;
    let asked = world.send(say("ask what?")).await;
    let store: Arc<dyn TaskStore> = Arc::clone(&world.store) as _;
    let mut limits = Limits::default();
    limits.entry = 500;
    let handler = handler_on(store, Agent(misdeed)).with_limits(limits);
    for (deed, _) in MISDEEDS {
        send(&handler, deed).await;
    }
    let working = world.get(&running.id).await;
    assert_eq!((working.status.state, working.history.len()), (TaskState::Working, 1));
    assert_eq!(world.get(&asked.id).await, asked);
    world.script.gate.open();
    soon(world.handler.settled()).await;
    assert_eq!(world.get(&running.id).await.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_end_but_the_agent_may_finish() {
    for end in ["complete", "fail", "ask"] {
        let finished = Arc::new(AtomicUsize::new(0));
        let done = Arc::clone(&finished);
        let handler = limited(
            Agent(move |_, queue: EventQueue| {
                let done = Arc::clone(&done);
                async move {
                    match end {
                        "complete" => queue.complete("the end").await?,
                        "fail" => queue.fail("the end").await?,
                        _ => queue.require_input("the end").await?,
                    }
                    yields().await;
                    assert_eq!(queue.working("more").await, Err(Stopped));
                    assert_eq!(queue.append("a", "more").await, Err(Stopped));
                    assert_eq!(queue.complete("again").await, Err(Stopped));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    done.fetch_add(1, Ordering::SeqCst);
                    queue.working("more").await?;
                    Ok(())
                }
            }),
            |_| {},
        );
        let task = send(&handler, "x").await;
        assert_eq!(status_text(&task), "the end");
        assert_eq!(finished.load(Ordering::SeqCst), 0, "the answer does not wait for it");
        soon(handler.settled()).await;
        assert_eq!(finished.load(Ordering::SeqCst), 1, "{end}");
        assert_eq!(get_on(&handler, &task.id).await, task);
    }
}

#[tokio::test(start_paused = true)]
async fn events_right_behind_the_end_are_dropped() {
    let handler = limited(
        Agent(|_, queue: EventQueue| async move {
            // All of them wait in the queue before the loop looks at the first.
            queue.complete("the end").await?;
            queue.working("more").await?;
            queue.fail("worse").await?;
            Ok(())
        }),
        |_| {},
    );
    let task = send(&handler, "x").await;
    assert_eq!((task.status.state, history(&task)), (TaskState::Completed, vec!["x".to_owned()]));
    soon(handler.settled()).await;
    assert_eq!(get_on(&handler, &task.id).await, task);
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_the_end_changes_nothing() {
    quietly();
    let handler = limited(
        Agent(|_, queue: EventQueue| async move {
            queue.complete("the end").await?;
            yields().await;
            panic!("hunter2")
        }),
        |_| {},
    );
    let task = send(&handler, "x").await;
    assert_eq!(task.status.state, TaskState::Completed);
    soon(handler.settled()).await;
    assert_eq!(get_on(&handler, &task.id).await, task);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_time_limit() {
    let handler = limited(Agent(|_, _| std::future::pending()), |limits| {
        limits.run_time = Duration::from_secs(30);
    });
    let begun = tokio::time::Instant::now();
    assert_failed(&send(&handler, "x").await, "The agent ran out of time.");
    let took = begun.elapsed();
    assert!((29..=31).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_before_the_callers_deadline() {
    let handler = limited(Agent(|_, _| std::future::pending()), |_| {});
    let deadline = Some(Instant::now() + Duration::from_secs(30));
    let caller = Caller { deadline, ..Caller::default() };
    let begun = tokio::time::Instant::now();
    let reply = call_on(&handler, caller, Call::SendMessage(say("x"))).await;
    assert_failed(&sent_task(reply.unwrap()), "The agent ran out of time.");
    let took = begun.elapsed();
    assert!((27..=28).contains(&took.as_secs()), "a margin before: {took:?}");
}

#[tokio::test]
async fn a_deadline_that_has_passed_fails_the_task_and_no_more() {
    for run_time in [Duration::from_secs(10), Duration::from_millis(1), Duration::ZERO] {
        let handler =
            limited(Agent(|_, _| std::future::pending()), |limits| limits.run_time = run_time);
        let caller = Caller { deadline: Some(Instant::now()), ..Caller::default() };
        let reply = call_on(&handler, caller, Call::SendMessage(say("x"))).await;
        assert_failed(&sent_task(reply.unwrap()), "The agent ran out of time.");
    }
}

#[tokio::test]
async fn unbounded_run_time_is_allowed() {
    let handler = limited(Agent(misdeed), |limits| limits.run_time = Duration::MAX);
    assert_eq!(send(&handler, "fine").await.status.state, TaskState::Completed);
}

/// The agent that cannot be quiet, minding and not minding that it was stopped. In real time, as it
/// never sleeps; and in a thread of its own, since it would take the test's with it.
#[test]
fn endless_talk_ends_at_the_time_limit() {
    for minds in [true, false] {
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(endless_talk(minds));
            ended.send(()).unwrap();
        });
        assert_eq!(end.recv_timeout(Duration::from_secs(10)), Ok(()), "minds: {minds}");
    }
}

async fn endless_talk(minds: bool) {
    let handler = limited(
        Agent(move |_, queue: EventQueue| async move {
            loop {
                let told = queue.working("and another thing").await;
                if minds {
                    told?;
                }
            }
        }),
        |limits| limits.run_time = Duration::from_millis(20),
    );
    let task = send(&handler, "x").await;
    assert_failed(&task, "The agent ran out of time.");
    assert!(task.history.len() > 1);
    soon(handler.settled()).await;
    assert_eq!(get_on(&handler, &task.id).await.history.len(), task.history.len());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_changes_nothing() {
    for streaming in [false, true] {
        let world = World::new();
        let request = say("working\ngate\nartifact a one\ncomplete done");
        let call = match streaming {
            true => Call::SendStreamingMessage(request),
            false => Call::SendMessage(request),
        };
        let handler = world.handler.clone();
        let caller = tokio::spawn(async move {
            let reply = handler.call(Caller::default(), call).await;
            // A stream's reader is dropped together with the reply.
            std::future::pending::<()>().await;
            drop(reply);
        });
        world.script.begun.passed().await;
        yields().await;
        caller.abort();
        yields().await;
        assert_eq!(world.script.over(), 0, "the run goes on");
        world.script.gate.open();
        soon(world.handler.settled()).await;
        let id = world.script.context(0).task_id().to_owned();
        let task = world.get(&id).await;
        assert_eq!(
            (task.status.state, status_text(&task)),
            (TaskState::Completed, "done".to_owned())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn settled_waits_for_this_invocation_only() {
    let world = World::new();
    world.at_work("gate\ncomplete").await;
    let invocation = world.handler.invocation();
    let done = call_on(&invocation, Caller::default(), Call::SendMessage(at_once(say("complete"))));
    done.await.unwrap();
    soon(invocation.settled()).await;
    assert_eq!((world.script.runs(), world.script.over()), (2, 1));
    let waits = tokio::time::timeout(Duration::from_secs(5), world.handler.settled()).await;
    assert!(waits.is_err(), "the other run is still at work");
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_that_misbehaves_is_no_matter() {
    quietly();
    struct Worse(&'static str);
    #[a2a_core::async_trait]
    impl AgentExecutor for Worse {
        async fn execute(&self, _: RequestContext, queue: EventQueue) -> Outcome {
            Ok(queue.require_input("what?").await?)
        }

        async fn cancel(&self, _: RequestContext) -> Outcome {
            match self.0 {
                "panic" => panic!("hunter2"),
                "hang" => std::future::pending().await,
                _ => Err(AgentError::new(SECRET)),
            }
        }
    }
    for deed in ["panic", "hang", "error"] {
        let handler = handler_on(Arc::<MemoryStore>::default(), Worse(deed));
        let id = send(&handler, "x").await.id;
        let canceled = call_on(&handler, Caller::default(), cancel(&id)).await.unwrap();
        assert_eq!(task_of(canceled).status.state, TaskState::Canceled, "{deed}");
        let again = call_on(&handler, Caller::default(), cancel(&id)).await;
        assert_eq!(kind(again), ErrorKind::TaskNotCancelable);
    }
}
