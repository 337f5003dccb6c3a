//! What can become of a task: every kind of end and of content, cancels, streams, answers without a
//! task.

use a2a_core::{Call, Metadata, Part};
use serde_json::json;

use crate::{
    expect::{refused, stream, task, text_artifact},
    script::{cancel, get, say, say_parts, step, subscribe},
};

fn every_kind() -> Vec<Part> {
    vec![
        Part::text("parts"),
        Part::text("\u{1F600} \u{2028} \"\\\r\n\t\u{0} 승률"),
        Part::raw(&b"\xff\x00bytes"[..]).named("a.bin"),
        Part::url("https://example.org/?a=1&b=%20"),
        Part::data(&json!({ "deep": [null, true, 1.5, { "": [] }] })).typed("application/json"),
        Part {
            metadata: Metadata::new(&json!({ "urn:x": { "y": 1 } })).ok(),
            ..Part::text("with metadata")
        },
    ]
}

fn every_kind_written() -> serde_json::Value {
    json!([
        { "text": "parts" },
        { "text": "\u{1F600} \u{2028} \"\\\r\n\t\u{0} 승률" },
        { "raw": "/wBieXRlcw==", "filename": "a.bin" },
        { "url": "https://example.org/?a=1&b=%20" },
        { "data": { "deep": [null, true, 1.5, { "": [] }] }, "mediaType": "application/json" },
        { "text": "with metadata", "metadata": { "urn:x": { "y": 1 } } },
    ])
}

cases! {
    every_kind_of_part(OnDemand) [
        step(
            |_| say_parts(every_kind()).send(),
            task(1, 1, "COMPLETED")
                .user_parts(every_kind_written())
                .artifact(json!({
                    "artifactId": "same", "name": "The same",
                    "parts": every_kind_written().as_array().unwrap()[1..],
                }))
                .sent(),
        ),
    ]

    chunks(OnDemand) [
        step(
            |_| say("chunks").stream(),
            stream([
                task(1, 1, "SUBMITTED").user("chunks").sent(),
                task(1, 1, "WORKING").says(1, "chunks follow").update(),
                task(1, 1, "").artifact_update(text_artifact("chunks", &["one"]), false, false),
                task(1, 1, "").artifact_update(text_artifact("chunks", &["two"]), true, false),
                task(1, 1, "").artifact_update(text_artifact("chunks", &["three"]), true, true),
                task(1, 1, "COMPLETED").update(),
            ]),
        ),
        step(
            |said| Call::GetTask(get(said.task_id(0))),
            task(1, 1, "COMPLETED")
                .user("chunks")
                .asked(1, "chunks follow")
                .artifact(text_artifact("chunks", &["one", "two", "three"]))
                .json(),
        ),
    ]

    reply_without_a_task(OnDemand) [
        step(
            |_| say("reply hello").send(),
            json!({ "message": {
                "messageId": "message-1", "contextId": "context-1", "role": "ROLE_AGENT",
                "parts": [{ "text": "hello" }],
            } }),
        ),
        step(
            |_| say("reply hello").stream(),
            stream([json!({ "message": {
                "messageId": "message-2", "contextId": "context-2", "role": "ROLE_AGENT",
                "parts": [{ "text": "hello" }],
            } })]),
        ),
    ]

    reply_in_a_task_is_its_last_word(OnDemand) [
        step(
            |_| say("ask which").send(),
            task(1, 1, "INPUT_REQUIRED").says(1, "which").user("ask which").sent(),
        ),
        step(
            |said| say("reply hello").task(said.task_id(0)).history(0).send(),
            task(1, 1, "COMPLETED").says(2, "hello").sent(),
        ),
    ]

    failed(OnDemand) [
        step(
            |_| say("error The sheet is locked.").send(),
            task(1, 1, "FAILED")
                .says(1, "The sheet is locked.").user("error The sheet is locked.").sent(),
        ),
        step(
            |_| say("error The sheet is locked.").stream(),
            stream([
                task(2, 2, "SUBMITTED").user("error The sheet is locked.").sent(),
                task(2, 2, "FAILED").says(2, "The sheet is locked.").update(),
            ]),
        ),
    ]

    without_an_outcome(OnDemand) [
        step(
            |_| say("vanish").send(),
            task(1, 1, "FAILED")
                .says(1, "The agent stopped without an outcome.").user("vanish").sent(),
        ),
    ]

    rejected(OnDemand) [
        step(
            |_| say("reject not today").send(),
            task(1, 1, "REJECTED").says(1, "not today").user("reject not today").sent(),
        ),
    ]

    /// Answered when the task exists, not when the agent is done.
    at_once(OnDemand) [
        step(
            |_| say("slow done").at_once().send(),
            task(1, 1, "SUBMITTED").user("slow done").sent(),
        ),
        step(
            |said| Call::GetTask(get(said.task_id(0))),
            task(1, 1, "COMPLETED").says(1, "done").user("slow done").json(),
        ).eventually(),
    ]

    canceled(OnDemand) [
        step(
            |_| say("ask which").send(),
            task(1, 1, "INPUT_REQUIRED").says(1, "which").user("ask which").sent(),
        ),
        step(
            |said| cancel(said.task_id(0)),
            task(1, 1, "CANCELED").user("ask which").asked(1, "which").json(),
        ),
        step(
            |said| Call::GetTask(get(said.task_id(0))),
            task(1, 1, "CANCELED").user("ask which").asked(1, "which").json(),
        ),
        step(
            |said| cancel(said.task_id(0)),
            refused(
                "TASK_NOT_CANCELABLE",
                r#"The task "task-1" has ended already (TASK_STATE_CANCELED)."#,
            ),
        ),
    ]

    subscribed_while_it_waits(OnDemand) [
        step(
            |_| say("ask which").send(),
            task(1, 1, "INPUT_REQUIRED").says(1, "which").user("ask which").sent(),
        ),
        // The exception: over HTTP this stream stays open, over Kafka it ends here.
        step(
            |said| subscribe(said.task_id(0)),
            stream([task(1, 1, "INPUT_REQUIRED").says(1, "which").user("ask which").sent()]),
        ).leaves_after(1),
        // A subscriber that has disconnected delays no caller.
        step(
            |said| say("answer that").task(said.task_id(0)).history(0).send(),
            task(1, 1, "COMPLETED").says(2, "that").sent(),
        ),
    ]
}
