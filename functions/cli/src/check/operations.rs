//! What each operation answers, and whose turn it is (sections 5 and 9).

use std::time::Duration;

use a2a_core::wire::kafka::header;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    outcome::{Checked, Outcome, held, must},
    probe::Probe,
    record::{Ask, message, message_in},
};

/// The work of `tck-delayed-complete`.
const WORK: Duration = Duration::from_secs(2);

pub(super) async fn known(probe: &Probe) -> Checked {
    held(async {
        let task = json!({ "id": "none" });
        let push = json!({ "taskId": "none", "id": "1" });
        let hook = json!({ "taskId": "none", "url": "https://example.com/" });
        for (method, params) in [
            ("SendMessage", &message("tck-complete-task")),
            ("SendStreamingMessage", &message("tck-complete-task")),
            ("GetTask", &task),
            ("ListTasks", &json!({})),
            ("CancelTask", &task),
            ("SubscribeToTask", &task),
            ("CreateTaskPushNotificationConfig", &hook),
            ("GetTaskPushNotificationConfig", &push),
            ("ListTaskPushNotificationConfigs", &json!({ "taskId": "none" })),
            ("DeleteTaskPushNotificationConfig", &push),
            ("GetExtendedAgentCard", &json!({})),
        ] {
            let answer = probe.ask(Ask::rpc(method, params)).await;
            let answer = answer.map_err(|why| format!("{method}: {why}"))?;
            let is_known = !["METHOD_NOT_FOUND", "INVALID_REQUEST"].contains(&answer.reason());
            must(is_known, || format!("{method}: {}", answer.shown()))?;
        }
        Ok(())
    })
    .await
}

fn returning(key: &str) -> Ask {
    let mut params = message("tck-delayed-complete");
    params["configuration"] = json!({ "returnImmediately": true });
    Ask::rpc("SendMessage", &params).with(header::IDEMPOTENCY_KEY, key)
}

pub(super) async fn at_once(probe: &Probe) -> Checked {
    held(async {
        let began = Instant::now();
        let answer = probe.ask(returning(&Uuid::new_v4().to_string())).await?;
        let state = &answer.task()?["status"]["state"];
        must(*state != "TASK_STATE_COMPLETED", || "the work has ended".to_owned())?;
        must(answer.at - began < WORK, || format!("after {:?}", answer.at - began))
    })
    .await
}

pub(super) async fn at_once_again(probe: &Probe) -> Checked {
    held(async {
        let asked = returning(&Uuid::new_v4().to_string());
        let first = probe.ask(asked.clone()).await?;
        let task = first.task()?["id"].clone();
        ended(probe, &task).await?;
        let second = probe.ask(asked.anew()).await?;
        must(second.value == first.value, || {
            format!("first {}, then {}", first.shown(), second.shown())
        })
    })
    .await
}

/// Waits until a task has ended.
async fn ended(probe: &Probe, task: &Value) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let got = probe.ask(Ask::rpc("GetTask", &json!({ "id": task }))).await?;
        if got.task()?["status"]["state"] == "TASK_STATE_COMPLETED" {
            return Ok(());
        }
        must(began.elapsed() < 5 * WORK, || format!("it goes on: {}", got.shown()))?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(super) async fn lanes(probe: &Probe) -> Checked {
    held(async {
        let context = Uuid::new_v4().to_string();
        let of = |trigger| Ask::rpc("SendMessage", &message_in(trigger, &context)).to(0);
        let (slow, quick) = (of("tck-delayed-complete"), of("tck-complete-task"));
        probe.send(&slow).await?;
        probe.send(&quick).await?;
        let (slow, quick) = (probe.answer(&slow, 0).await?, probe.answer(&quick, 0).await?);
        let ended = |task: &Value| task["status"]["timestamp"].as_str().map(str::to_owned);
        let (first, second) = (ended(slow.task()?), ended(quick.task()?));
        // When they came says nothing: answers are in several partitions.
        must(first <= second, || {
            format!("the second was done at {second:?}, the first at {first:?}")
        })
    })
    .await
}

pub(super) async fn reads(probe: &Probe) -> Checked {
    let work = Ask::rpc("SendMessage", &message("tck-delayed-complete")).to(0);
    let reads = Ask::rpc("GetTask", &json!({ "id": "none" })).to(0);
    let cancels = Ask::rpc("CancelTask", &json!({ "id": "none" })).to(0);
    let mut waited = Vec::new();
    for ask in [&work, &reads, &cancels] {
        probe.send(ask).await?;
    }
    let done = probe.answer(&work, 0).await?;
    for (name, ask) in [("GetTask", &reads), ("CancelTask", &cancels)] {
        let answer = probe.answer(ask, 0).await?;
        answer.must_be("TASK_NOT_FOUND")?;
        if answer.at >= done.at {
            waited.push(name);
        }
    }
    match (waited.is_empty(), probe.fed_in_batches) {
        (true, _) => Ok(Outcome::Pass),
        (false, true) => Ok(Outcome::NotSeen("it is fed in batches".to_owned())),
        (false, false) => Err(format!("{} waited until the work was done", waited.join(" and "))),
    }
}
