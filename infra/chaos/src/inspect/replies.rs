//! Every answer of the run: that there is one, that all of a request's are the same, and that each
//! says what it should.

use std::collections::BTreeMap;

use a2a_core::Cursor;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    agent::{Words, piece, signed},
    client::Reply,
    drive::Exchange,
    plan::Plan,
    request::{Kind, Poison, Step},
};

/// How the answers were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replies {
    /// Records in all.
    pub(crate) records: usize,
    /// Requests that were answered.
    pub(crate) answered: usize,
    /// Answers that came more often than they were asked for, and were the same.
    pub(crate) again: usize,
}

/// Looks at the answers to each request.
pub(crate) fn inspect(plan: &Plan, exchange: &Exchange, faults: &mut Vec<String>) -> Replies {
    let mut counted = Replies::default();
    for (step, replies) in plan.steps.iter().zip(&exchange.replies) {
        counted.records += replies.len();
        match judge(step, replies) {
            Ok(again) => {
                counted.answered += 1;
                counted.again += again;
            }
            Err(what) => faults.push(format!("{} ({:?}): {what:#}", step.name(), step.kind)),
        }
    }
    counted
}

/// How many answers were too many, where all is well.
fn judge(step: &Step, replies: &[Reply]) -> Result<usize> {
    let (came, due) = (replies.len(), step.copies());
    ensure!(came >= due, "{came} of {due} answers");
    let seen = same(replies)?;
    if step.streams() {
        let has_end = seen.values().last().is_some_and(|reply| reply.is_last());
        ensure!(has_end, "a stream without an end");
        streamed(step, replies)?;
        return Ok(came - seen.len());
    }
    ensure!(seen.len() == 1, "a stream for an answer");
    match step.kind {
        Kind::Poison(Poison { has_key: false, reason, .. }) => dead_letter(&replies[0], reason)?,
        _ => says(step, &json(&replies[0])?)?,
    }
    Ok(came - due)
}

/// The answers by their position, of which there is one without a stream: at each all are the
/// same, byte for byte, headers and all.
fn same(replies: &[Reply]) -> Result<BTreeMap<Option<Cursor>, &Reply>> {
    let mut seen: BTreeMap<Option<Cursor>, &Reply> = BTreeMap::new();
    for reply in replies {
        let first = *seen.entry(reply.event()).or_insert(reply);
        let is_same = (&first.value, &first.headers) == (&reply.value, &reply.headers);
        ensure!(is_same, "two answers: {} and {}", shown(first), shown(reply));
    }
    Ok(seen)
}

/// A stream as a client reads it that passes over what it has seen: whole, in order, and of one
/// attempt.
fn streamed(step: &Step, replies: &[Reply]) -> Result<()> {
    let (mut after, mut pieces, mut state) = (None, Vec::new(), String::new());
    for reply in replies {
        if reply.event() <= after {
            continue;
        }
        after = reply.event();
        let event = &json(reply)?["result"];
        if event["task"].is_object() {
            // It begins, or it begins again.
            pieces = texts(&event["task"]["artifacts"][0]);
            state = text(&event["task"]["status"]["state"]);
        }
        pieces.extend(texts(&event["artifactUpdate"]["artifact"]));
        if event["statusUpdate"].is_object() {
            state = text(&event["statusUpdate"]["status"]["state"]);
        }
    }
    outcome(step, &state, &pieces)
}

/// Nobody could tell the answer to a record without a key: it is a dead letter, as it came, with
/// the reason in a header.
fn dead_letter(letter: &Reply, reason: &str) -> Result<()> {
    let given = letter.header("a2a-error-reason");
    ensure!(given == Some(reason), "a dead letter for the reason {given:?}");
    Ok(())
}

/// What an answer that is no stream says.
fn says(step: &Step, answer: &Value) -> Result<()> {
    let result = answer.get("result").unwrap_or(answer);
    let failed = answer.get("error").is_some();
    let shown = cut(&answer.to_string());
    let is_good = match step.kind {
        Kind::Poison(Poison { reason, .. }) => answer["error"]["data"][0]["reason"] == *reason,
        Kind::GetUnknown => failed,
        // A task that is done before its cancel comes cannot be canceled.
        Kind::Cancel => {
            let canceled = result["status"]["state"] == "TASK_STATE_CANCELED";
            canceled || answer["error"]["code"] == -32002
        }
        Kind::Say(_, Words::Reply) => {
            let message = result.get("message").unwrap_or(result);
            let said = text(&message["parts"][0]["text"]);
            !failed && signed(&said).is_some_and(|(name, _)| name == step.name())
        }
        _ if failed => false,
        _ => {
            let task = match step.kind {
                Kind::List => &result["tasks"][0],
                _ => result.get("task").unwrap_or(result),
            };
            let (state, pieces) = (text(&task["status"]["state"]), texts(&task["artifacts"][0]));
            return outcome(step, &state, &pieces).with_context(|| format!("it says {shown}"));
        }
    };
    ensure!(is_good, "it says {shown}");
    Ok(())
}

