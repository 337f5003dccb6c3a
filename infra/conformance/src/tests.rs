//! Every trigger, called as the kit calls it: by a message through the real handler.

use std::sync::Arc;

use a2a_core::{
    Call, Caller, DefaultRequestHandler, MemoryStore, Message, Part, PartContent, Reply,
    SendMessageRequest, SendMessageResponse, StreamResponse,
};
use futures_util::StreamExt;
use tokio::time::Instant;

use super::*;

const FILE: &str = "raw Generated file content (output.txt text/plain)";
const URL: &str = "url https://example.com/output.txt (output.txt text/plain)";

/// A message id, and the stream it gives, an event a line. Every trigger is here.
const STORIES: &[(&str, &[&str])] = &[
    ("anything", &["completed Hello from TCK"]),
    ("tck-complete-task-1", &["completed Hello from TCK"]),
    ("tck-artifact-text-1", &["artifact text Generated text content", "completed"]),
    ("tck-artifact-file-1", &[FILE, "completed"]),
    ("tck-artifact-file-url-1", &[URL, "completed"]),
    ("tck-artifact-data-1", &[r#"artifact data {"count":42,"key":"value"}"#, "completed"]),
    ("tck-message-response-1", &["message Direct message response"]),
    ("tck-input-required-1", &["input_required What next?"]),
    ("tck-reject-task-1", &["rejected rejected"]),
    ("tck-stream-001-1", &["working", "artifact text Stream hello from TCK", "completed"]),
    ("tck-stream-002-1", &["completed"]),
    ("tck-stream-003-1", &["working", "artifact text Stream task lifecycle", "completed"]),
    ("tck-stream-ordering-001-1", &["working", "artifact text Ordered output", "completed"]),
    (
        "tck-stream-artifact-text-1",
        &["working", "artifact text Streamed text content", "completed"],
    ),
    ("tck-stream-artifact-file-1", &["working", FILE, "completed"]),
    (
        "tck-stream-artifact-chunked-1",
        &["working", "artifact text chunk-1 ", "last text chunk-2", "completed"],
    ),
    ("test-resubscribe-message-id-1", &["working", "completed after 4 s"]),
    ("tck-delayed-complete-1", &["working", "completed after 2 s"]),
    ("tck-auth-required-1", &["auth_required Please log in."]),
];

fn handler() -> DefaultRequestHandler {
    DefaultRequestHandler::new(card(), Arc::new(TckExecutor), Arc::<MemoryStore>::default())
}

fn say(message_id: &str) -> SendMessageRequest {
    let message = Message::user(message_id, vec![Part::text("hello")]);
    SendMessageRequest { message, ..SendMessageRequest::default() }
}

/// What a stream tells after its first event, the task as it was made, until the agent has done all
/// it will: a stream stays open while the task waits for its client.
async fn told(message_id: &str) -> Vec<String> {
    let call = Call::SendStreamingMessage(say(message_id));
    let Ok(Reply::Events(mut events)) = handler().call(Caller::default(), call).await else {
        panic!("{message_id} gave no stream");
    };
    let mut lines = Vec::new();
    let mut before = Instant::now();
    while let Some(event) = events.0.next().await {
        let mut line = match event.unwrap().response {
            StreamResponse::Task(_) => continue,
            StreamResponse::Message(message) => format!("message {}", message.text()),
            StreamResponse::StatusUpdate(update) => {
                let state = update.status.state.name().trim_start_matches("TASK_STATE_");
                let text = update.status.message.as_ref().map(|it| it.text()).unwrap_or_default();
                format!("{} {text}", state.to_lowercase()).trim_end().to_owned()
            }
            StreamResponse::ArtifactUpdate(update) => {
                assert_eq!(&*update.artifact.artifact_id, ARTIFACT);
                assert_eq!(update.append, update.last_chunk);
                let kind = if update.append { "last" } else { "artifact" };
                shown(kind, &update.artifact.parts)
            }
        };
        let seconds = (Instant::now() - before).as_secs();
        if seconds > 0 {
            line += &format!(" after {seconds} s");
        }
        before = Instant::now();
        let waits = line.starts_with("input_required") || line.starts_with("auth_required");
        lines.push(line);
        if waits {
            break;
        }
    }
    lines
}

fn shown(kind: &str, parts: &[Part]) -> String {
    let [part] = parts else { panic!("not one part: {parts:?}") };
    let content = match &part.content {
        PartContent::Text(text) => return format!("{kind} text {text}"),
        PartContent::Data(data) => return format!("{kind} data {}", data.as_str()),
        PartContent::Raw(bytes) => format!("raw {}", String::from_utf8_lossy(bytes)),
        PartContent::Url(url) => format!("url {url}"),
    };
    let (name, media_type) = (part.filename.as_deref(), part.media_type.as_deref());
    format!("{content} ({} {})", name.unwrap_or_default(), media_type.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn every_trigger_does_what_the_kit_describes() {
    for (message_id, story) in STORIES {
        assert_eq!(told(message_id).await, *story, "{message_id}");
    }
    for (prefix, _) in TRIGGERS {
        let told = STORIES.iter().any(|(message_id, _)| *message_id == format!("{prefix}-1"));
        assert!(told, "{prefix} has no story");
    }
}

/// The kit's follow-up on a task that waits: it must complete that same task.
#[tokio::test]
async fn a_follow_up_completes_the_task_that_waits() {
    let handler = handler();
    for waiting in ["tck-input-required", "tck-auth-required"] {
        let asked = task(&handler, say(waiting)).await;
        let mut request = say("tck-complete-task");
        request.message.task_id = Some(asked.id.clone());
        let done = task(&handler, request).await;
        assert_eq!((&done.id, done.status.state.name()), (&asked.id, "TASK_STATE_COMPLETED"));
    }
}

async fn task(handler: &DefaultRequestHandler, request: SendMessageRequest) -> a2a_core::Task {
    match handler.call(Caller::default(), Call::SendMessage(request)).await {
        Ok(Reply::Sent(SendMessageResponse::Task(task))) => *task,
        other => panic!("not a task: {other:?}"),
    }
}

#[tokio::test]
async fn a_part_of_any_type_is_taken() {
    let mut request = say("send-003");
    request.message.parts = vec![Part::raw("tck").typed("application/x-unsupported-tck-type")];
    assert_eq!(task(&handler(), request).await.status.state.name(), "TASK_STATE_COMPLETED");
}
