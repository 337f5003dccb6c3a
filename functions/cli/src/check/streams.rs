//! Streams (section 8).

use a2a_core::{Cursor, wire::kafka::header};
use serde_json::{Value, json};

use super::{
    outcome::{Checked, held, must},
    probe::Probe,
    record::{Answer, Ask, message},
};

fn stream(trigger: &str) -> Ask {
    Ask::rpc("SendStreamingMessage", &message(trigger))
}

fn subscription(task: &str) -> Ask {
    Ask::rpc("SubscribeToTask", &json!({ "id": task }))
}

/// A stream of some events, and its task's id.
async fn whole(probe: &Probe) -> Result<(Vec<Answer>, String), String> {
    let events = probe.stream(stream("tck-stream-003")).await?;
    let first = events.first().ok_or("there is no event")?;
    let id = first.task()?["id"].as_str().unwrap_or_default().to_owned();
    must(events.len() > 2, || format!("{} events in place of some", events.len()))?;
    Ok((events, id))
}

fn event_id(event: &Answer) -> Result<&str, String> {
    event.header(header::EVENT_ID).ok_or_else(|| format!("{} has no event id", event.shown()))
}

fn results(events: &[Answer]) -> Vec<&Value> {
    events.iter().map(|event| &event.value["result"]).collect()
}

pub(super) async fn marked(probe: &Probe) -> Checked {
    held(async {
        let (events, _) = whole(probe).await?;
        let refused = probe.stream(subscription("none")).await?;
        must(refused.len() == 1, || format!("{} records of a refusal", refused.len()))?;
        refused[0].must_be("TASK_NOT_FOUND")?;
        let message = probe.stream(stream("tck-message-response")).await?;
        // Nothing may come after the end.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        for events in [events, refused, message] {
            let key = events[0].key.clone();
            let all = probe.until(|answers| {
                Some(Vec::from_iter(answers.iter().filter(|it| it.key == key).cloned()))
            });
            let all = all.await.unwrap_or_default();
            let (last, others) = all.split_last().ok_or("there is no event")?;
            let marked = others.iter().filter(|event| event.is_last()).count();
            must(last.is_last() && marked == 0, || format!("{} of {}", marked + 1, all.len()))?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn at_rest(probe: &Probe) -> Checked {
    held(async {
        let events = probe.stream(stream("tck-input-required")).await?;
        let last = events.last().ok_or("there is no event")?;
        let shown = last.value["result"].to_string();
        must(shown.contains("TASK_STATE_INPUT_REQUIRED"), || last.shown())
    })
    .await
}

pub(super) async fn order(probe: &Probe) -> Checked {
    held(async {
        let (events, _) = whole(probe).await?;
        let mut before: Option<Cursor> = None;
        for event in &events {
            must(event.partition == events[0].partition, || "several partitions".to_owned())?;
            let id: Cursor = event_id(event)?.parse().map_err(str::to_owned)?;
            must(before < Some(id), || format!("{id} behind {before:?}"))?;
            before = Some(id);
        }
        Ok(())
    })
    .await
}

pub(super) async fn resumed(probe: &Probe) -> Checked {
    held(async {
        let (events, task) = whole(probe).await?;
        for (index, event) in events.iter().enumerate().take(events.len() - 1) {
            let again = subscription(&task).with(header::LAST_EVENT_ID, event_id(event)?);
            let again = probe.stream(again).await?;
            must(results(&again) == results(&events[index + 1..]), || {
                format!("{} events after event {index} of {}", again.len(), events.len())
            })?;
        }
        let unknown = subscription(&task).with(header::LAST_EVENT_ID, "999999-0");
        probe.ask(unknown).await?.must_be("INVALID_PARAMS")
    })
    .await
}

pub(super) async fn ended(probe: &Probe) -> Checked {
    held(async {
        let (events, task) = whole(probe).await?;
        let last = event_id(&events[events.len() - 1])?;
        let again = probe.stream(subscription(&task).with(header::LAST_EVENT_ID, last)).await?;
        must(again.len() == 1, || format!("{} records", again.len()))?;
        must(again[0].task()?["id"] == *task, || again[0].shown())?;
        must(event_id(&again[0])? == last, || {
            format!("the id {}", event_id(&again[0]).unwrap_or(""))
        })
    })
    .await
}
