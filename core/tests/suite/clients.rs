//! Clients of a [`simulation`](crate::simulation): impatient, forgetful, and sent to any instance.
//!
//! They note what they are told; whether that was true is the [`verdict`](crate::verdict)'s.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    Call, Caller, Error, ErrorKind, Events, IdempotencyKey, ListTasksRequest, Message, Part, Reply,
    SendMessageRequest, SendMessageResponse, StreamResponse, Task, TaskState, TaskStore,
    task::TaskKey,
};
use futures_util::StreamExt;

use crate::{
    chaos_store::Dice,
    simulation::{Instance, Sim},
    verdict::{Heard, Said},
    world::{at_once, cancel, get, say, subscribe},
};

/// What comes of a call: nothing, where the instance died or the client timed out.
type Answer = Option<Result<Reply, Error>>;

/// A few errands, one after the other.
pub(crate) async fn client(sim: Arc<Sim>, mut dice: Dice) {
    for _ in 0..2 + dice.below(4) {
        tokio::time::sleep(dice.millis(2_500)).await;
        match dice.below(100) {
            0..25 => send(&sim, &mut dice, None).await,
            25..50 => insist(&sim, &mut dice).await,
            50..60 => both(&sim, &mut dice).await,
            60..75 => stop(&sim, &mut dice).await,
            75..90 => look(&sim, &mut dice).await,
            _ => list(&sim, &mut dice).await,
        }
    }
}

