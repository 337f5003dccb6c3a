//! Streams that break: how each goes on, and what is told when it cannot.

use super::*;

/// What a stream brings, from a script of one connection after the other. Asked over HTTP+JSON,
/// whose events need no id. `resumed` is what the requests after the first one have.
struct Watched {
    script: Vec<Answer>,
    key: Option<&'static str>,
    subscribes: bool,
    events: &'static [&'static str],
    resumed: &'static [&'static [&'static str]],
}

fn status(id: &str, state: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("id: {id}\n") };
    format!(
        "{id}data: {{\"statusUpdate\":{{\"taskId\":\"t\",\
         \"status\":{{\"state\":\"TASK_STATE_{state}\"}}}}}}\n\n"
    )
}

fn task(id: &str, state: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("id: {id}\n") };
    format!(
        "{id}data: {{\"task\":{{\"id\":\"t\",\"status\":{{\"state\":\"TASK_STATE_{state}\"}}}}}}\n\n"
    )
}

fn artifact(id: &str, text: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("id: {id}\n") };
    format!(
        "{id}data: {{\"artifactUpdate\":{{\"taskId\":\"t\",\
         \"artifact\":{{\"artifactId\":\"a\",\"parts\":[{{\"text\":\"{text}\"}}]}}}}}}\n\n"
    )
}

fn watched() -> Vec<(&'static str, Watched)> {
    let base =
        || Watched { script: vec![], key: None, subscribes: false, events: &[], resumed: &[] };
    let away = || json("503 Service Unavailable", "");
    let refused = r#"{"error":{"code":400,"status":"FAILED_PRECONDITION","message":"It has ended.",
        "details":[{"reason":"UNSUPPORTED_OPERATION"}]}}"#;
    let begun = || task("1-0", "SUBMITTED") + &artifact("2-0", "one");
    const AFTER: &str = "last-event-id: 2-0";
    const PATH: &str = "post /tasks/t:subscribe";
    vec![
        (
            "whole",
            Watched {
                script: vec![silent(&(begun() + ":\n\n" + &status("3-0", "COMPLETED")))],
                events: &["1-0 task SUBMITTED", "2-0 one", "3-0 COMPLETED."],
                ..base()
            },
        ),
        (
            "cut off, continued after the last id, nothing twice",
            Watched {
                script: vec![
                    cut(&(begun() + "id: 3-0\ndata: {\"status")),
                    ended(
                        &(artifact("2-0", "one")
                            + &artifact("3-0", "two")
                            + &status("3-1", "COMPLETED")),
                    ),
                ],
                events: &["1-0 task SUBMITTED", "2-0 one", "3-0 two", "3-1 COMPLETED."],
                resumed: &[&[PATH, AFTER]],
                ..base()
            },
        ),
        (
            "ended by a server that had to go, twice",
            Watched {
                script: vec![
                    ended(&begun()),
                    ended(&artifact("3-0", "two")),
                    ended(&status("4-0", "FAILED")),
                ],
                events: &["1-0 task SUBMITTED", "2-0 one", "3-0 two", "4-0 FAILED."],
                resumed: &[&[PATH, AFTER], &[PATH, "last-event-id: 3-0"]],
                ..base()
            },
        ),
        (
            "without ids the task as it stands tells the rest",
            Watched {
                script: vec![
                    cut(&(task("", "WORKING") + &artifact("", "one"))),
                    ended(&(task("", "WORKING") + &status("", "COMPLETED"))),
                ],
                events: &["task WORKING", "one", "task WORKING", "COMPLETED."],
                resumed: &[&[PATH]],
                ..base()
            },
        ),
        (
            "a task that has ended meanwhile",
            Watched {
                script: vec![
                    cut(&task("", "WORKING")),
                    json("400 Bad Request", refused),
                    json("200 OK", r#"{"id":"t","status":{"state":"TASK_STATE_COMPLETED"}}"#),
                ],
                events: &["task WORKING", "task COMPLETED."],
                resumed: &[&[PATH], &["get /tasks/t "]],
                ..base()
            },
        ),
        (
            "given up where there is no more",
            Watched {
                script: vec![cut(&begun()), away()],
                events: &["1-0 task SUBMITTED", "2-0 one", "Unavailable"],
                resumed: &[&[PATH, AFTER]],
                ..base()
            },
        ),
        (
            "broken before its task was known",
            Watched {
                script: vec![cut(""), ended(&task("1-0", "COMPLETED"))],
                events: &["Unavailable"],
                ..base()
            },
        ),
        (
            "the same under a key: retried",
            Watched {
                script: vec![cut(""), ended(&task("1-0", "COMPLETED"))],
                key: Some("k-1"),
                events: &["1-0 task COMPLETED."],
                resumed: &[&[
                    "post /message:stream",
                    "idempotency-key: k-1",
                    "\"messageId\":\"m-1\"",
                ]],
                ..base()
            },
        ),
        (
            "a question ends what a message began",
            Watched {
                script: vec![silent(&(begun() + &status("3-0", "INPUT_REQUIRED")))],
                events: &["1-0 task SUBMITTED", "2-0 one", "3-0 INPUT_REQUIRED."],
                ..base()
            },
        ),
        (
            "what the message found is no question",
            Watched {
                script: vec![silent(
                    &(task("1-0", "INPUT_REQUIRED") + &status("3-0", "COMPLETED")),
                )],
                events: &["1-0 task INPUT_REQUIRED", "3-0 COMPLETED."],
                ..base()
            },
        ),
        (
            "a subscription goes on after a question",
            Watched {
                script: vec![
                    cut(&status("3-0", "INPUT_REQUIRED")),
                    ended(&status("4-0", "CANCELED")),
                ],
                subscribes: true,
                events: &["3-0 INPUT_REQUIRED", "4-0 CANCELED."],
                resumed: &[&[PATH, "last-event-id: 3-0"]],
                ..base()
            },
        ),
        (
            "and ends where the server lets it go",
            Watched {
                script: vec![ended(&status("3-0", "INPUT_REQUIRED"))],
                subscribes: true,
                events: &["3-0 INPUT_REQUIRED"],
                ..base()
            },
        ),
        (
            "an error is the agent's last word",
            Watched {
                script: vec![ended(
                    &(begun() + "data: {\"error\":{\"code\":-32603,\"message\":\"no\"}}\n\n"),
                )],
                events: &["1-0 task SUBMITTED", "2-0 one", "Internal"],
                ..base()
            },
        ),
        (
            "what is no event",
            Watched {
                script: vec![ended(&(begun() + "data: hello\n\n"))],
                events: &["1-0 task SUBMITTED", "2-0 one", "InvalidAgentResponse"],
                ..base()
            },
        ),
        (
            "an event without an end",
            Watched {
                script: vec![silent(&(begun() + "data: " + &"x".repeat(1000)))],
                events: &["1-0 task SUBMITTED", "2-0 one", "InvalidAgentResponse"],
                ..base()
            },
        ),
        (
            "an answer without a stream",
            Watched {
                script: vec![json(
                    "200 OK",
                    r#"{"message":{"messageId":"m","role":"ROLE_AGENT","parts":[{"text":"hi"}]}}"#,
                )],
                events: &["hi."],
                ..base()
            },
        ),
    ]
}

