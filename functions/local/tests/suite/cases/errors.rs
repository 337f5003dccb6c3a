//! Every error a well-formed call can meet: the same reason, sentence, details and fields at fault
//! everywhere.

use a2a_core::{
    Call, DeleteTaskPushNotificationConfigRequest, GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTasksRequest, Part, TaskPushNotificationConfig,
};
use serde_json::json;

use crate::{
    agents::EXTENSION,
    expect::{invalid, refused, task},
    script::{cancel, get, say, say_parts, step, subscribe},
};

const NO_PUSH: &str = "This agent does not send push notifications.";

fn config() -> TaskPushNotificationConfig {
    TaskPushNotificationConfig {
        task_id: Some("t".into()),
        url: "https://example.org/hook".into(),
        ..TaskPushNotificationConfig::default()
    }
}

cases! {
    unknown_task(OnDemand) [
        step(
            |_| Call::GetTask(get("no/such task")),
            json!({ "error": {
                "reason": "TASK_NOT_FOUND", "message": r#"There is no task "no/such task"."#,
                "metadata": { "taskId": "no/such task" },
            } }),
        ),
        step(|_| cancel("nope"), refused("TASK_NOT_FOUND", r#"There is no task "nope"."#)),
        step(|_| subscribe("nope"), refused("TASK_NOT_FOUND", r#"There is no task "nope"."#)),
        step(
            |_| say("answer").task("nope".to_owned()).send(),
            refused("TASK_NOT_FOUND", r#"There is no task "nope"."#),
        ),
        step(
            |_| say("answer").task("nope".to_owned()).stream(),
            refused("TASK_NOT_FOUND", r#"There is no task "nope"."#),
        ),
    ]

    ended_task(OnDemand) [
        step(
            |_| say("answer that").send(),
            task(1, 1, "COMPLETED").says(1, "that").user("answer that").sent(),
        ),
        step(
            |said| say("and this?").task(said.task_id(0)).send(),
            refused(
                "UNSUPPORTED_OPERATION",
                "The task \"task-1\" has ended (TASK_STATE_COMPLETED); send the message without \
                 its id to begin a new one.",
            ),
        ),
        step(
            |said| say("and this?").task(said.task_id(0)).stream(),
            refused(
                "UNSUPPORTED_OPERATION",
                "The task \"task-1\" has ended (TASK_STATE_COMPLETED); send the message without \
                 its id to begin a new one.",
            ),
        ),
        step(
            |said| subscribe(said.task_id(0)),
            refused(
                "UNSUPPORTED_OPERATION",
                "The task \"task-1\" has ended (TASK_STATE_COMPLETED).",
            ),
        ),
        step(
            |said| cancel(said.task_id(0)),
            json!({ "error": {
                "reason": "TASK_NOT_CANCELABLE",
                "message": "The task \"task-1\" has ended already (TASK_STATE_COMPLETED).",
                "metadata": { "taskId": "task-1" },
            } }),
        ),
    ]

    invalid_message(OnDemand) [
        step(
            |_| say_parts(Vec::new()).send(),
            invalid(&[("message.parts", "must hold at least one part")]),
        ),
        step(
            |_| say("answer").history(-1).send(),
            invalid(&[("configuration.historyLength", "must be 0 or more")]),
        ),
        step(
            |_| say("answer").history(-1).stream(),
            invalid(&[("configuration.historyLength", "must be 0 or more")]),
        ),
    ]

    invalid_numbers_and_tokens(OnDemand) [
        step(
            |_| Call::GetTask(GetTaskRequest { history_length: Some(-1), ..get("t") }),
            invalid(&[("historyLength", "must be 0 or more")]),
        ),
        step(
            |_| Call::ListTasks(ListTasksRequest {
                page_size: Some(101), history_length: Some(-1), ..ListTasksRequest::default()
            }),
            invalid(&[("pageSize", "must be 1 to 100"), ("historyLength", "must be 0 or more")]),
        ),
        step(
            |_| Call::ListTasks(ListTasksRequest {
                page_token: Some("made up".into()), ..ListTasksRequest::default()
            }),
            invalid(&[("pageToken", "is not one that a page of this list gave")]),
        ),
    ]

    another_context_than_the_tasks(OnDemand) [
        step(
            |_| say("ask which").send(),
            task(1, 1, "INPUT_REQUIRED").says(1, "which").user("ask which").sent(),
        ),
        step(
            |said| say("that").task(said.task_id(0)).context("other".to_owned()).send(),
            invalid(&[(
                "message.contextId", r#"is "other", but the task belongs to "context-1""#,
            )]),
        ),
    ]

    unsupported_version(OnDemand) [
        step(
            |_| say("answer").send(),
            json!({ "error": {
                "reason": "VERSION_NOT_SUPPORTED",
                "message": "Version \"9.1\" of the protocol is not served here; 1.0 is.",
                "metadata": { "supportedVersions": "1.0" },
            } }),
        ).version("9.1"),
        step(
            |_| say("answer").stream(),
            refused(
                "VERSION_NOT_SUPPORTED",
                "Version \"9.1\" of the protocol is not served here; 1.0 is.",
            ),
        ).version("9.1"),
        // A patch does not matter.
        step(
            |_| say("answer yes").history(0).send(),
            task(1, 1, "COMPLETED").says(1, "yes").sent(),
        ).version("1.0.3"),
    ]

    push_notifications(OnDemand) [
        step(
            |_| Call::CreateTaskPushNotificationConfig(config()),
            refused("PUSH_NOTIFICATION_NOT_SUPPORTED", NO_PUSH),
        ),
        step(
            |_| Call::GetTaskPushNotificationConfig(GetTaskPushNotificationConfigRequest {
                task_id: "t".into(), id: "c".into(), tenant: None,
            }),
            refused("PUSH_NOTIFICATION_NOT_SUPPORTED", NO_PUSH),
        ),
        step(
            |_| Call::ListTaskPushNotificationConfigs(ListTaskPushNotificationConfigsRequest {
                task_id: "t".into(), ..ListTaskPushNotificationConfigsRequest::default()
            }),
            refused("PUSH_NOTIFICATION_NOT_SUPPORTED", NO_PUSH),
        ),
        step(
            |_| Call::DeleteTaskPushNotificationConfig(DeleteTaskPushNotificationConfigRequest {
                task_id: "t".into(), id: "c".into(), tenant: None,
            }),
            refused("PUSH_NOTIFICATION_NOT_SUPPORTED", NO_PUSH),
        ),
        step(
            |_| {
                let mut say = say("answer");
                say.configuration().task_push_notification_config = Some(config());
                say.send()
            },
            refused("PUSH_NOTIFICATION_NOT_SUPPORTED", NO_PUSH),
        ),
    ]

    media_type_the_agent_does_not_read(OnDemand) [
        step(
            |_| say_parts(vec![Part::text("answer").typed("image/png")]).send(),
            json!({ "error": {
                "reason": "CONTENT_TYPE_NOT_SUPPORTED",
                "message": "This agent does not read \"image/png\".",
                "metadata": { "mediaType": "image/png" },
            } }),
        ),
    ]

    no_extended_card(OnDemand) [
        step(
            |_| Call::GetExtendedAgentCard(GetExtendedAgentCardRequest::default()),
            refused("UNSUPPORTED_OPERATION", "This agent has no extended card."),
        ),
    ]

    what_a_strict_card_does_not_allow(Strict) [
        step(
            |_| say("answer").send(),
            json!({ "error": {
                "reason": "EXTENSION_SUPPORT_REQUIRED",
                "message": format!("This agent requires the extension {EXTENSION:?}."),
                "metadata": { "extension": EXTENSION },
            } }),
        ),
        step(
            |_| say("answer yes").history(0).send(),
            task(1, 1, "COMPLETED").says(1, "yes").sent(),
        ).extensions(EXTENSION),
        step(
            |_| say("answer").stream(),
            refused("UNSUPPORTED_OPERATION", "This agent does not stream."),
        ).extensions(EXTENSION),
        step(
            |_| Call::GetExtendedAgentCard(GetExtendedAgentCardRequest::default()),
            refused(
                "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
                "This agent's extended card is not configured.",
            ),
        ).extensions(EXTENSION),
    ]
}
