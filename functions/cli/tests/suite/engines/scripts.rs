//! What scripts read: with `--json` one object per line on standard output, and failures as one on
//! standard error.

use serde_json::Value;

use crate::{
    program::{Program, a2a},
    served::Served,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_over_every_transport() {
    let (bare, real) = (Served::bare().await, Served::on_kafka().await);
    for (served, url) in [(&bare, 0), (&bare, 1), (&real, 0), (&real, 1)]
        .map(|(served, transport)| (served, served.data.each()[transport]))
    {
        let card = a2a(url, &["--json", "card"]);
        assert_eq!(card.json()[0]["name"], *served.data.name, "{url}: {card:?}");
        conversation(url);
    }
    bare.stop().await;
    real.stop().await;
}

/// A question, a question back and its answer; and their tasks in each command.
fn conversation(url: &str) {
    let json = |line: &[&str], code: i32| {
        let ended = a2a(url, &[&["--json"], line].concat());
        assert_eq!((ended.code, &*ended.stderr), (Some(code), ""), "{url} {line:?}: {ended:?}");
        ended.json()
    };
    let asked = Program::start(url, &["--json", "send", "-"], "win rate\n").ended();
    assert_eq!(asked.code, Some(4), "{url}: {asked:?}");
    let task = &asked.json()[0]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_INPUT_REQUIRED");
    let (open, context) = (task["id"].as_str().unwrap(), task["contextId"].as_str().unwrap());
    let events = json(&["stream", "Terran", "--context", context], 0);
    let last = &events.last().unwrap()["statusUpdate"];
    assert_eq!(last["status"]["state"], "TASK_STATE_COMPLETED", "{events:?}");
    let id = last["taskId"].as_str().unwrap();
    // Each event has its cursor, after which the stream can be resumed.
    let cursors: Vec<&str> =
        events.iter().map(|event| event["eventId"].as_str().unwrap()).collect();
    assert_eq!(json(&["subscribe", id, "--after", cursors[0]], 0), events[1..], "{url}");
    let got = json(&["get", id, "--history", "1"], 0).remove(0);
    assert_eq!((&got["id"], &got["contextId"]), (&last["taskId"], &task["contextId"]));
    assert_eq!(got["history"].as_array().map(Vec::len), Some(1), "{got}");
    let first = json(&["list", "--context", context, "--limit", "1", "--artifacts"], 0).remove(0);
    assert_eq!((&first["totalSize"], &first["tasks"][0]["id"]), (&Value::from(2), &got["id"]));
    assert_eq!(first["tasks"][0]["artifacts"], got["artifacts"]);
    let page = first["nextPageToken"].as_str().unwrap();
    let second = json(&["list", "--context", context, "--limit", "1", "--page", page], 0).remove(0);
    assert_eq!((&second["tasks"][0]["id"], &second["nextPageToken"]), (&task["id"], &"".into()));
    let canceled = json(&["cancel", open], 0).remove(0);
    assert_eq!(canceled["status"]["state"], "TASK_STATE_CANCELED");
    // Under one name it is sent once.
    let once = ["send", "Terran win rate", "--key", &format!("once-{id}")];
    assert_eq!(json(&once, 0)[0]["task"]["id"], json(&once, 0)[0]["task"]["id"], "{url}");
    for (line, code, reason) in [
        (&["cancel", open][..], 1, "TASK_NOT_CANCELABLE"),
        (&["subscribe", id], 1, "UNSUPPORTED_OPERATION"),
        (&["get", "none"], 1, "TASK_NOT_FOUND"),
        (&["send", "x", "--task", id], 1, "UNSUPPORTED_OPERATION"),
        (&["push", "list", id], 1, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
        (&["send"], 2, "INVALID_PARAMS"),
    ] {
        let ended = a2a(url, &[&["--json"], line].concat());
        assert_eq!(ended.code, Some(code), "{url} {line:?}: {ended:?}");
        assert_eq!(ended.reason(), reason, "{url} {line:?}");
    }
}