/// Whether a task has come to what its message asked for.
fn outcome(step: &Step, state: &str, pieces: &[String]) -> Result<()> {
    let state = state.trim_start_matches("TASK_STATE_");
    match step.words() {
        Some(Words::Work(count, _)) if state == "COMPLETED" => whole(&step.name(), count, pieces),
        Some(Words::Ask) if state == "INPUT_REQUIRED" => Ok(()),
        Some(Words::Hold(_)) if ["COMPLETED", "CANCELED"].contains(&state) => Ok(()),
        // Of a task that another request made.
        None if state == "COMPLETED" => Ok(()),
        _ => bail!("the task is {state}"),
    }
}

/// Whether these are all pieces of one attempt, in order.
fn whole(name: &str, count: usize, pieces: &[String]) -> Result<()> {
    let attempt = pieces.first().and_then(|text| signed(text)).map_or(0, |(_, attempt)| attempt);
    let expected: Vec<String> = (0..count).map(|number| piece(name, attempt, number)).collect();
    ensure!(pieces == expected, "{pieces:?} are not {count} pieces");
    Ok(())
}

fn json(reply: &Reply) -> Result<Value> {
    serde_json::from_slice(&reply.value).context("it is no JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(artifact: &Value) -> Vec<String> {
    let parts = artifact["parts"].as_array().into_iter().flatten();
    parts.map(|part| text(&part["text"])).collect()
}

fn shown(reply: &Reply) -> String {
    cut(&String::from_utf8_lossy(&reply.value))
}

fn cut(text: &str) -> String {
    const LENGTH: usize = 600;
    text.chars().take(LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Form, POISONS};

    fn reply(event: Option<&str>, last: bool, value: &str) -> Reply {
        let mut headers = Vec::new();
        headers.extend(event.map(|id| ("a2a-event-id".to_owned(), id.as_bytes().to_vec())));
        headers.extend(last.then(|| ("a2a-last".to_owned(), b"true".to_vec())));
        Reply { number: 1, value: value.as_bytes().to_vec(), headers, at: 0 }
    }

    fn step(kind: Kind) -> Step {
        Step { number: 1, first: 1, partition: 0, kind }
    }

    fn task(attempt: u32, pieces: usize) -> String {
        let parts: Vec<String> = (0..pieces)
            .map(|number| format!(r#"{{"text":"{}"}}"#, piece("r1", attempt, number)))
            .collect();
        format!(
            r#"{{"id":"t","status":{{"state":"TASK_STATE_COMPLETED"}},"artifacts":[{{"parts":[{}]}}]}}"#,
            parts.join(",")
        )
    }

    fn judge(step: &Step, replies: &[Reply]) -> std::result::Result<usize, String> {
        super::judge(step, replies).map_err(|what| format!("{what:#}"))
    }

    #[test]
    fn an_answer_may_come_twice_but_not_differ() {
        let step = step(Kind::Say(Form::Brief, Words::Work(2, 0)));
        let good = reply(None, false, &task(1, 2));
        assert_eq!(judge(&step, std::slice::from_ref(&good)), Ok(0));
        assert_eq!(judge(&step, &[good.clone(), good.clone()]), Ok(1));
        let other = reply(None, false, &task(2, 2));
        assert!(judge(&step, &[good, other]).is_err_and(|what| what.starts_with("two answers")));
        assert!(judge(&step, &[]).is_err());
        let half = reply(None, false, &task(1, 1));
        assert!(judge(&step, &[half]).is_err_and(|what| what.contains("are not 2 pieces")));
    }

    #[test]
    fn a_stream_is_read_over_its_interruption() {
        let step = step(Kind::Say(Form::Stream, Words::Work(2, 0)));
        let event =
            |id, last, value: &str| reply(Some(id), last, &format!(r#"{{"result":{value}}}"#));
        let begun = r#"{"task":{"id":"t","status":{"state":"TASK_STATE_SUBMITTED"}}}"#;
        let said = |attempt, number| {
            let text = piece("r1", attempt, number);
            format!(r#"{{"artifactUpdate":{{"artifact":{{"parts":[{{"text":"{text}"}}]}}}}}}"#)
        };
        let done = r#"{"statusUpdate":{"status":{"state":"TASK_STATE_COMPLETED"}}}"#;
        let first = [event("1-1", false, begun), event("2-0", false, &said(1, 0))];
        let again = [
            event("3-0", false, begun),
            event("4-0", false, &said(2, 0)),
            event("4-1", false, &said(2, 1)),
            event("5-0", true, done),
        ];
        let all = [&first[..], &again[..]].concat();
        assert_eq!(judge(&step, &all), Ok(0));
        assert_eq!(judge(&step, &[&all[..], &all[..]].concat()), Ok(all.len()));
        assert!(judge(&step, &first).is_err_and(|what| what.contains("without an end")));
        let mut missing = all.clone();
        missing.remove(3);
        assert!(judge(&step, &missing).is_err_and(|what| what.contains("are not 2 pieces")));
    }

    #[test]
    fn a_refusal_gives_its_reason() {
        for poison in POISONS.iter().filter(|poison| poison.has_key) {
            let step = step(Kind::Poison(poison));
            let says = |reason| {
                let error = format!(r#"{{"error":{{"data":[{{"reason":"{reason}"}}]}}}}"#);
                [reply(None, false, &error)]
            };
            assert_eq!(judge(&step, &says(poison.reason)), Ok(0));
            assert!(judge(&step, &says("INTERNAL")).is_err());
        }
    }
}