async fn call(sim: &Sim, dice: &mut Dice, caller: Caller, call: Call) -> (Arc<Instance>, Answer) {
    let instance = sim.any(dice);
    let timeout = match dice.below(10) {
        0 => dice.millis(500),
        1 => dice.millis(5_000),
        _ => Duration::from_secs(60),
    };
    let heard = tokio::select! {
        biased;
        () = instance.dead.cancelled() => None,
        () = tokio::time::sleep(timeout) => None,
        reply = instance.handler.call(caller, call) => Some(reply),
    };
    if let Some(Err(error)) = &heard
        && error.kind() == ErrorKind::Internal
    {
        sim.record().wrong.push(format!("an internal error: {error:?}"));
    }
    if heard.is_none() {
        // Time passes between two calls to a dead instance.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (instance, heard)
}

/// What an agent is to do.
fn story(sim: &Sim, dice: &mut Dice) -> String {
    let mut words = Vec::new();
    for _ in 0..dice.below(6) {
        if sim.has_step(dice) {
            words.push("step".to_owned());
        }
        words.push(match dice.below(10) {
            0..2 => "work".to_owned(),
            2 => "make".to_owned(),
            3..7 => "more".to_owned(),
            7 if dice.percent(20) => "auth".to_owned(),
            7 => dice.below(6_000).to_string(),
            _ => dice.below(60).to_string(),
        });
    }
    words
        .push((*dice.pick(&["complete", "complete", "complete", "ask", "ask", "fail"])).to_owned());
    if dice.percent(8) {
        words = vec![dice.below(900).to_string(), "reply".to_owned()];
    }
    words.join(" ")
}

/// A new task, or the next message to one that may be waiting for it.
fn request(sim: &Sim, dice: &mut Dice) -> SendMessageRequest {
    let mut request = say(&story(sim, dice));
    let parts = vec![Part::text(request.message.text())];
    request.message = Message::user(&*sim.message_id(), parts);
    let known = sim.known.lock().unwrap();
    if !known.is_empty() && dice.percent(35) {
        request.message.task_id = Some(Arc::clone(dice.pick(&known)));
    }
    request
}

/// Each delivery may ask for another kind of answer.
fn delivery(dice: &mut Dice, request: &SendMessageRequest) -> (Call, bool) {
    match dice.below(10) {
        0..5 => (Call::SendMessage(request.clone()), true),
        5..7 => (Call::SendMessage(at_once(request.clone())), false),
        _ => (Call::SendStreamingMessage(request.clone()), false),
    }
}

async fn send(sim: &Sim, dice: &mut Dice, key: Option<IdempotencyKey>) {
    let request = request(sim, dice);
    _ = deliver(sim, dice, &request, key).await;
}

/// Retries the same request until there is an answer that is one.
async fn insist(sim: &Sim, dice: &mut Dice) {
    let (request, key) = (request(sim, dice), key(sim, dice));
    retry(sim, dice, &request, &key).await;
    // And once more, when it has long been answered.
    if dice.percent(50) {
        tokio::time::sleep(dice.millis(3_000)).await;
        retry(sim, dice, &request, &key).await;
    }
}

/// Two deliveries at once.
async fn both(sim: &Sim, dice: &mut Dice) {
    let (request, key) = (request(sim, dice), key(sim, dice));
    let (mut one, mut other) = (Dice::new(dice.roll()), Dice::new(dice.roll()));
    tokio::join!(retry(sim, &mut one, &request, &key), retry(sim, &mut other, &request, &key));
}

fn key(sim: &Sim, dice: &mut Dice) -> IdempotencyKey {
    let name = format!("key of {}", sim.message_id());
    match dice.percent(50) {
        true => IdempotencyKey::new(name),
        false => IdempotencyKey::of_caller("script", "", &name).unwrap(),
    }
}

async fn retry(sim: &Sim, dice: &mut Dice, request: &SendMessageRequest, key: &IdempotencyKey) {
    while !deliver(sim, dice, request, Some(key.clone())).await {
        tokio::time::sleep(dice.millis(1_500)).await;
    }
}

/// Sends once. Answers whether that settles it.
async fn deliver(
    sim: &Sim,
    dice: &mut Dice,
    request: &SendMessageRequest,
    key: Option<IdempotencyKey>,
) -> bool {
    let (delivery, blocking) = delivery(dice, request);
    let caller = Caller { key: key.clone(), cut: sim.cut(dice), ..Caller::default() };
    let (instance, heard) = call(sim, dice, caller, delivery).await;
    match heard {
        None => false,
        Some(Err(error)) => match error.kind() {
            ErrorKind::Unavailable => false,
            // The task has ended, which the client could not know.
            ErrorKind::UnsupportedOperation if request.message.task_id.is_some() => true,
            _ => {
                sim.record().wrong.push(format!("a send: {error:?}"));
                true
            }
        },
        Some(Ok(Reply::Events(events))) => {
            let heard = Heard::default();
            let (heard, over) = follow(dice, &instance, events, heard).await;
            if let Some(id) = &heard.id {
                know(sim, id);
            }
            let over = over || heard.id.is_some() && resume(sim, dice, heard.clone()).await;
            sim.record().heard.push(heard);
            over
        }
        Some(Ok(Reply::Sent(sent))) => {
            if let SendMessageResponse::Task(task) = &sent {
                know(sim, &task.id);
                say_it(sim, if blocking { "a blocking send" } else { "a send" }, task);
                let state = task.status.state;
                if blocking && !state.is_terminal() && !state.is_interrupted() {
                    sim.record().wrong.push(format!("a blocking send told of {state:?}"));
                }
            }
            if let (Some(key), true) = (key, blocking) {
                let name = key.as_str().to_string();
                sim.record().replies.entry(name).or_default().push(sent);
            }
            true
        }
        Some(Ok(other)) => panic!("not an answer to a send: {other:?}"),
    }
}

fn know(sim: &Sim, id: &Arc<str>) {
    let mut known = sim.known.lock().unwrap();
    if !known.contains(id) {
        known.push(Arc::clone(id));
    }
}

fn say_it(sim: &Sim, what: &'static str, task: &Task) {
    let said = Said { what, task: task.clone(), between: None };
    sim.record().said.push(said);
}

fn one_known(sim: &Sim, dice: &mut Dice) -> Option<Arc<str>> {
    let known = sim.known.lock().unwrap();
    (!known.is_empty()).then(|| Arc::clone(dice.pick(&known)))
}

/// How many slots a journal really has.
async fn version(sim: &Sim, id: &Arc<str>) -> u64 {
    let key = TaskKey { tenant: "".into(), id: Arc::clone(id) };
    let journal = sim.chaos.kept.read(&key, 0).await.unwrap();
    journal.map_or(0, |journal| journal.slots.len() as u64)
}

async fn stop(sim: &Sim, dice: &mut Dice) {
    let Some(id) = one_known(sim, dice) else { return };
    match call(sim, dice, Caller::default(), cancel(&id)).await.1 {
        Some(Ok(Reply::Task(task))) => {
            if task.status.state != TaskState::Canceled {
                sim.record().wrong.push(format!("canceled, and told of {:?}", task.status.state));
            }
            say_it(sim, "a cancel", &task);
            sim.record().canceled.push(id);
        }
        Some(Err(error)) if error.kind() == ErrorKind::TaskNotCancelable => {
            sim.record().ended.push(id);
        }
        heard => unavailable(sim, "a cancel", heard),
    }
}

fn unavailable(sim: &Sim, what: &str, heard: Answer) {
    match heard {
        None => {}
        Some(Err(error)) if error.kind() == ErrorKind::Unavailable => {}
        Some(other) => sim.record().wrong.push(format!("{what}: {other:?}")),
    }
}

async fn look(sim: &Sim, dice: &mut Dice) {
    let Some(id) = one_known(sim, dice) else { return };
    let from = version(sim, &id).await;
    match call(sim, dice, Caller::default(), get(&id)).await.1 {
        Some(Ok(Reply::Task(task))) => {
            let between = Some((from, version(sim, &id).await));
            let said = Said { what: "a get", task: *task, between };
            sim.record().said.push(said);
        }
        heard => unavailable(sim, "a get", heard),
    }
}

async fn list(sim: &Sim, dice: &mut Dice) {
    let request = ListTasksRequest {
        include_artifacts: true,
        page_size: Some(100),
        ..ListTasksRequest::default()
    };
    let mut known = Vec::new();
    let ids = sim.known.lock().unwrap().clone();
    for id in ids {
        known.push((version(sim, &id).await, id));
    }
    match call(sim, dice, Caller::default(), Call::ListTasks(request)).await.1 {
        Some(Ok(Reply::Tasks(page))) => {
            for (_, id) in &known {
                if !page.tasks.iter().any(|task| task.id == *id) {
                    sim.record().wrong.push(format!("{id} is not in a list"));
                }
            }
            for task in page.tasks {
                let from = known.iter().find(|(_, id)| *id == task.id).map_or(1, |known| known.0);
                let between = Some((from, version(sim, &task.id).await));
                sim.record().said.push(Said { what: "a list", task, between });
            }
        }
        heard => unavailable(sim, "a list", heard),
    }
}

/// Reads a stream until it ends, breaks, or the reader drops it. Answers whether its last event came.
async fn follow(
    dice: &mut Dice,
    instance: &Instance,
    mut events: Events,
    mut heard: Heard,
) -> (Heard, bool) {
    let mut left = dice.percent(50).then(|| dice.below(4));
    loop {
        let patience = heard.patience + dice.millis(9_000);
        let event = tokio::select! {
            biased;
            () = instance.dead.cancelled() => return (heard, false),
            () = tokio::time::sleep(patience) => return (heard, false),
            event = events.0.next() => event,
        };
        let Some(Ok(event)) = event else { return (heard, false) };
        let last = event.last;
        if let StreamResponse::Task(task) = &event.response {
            heard.id = Some(Arc::clone(&task.id));
        }
        heard.events.push(event);
        if last {
            return (heard, true);
        }
        match &mut left {
            Some(0) => return (heard, false),
            Some(left) => *left -= 1,
            None => {}
        }
    }
}

/// Comes back to a stream that broke, now and then. It is checked with what came before.
async fn resume(sim: &Sim, dice: &mut Dice, mut heard: Heard) -> bool {
    let Some(id) = heard.id.clone() else { return false };
    let mut over = false;
    for _ in 0..dice.below(3) {
        tokio::time::sleep(dice.millis(2_000)).await;
        (heard, _, over) = come_back(sim, dice, &id, heard).await;
        if over {
            break;
        }
    }
    sim.record().heard.push(heard);
    over
}

/// Subscribes anew, from the last event on. Answers whether that came to a stream, and whether
/// there is nothing more to come.
async fn come_back(sim: &Sim, dice: &mut Dice, id: &Arc<str>, heard: Heard) -> (Heard, bool, bool) {
    let resume = heard.events.last().and_then(|event| event.cursor);
    let caller = Caller { resume, ..Caller::default() };
    let (instance, reply) = call(sim, dice, caller, subscribe(id)).await;
    match reply {
        Some(Ok(Reply::Events(events))) => {
            let (heard, over) = follow(dice, &instance, events, heard).await;
            (heard, true, over)
        }
        Some(Err(error)) if error.kind() == ErrorKind::UnsupportedOperation => {
            sim.record().ended.push(Arc::clone(id));
            (heard, true, true)
        }
        reply => {
            unavailable(sim, "a subscription", reply);
            (heard, false, false)
        }
    }
}

/// Follows one task to its end, or until everything is at rest, however often its stream breaks.
pub(crate) async fn reader(sim: Arc<Sim>, mut dice: Dice) {
    let id = loop {
        tokio::time::sleep(dice.millis(2_000)).await;
        match one_known(&sim, &mut dice) {
            Some(id) => break id,
            None if sim.rested.is_cancelled() => return,
            None => {}
        }
    };
    let mut heard = Heard { id: Some(Arc::clone(&id)), ..Heard::default() };
    while !heard.whole {
        // Who came back after everything had happened, and waited, has heard all of it.
        let rested = sim.rested.is_cancelled();
        if rested {
            heard.patience = Duration::from_secs(3);
        }
        let before = heard.events.len();
        let (followed, over);
        (heard, followed, over) = come_back(&sim, &mut dice, &id, heard).await;
        heard.whole = over || rested && followed && heard.events.len() == before;
        tokio::time::sleep(dice.millis(300)).await;
    }
    sim.record().heard.push(heard);
}