#[tokio::test]
async fn streams_go_on_where_they_broke_off() {
    for (name, Watched { script, key, subscribes, events, resumed }) in watched() {
        let server = Scripted::start(script).await;
        let mut client = client(&server.url, "HTTP+JSON");
        if let Some(key) = key {
            client = client.with_idempotency_key(key);
        }
        let stream = match subscribes {
            true => client.subscribe(subscribe(), None).await,
            false => client.stream(hello()).await,
        };
        let items: Vec<_> = stream.unwrap().0.map(|item| brief(&item)).collect().await;
        assert_eq!(items, events, "{name}");
        let asked = server.asked();
        assert_eq!(asked.len(), resumed.len() + 1, "{name}: {asked:#?}");
        for (request, marks) in asked[1..].iter().zip(resumed) {
            for mark in *marks {
                assert!(request.contains(mark), "{name}: no {mark} in {request}");
            }
        }
    }
}

#[tokio::test]
async fn a_silent_stream_is_a_broken_one() {
    let script = vec![silent(&task("1-0", "WORKING")), ended(&status("2-0", "COMPLETED"))];
    let server = Scripted::start(script).await;
    let mut parameters = Parameters::default();
    parameters.timeout = Duration::from_millis(100);
    let client = client(&server.url, "HTTP+JSON").with_parameters(parameters);
    let after = Some(Cursor { version: 0, index: 7 });
    let events = client.subscribe(subscribe(), after).await.unwrap();
    let items: Vec<_> = events.0.map(|item| brief(&item)).collect().await;
    assert_eq!(items, ["1-0 task WORKING", "2-0 COMPLETED."]);
    assert!(server.asked()[0].contains("last-event-id: 0-7"));
}
