//! What is read of tasks: one, with as much of its history as is wanted; many, in pages and
//! filtered; by tenant.

use a2a_core::{Call, GetTaskRequest, ListTasksRequest, TaskState};
use serde_json::{Value, json};

use crate::{
    expect::{refused, task, text_artifact},
    script::{Said, get, say, step},
};

/// A page of a list.
fn page(tasks: &[Value], size: u32, total: u32, token: &str) -> Value {
    json!({ "tasks": tasks, "pageSize": size, "totalSize": total, "nextPageToken": token })
}

/// The tasks of the first reply's context.
fn list(said: &Said) -> ListTasksRequest {
    let context_id = Some(said.context_id(0).into());
    ListTasksRequest { context_id, ..ListTasksRequest::default() }
}

/// A get with that much history.
fn get_with(said: &Said, history: i32) -> Call {
    Call::GetTask(GetTaskRequest { history_length: Some(history), ..get(said.task_id(0)) })
}

cases! {
    history_of_a_get(OnDemand) [
        step(
            |_| say("ask which").send(),
            task(1, 1, "INPUT_REQUIRED").says(1, "which").user("ask which").sent(),
        ),
        step(
            |said| say("answer that").task(said.task_id(0)).send(),
            task(1, 1, "COMPLETED")
                .says(2, "that").user("ask which").asked(1, "which").user("answer that").sent(),
        ),
        step(|said| get_with(said, 0), task(1, 1, "COMPLETED").says(2, "that").json()),
        step(
            |said| get_with(said, 1),
            task(1, 1, "COMPLETED").says(2, "that").user("answer that").json(),
        ),
        step(
            |said| get_with(said, 2),
            task(1, 1, "COMPLETED")
                .says(2, "that").asked(1, "which").user("answer that").json(),
        ),
        step(
            |said| get_with(said, 100),
            task(1, 1, "COMPLETED")
                .says(2, "that").user("ask which").asked(1, "which").user("answer that").json(),
        ),
    ]

    history_of_a_send(OnDemand) [
        step(
            |_| say("ask which").history(0).send(),
            task(1, 1, "INPUT_REQUIRED").says(1, "which").sent(),
        ),
        step(
            |said| say("ask again").task(said.task_id(0)).history(1).send(),
            task(1, 1, "INPUT_REQUIRED").says(2, "again").user("ask again").sent(),
        ),
    ]

    /// Newest status first, in pages that hold together.
    list_in_pages(OnDemand) [
        step(
            |_| say("answer one").send(),
            task(1, 1, "COMPLETED").says(1, "one").user("answer one").sent(),
        ),
        step(
            |said| say("answer two").context(said.context_id(0)).send(),
            task(2, 1, "COMPLETED").says(2, "two").user("answer two").sent(),
        ),
        step(
            |said| say("answer three").context(said.context_id(0)).send(),
            task(3, 1, "COMPLETED").says(3, "three").user("answer three").sent(),
        ),
        step(
            |said| Call::ListTasks(ListTasksRequest { page_size: Some(2), ..list(said) }),
            page(
                &[
                    task(3, 1, "COMPLETED").says(3, "three").user("answer three").json(),
                    task(2, 1, "COMPLETED").says(2, "two").user("answer two").json(),
                ],
                2, 3, "TOKEN",
            ),
        ),
        step(
            |said| {
                let page_token = Some(said.page_token(3).into());
                Call::ListTasks(ListTasksRequest { page_size: Some(2), page_token, ..list(said) })
            },
            page(&[task(1, 1, "COMPLETED").says(1, "one").user("answer one").json()], 2, 3, ""),
        ),
    ]

    list_filtered(OnDemand) [
        step(
            |_| say("ask which").send(),
            task(1, 1, "INPUT_REQUIRED").says(1, "which").user("ask which").sent(),
        ),
        step(
            |said| say("chunks").context(said.context_id(0)).send(),
            json!({ "task": { "id": "task-2", "..": true } }),
        ),
        // By state; without history.
        step(
            |said| Call::ListTasks(ListTasksRequest {
                status: TaskState::InputRequired, history_length: Some(0), ..list(said)
            }),
            page(&[task(1, 1, "INPUT_REQUIRED").says(1, "which").json()], 50, 1, ""),
        ),
        // Artifacts only where they are wanted.
        step(
            |said| Call::ListTasks(ListTasksRequest {
                status: TaskState::Completed, history_length: Some(0), ..list(said)
            }),
            page(&[task(2, 1, "COMPLETED").json()], 50, 1, ""),
        ),
        step(
            |said| Call::ListTasks(ListTasksRequest {
                status: TaskState::Completed, history_length: Some(0), include_artifacts: true,
                ..list(said)
            }),
            page(
                &[task(2, 1, "COMPLETED")
                    .artifact(text_artifact("chunks", &["one", "two", "three"])).json()],
                50, 1, "",
            ),
        ),
        // Nothing of that state.
        step(
            |said| Call::ListTasks(ListTasksRequest { status: TaskState::Failed, ..list(said) }),
            page(&[], 50, 0, ""),
        ),
        step(
            |said| Call::ListTasks(ListTasksRequest {
                status_timestamp_after: Some("2999-01-01T00:00:00Z".parse().unwrap()), ..list(said)
            }),
            page(&[], 50, 0, ""),
        ),
    ]

    tenants_are_apart(OnDemand) [
        step(
            |_| say("whom do you belong").tenant("acme & sons").send(),
            task(1, 1, "COMPLETED")
                .says(1, r#"acme & sons to "whom do you belong""#).user("whom do you belong").sent(),
        ),
        step(
            |said| Call::GetTask(GetTaskRequest {
                tenant: Some("acme & sons".into()), history_length: Some(0), ..get(said.task_id(0))
            }),
            task(1, 1, "COMPLETED").says(1, r#"acme & sons to "whom do you belong""#).json(),
        ),
        step(
            |said| Call::GetTask(get(said.task_id(0))),
            refused("TASK_NOT_FOUND", r#"There is no task "task-1"."#),
        ),
    ]
}
