//! Idempotency and deadlines (sections 10 and 11).

use std::time::Duration;

use a2a_core::{Env, Timestamp, wire::kafka::header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    outcome::{Checked, held, must},
    probe::Probe,
    record::{Ask, message, message_in},
};

fn keyed(ask: Ask, key: &str) -> Ask {
    ask.with(header::IDEMPOTENCY_KEY, key)
}

fn new_key() -> String {
    Uuid::new_v4().to_string()
}

/// So many milliseconds from now.
fn in_millis(millis: i64) -> Timestamp {
    Timestamp::from_millis(Env::system().now().as_millis() + millis)
}

pub(super) async fn once(probe: &Probe) -> Checked {
    held(async {
        let (context, key) = (new_key(), new_key());
        let params = message_in("tck-artifact-text", &context);
        let asked = keyed(Ask::rpc("SendMessage", &params), &key);
        let first = probe.ask(asked.clone()).await?;
        first.task()?;
        for partition in [0, probe.partitions - 1] {
            let second = probe.ask(asked.anew().to(partition)).await?;
            must(second.value == first.value, || second.shown())?;
        }
        let streamed = keyed(Ask::rpc("SendStreamingMessage", &params), &key);
        let events = probe.stream(streamed).await?;
        must(events[0].task()?["id"] == first.task()?["id"], || events[0].shown())?;
        let listed = probe.ask(Ask::rpc("ListTasks", &json!({ "contextId": context }))).await?;
        must(listed.value["result"]["totalSize"] == 1, || listed.shown())
    })
    .await
}

pub(super) async fn taken(probe: &Probe) -> Checked {
    held(async {
        let key = new_key();
        let asked = || keyed(Ask::rpc("SendMessage", &message("tck-complete-task")), &key);
        probe.ask(asked()).await?.task()?;
        probe.ask(asked()).await?.must_be("INVALID_REQUEST")
    })
    .await
}

pub(super) async fn cancels(probe: &Probe) -> Checked {
    held(async {
        let waiting = Ask::rpc("SendMessage", &message("tck-input-required"));
        let task = probe.ask(waiting).await?.task()?["id"].clone();
        let cancel = Ask::rpc("CancelTask", &json!({ "id": task }));
        let asked = keyed(cancel.clone(), &new_key());
        let first = probe.ask(asked.clone()).await?;
        must(first.task()?["status"]["state"] == "TASK_STATE_CANCELED", || first.shown())?;
        let second = probe.ask(asked.anew()).await?;
        must(second.value == first.value, || second.shown())?;
        probe.ask(cancel.anew()).await?.must_be("TASK_NOT_CANCELABLE")
    })
    .await
}

pub(super) async fn late(probe: &Probe) -> Checked {
    held(async {
        let context = new_key();
        let task = json!({ "id": "none" });
        let sent = message_in("tck-complete-task", &context);
        for (method, params) in [
            ("SendMessage", &sent),
            ("SendStreamingMessage", &sent),
            ("GetTask", &task),
            ("ListTasks", &json!({})),
            ("CancelTask", &task),
            ("SubscribeToTask", &task),
            ("GetTaskPushNotificationConfig", &json!({ "taskId": "none", "id": "1" })),
            ("GetExtendedAgentCard", &json!({})),
        ] {
            for past in ["2020-01-01T00:00:00Z", "1577836800000"] {
                let answer = probe.ask(Ask::rpc(method, params).with(header::DEADLINE, past)).await;
                let refused = answer.and_then(|answer| answer.must_be("DEADLINE_EXCEEDED"));
                refused.map_err(|why| format!("{method}: {why}"))?;
            }
        }
        probe.nothing_in(&context).await
    })
    .await
}

pub(super) async fn begun(probe: &Probe) -> Checked {
    held(async {
        let asked = keyed(Ask::rpc("SendMessage", &message("tck-complete-task")), &new_key());
        let asked = asked.with(header::DEADLINE, in_millis(2000).to_string());
        let first = probe.ask(asked.clone()).await?;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let second = probe.ask(asked.anew()).await?;
        must(second.value == first.value, || second.shown())
    })
    .await
}

pub(super) async fn cut(probe: &Probe) -> Checked {
    held(async {
        let deadline = in_millis(1000);
        let asked = Ask::rpc("SendMessage", &message("tck-delayed-complete"));
        let answer = probe.ask(asked.with(header::DEADLINE, deadline.to_string())).await?;
        if answer.reason() == "DEADLINE_EXCEEDED" {
            return Err("it was not begun within a second".to_owned());
        }
        let status = &answer.task()?["status"];
        must(status["state"] == "TASK_STATE_FAILED", || answer.shown())?;
        let at = status["timestamp"].as_str().and_then(|at| at.parse().ok());
        must(at >= Some(deadline), || format!("{at:?} is before {deadline}"))?;
        must(status["message"] != Value::Null, || "it does not say why".to_owned())
    })
    .await
}
