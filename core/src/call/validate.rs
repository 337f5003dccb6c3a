//! What makes a call's parameters well-formed (specification section 5.7): required fields are
//! there, lists hold something, numbers are in range.
//!
//! Owns: these rules, once for all transports. Must never know: tasks, the agent's card.

use super::operation::Call;
use crate::{
    error::FieldViolation,
    types::{Message, Role, SendMessageRequest, TaskPushNotificationConfig},
};

/// Every fault of the parameters; empty when they are well-formed.
pub(super) fn violations(call: &Call) -> Vec<FieldViolation> {
    let mut faults = Faults(Vec::new());
    match call {
        Call::SendMessage(request) | Call::SendStreamingMessage(request) => faults.send(request),
        Call::GetTask(request) => {
            faults.required("id", &request.id);
            faults.not_negative("historyLength", request.history_length);
        }
        Call::ListTasks(request) => {
            if request.page_size.is_some_and(|size| !(1..=100).contains(&size)) {
                faults.add("pageSize", "must be 1 to 100");
            }
            faults.not_negative("historyLength", request.history_length);
        }
        Call::CancelTask(request) => faults.required("id", &request.id),
        Call::SubscribeToTask(request) => faults.required("id", &request.id),
        Call::CreateTaskPushNotificationConfig(request) => faults.push_config("", request),
        Call::GetTaskPushNotificationConfig(request) => {
            faults.required("taskId", &request.task_id);
            faults.required("id", &request.id);
        }
        Call::ListTaskPushNotificationConfigs(request) => {
            faults.required("taskId", &request.task_id);
        }
        Call::DeleteTaskPushNotificationConfig(request) => {
            faults.required("taskId", &request.task_id);
            faults.required("id", &request.id);
        }
        Call::GetExtendedAgentCard(_) | Call::GetAgentCard => {}
    }
    faults.0
}

struct Faults(Vec<FieldViolation>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, description: &str) {
        self.0.push(FieldViolation { field: field.into(), description: description.to_owned() });
    }

    fn required(&mut self, field: &str, value: &str) {
        if value.is_empty() {
            self.add(field, "is required");
        }
    }

    fn not_negative(&mut self, field: &str, value: Option<i32>) {
        if value.is_some_and(|value| value < 0) {
            self.add(field, "must be 0 or more");
        }
    }

    fn send(&mut self, request: &SendMessageRequest) {
        let message = &request.message;
        if *message == Message::default() {
            return self.add("message", "is required");
        }
        self.required("message.messageId", &message.message_id);
        if message.role == Role::Unspecified {
            self.add("message.role", "is required: ROLE_USER or ROLE_AGENT");
        }
        if message.parts.is_empty() {
            self.add("message.parts", "must hold at least one part");
        }
        let Some(configuration) = &request.configuration else { return };
        self.not_negative("configuration.historyLength", configuration.history_length);
        if let Some(config) = &configuration.task_push_notification_config {
            self.push_config("configuration.taskPushNotificationConfig.", config);
        }
    }

    fn push_config(&mut self, path: &str, config: &TaskPushNotificationConfig) {
        if config.url.is_empty() {
            self.add(format!("{path}url"), "is required");
        }
        if config.authentication.as_ref().is_some_and(|it| it.scheme.is_empty()) {
            self.add(format!("{path}authentication.scheme"), "is required");
        }
    }
}
