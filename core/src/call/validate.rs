//! What makes a call's parameters well-formed (specification section 5.7): required fields are
//! there, lists hold something, numbers are in range, and nothing is over its [`Limits`].
//!
//! Owns: these rules, once for all transports. Must never know: tasks, the agent's card.

use std::sync::Arc;

use super::operation::Call;
use crate::{
    error::FieldViolation,
    limits::Limits,
    types::{Message, Metadata, Role, SendMessageRequest, TaskPushNotificationConfig},
};

/// Every fault of the parameters; empty when they are well-formed.
pub(super) fn violations(call: &Call, limits: &Limits) -> Vec<FieldViolation> {
    let mut faults = Faults { found: Vec::new(), limits };
    faults.optional_id("tenant", call.tenant());
    match call {
        Call::SendMessage(request) | Call::SendStreamingMessage(request) => faults.send(request),
        Call::GetTask(request) => {
            faults.required_id("id", &request.id);
            faults.not_negative("historyLength", request.history_length);
        }
        Call::ListTasks(request) => {
            faults.optional_id("contextId", request.context_id.as_ref());
            if request.page_size.is_some_and(|size| !(1..=100).contains(&size)) {
                faults.add("pageSize", "must be 1 to 100");
            }
            faults.not_negative("historyLength", request.history_length);
        }
        Call::CancelTask(request) => {
            faults.required_id("id", &request.id);
            faults.metadata("metadata", [&request.metadata]);
        }
        Call::SubscribeToTask(request) => faults.required_id("id", &request.id),
        Call::CreateTaskPushNotificationConfig(request) => faults.push_config("", request),
        Call::GetTaskPushNotificationConfig(request) => {
            faults.required_id("taskId", &request.task_id);
            faults.required_id("id", &request.id);
        }
        Call::ListTaskPushNotificationConfigs(request) => {
            faults.required_id("taskId", &request.task_id);
        }
        Call::DeleteTaskPushNotificationConfig(request) => {
            faults.required_id("taskId", &request.task_id);
            faults.required_id("id", &request.id);
        }
        Call::GetExtendedAgentCard(_) | Call::GetAgentCard => {}
    }
    faults.found
}

/// Every fault of the extensions that a caller says it knows.
pub(super) fn of_extensions(extensions: &[Arc<str>], limits: &Limits) -> Vec<FieldViolation> {
    let mut faults = Faults { found: Vec::new(), limits };
    faults.ids("A2A-Extensions", extensions);
    faults.found
}

struct Faults<'a> {
    found: Vec<FieldViolation>,
    limits: &'a Limits,
}

impl Faults<'_> {
    fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.found.push(FieldViolation { field: field.into(), description: description.into() });
    }

    fn required(&mut self, field: &str, value: &str) {
        if value.is_empty() {
            self.add(field, "is required");
        }
    }

    /// A text that is kept with the task and comes back in answers.
    fn id(&mut self, field: &str, id: &str) {
        let (length, most) = (id.len(), self.limits.id);
        if length > most {
            self.add(field, format!("has {length} bytes, and the limit is {most}; shorten it"));
        }
    }

    fn required_id(&mut self, field: &str, id: &str) {
        self.required(field, id);
        self.id(field, id);
    }

    fn optional_id(&mut self, field: &str, id: Option<&Arc<str>>) {
        self.id(field, id.map_or("", |id| id));
    }

    fn at_most(&mut self, field: &str, count: usize, most: usize) {
        if count > most {
            self.add(field, format!("holds {count}, and the limit is {most}; send fewer"));
        }
    }

    fn ids(&mut self, field: &str, ids: &[Arc<str>]) {
        self.at_most(field, ids.len(), self.limits.ids);
        for (at, id) in ids.iter().take(self.limits.ids).enumerate() {
            if id.len() > self.limits.id {
                self.id(&format!("{field}[{at}]"), id);
            }
        }
    }

    fn metadata<'m>(
        &mut self,
        field: &str,
        metadata: impl IntoIterator<Item = &'m Option<Metadata>>,
    ) {
        let bytes = metadata.into_iter().flatten().map(|it| it.json().as_str().len());
        let (bytes, most) = (bytes.sum::<usize>(), self.limits.metadata);
        if bytes > most {
            self.add(field, format!("has {bytes} bytes, and the limit is {most}; send less"));
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
        self.required_id("message.messageId", &message.message_id);
        self.optional_id("message.contextId", message.context_id.as_ref());
        self.optional_id("message.taskId", message.task_id.as_ref());
        self.ids("message.extensions", &message.extensions);
        self.ids("message.referenceTaskIds", &message.reference_task_ids);
        if message.role == Role::Unspecified {
            self.add("message.role", "is required: ROLE_USER or ROLE_AGENT");
        }
        if message.parts.is_empty() {
            self.add("message.parts", "must hold at least one part");
        }
        self.at_most("message.parts", message.parts.len(), self.limits.parts);
        for (at, part) in message.parts.iter().take(self.limits.parts).enumerate() {
            if part.media_type.as_ref().is_some_and(|it| it.len() > self.limits.id) {
                let media_type = part.media_type.as_deref().unwrap_or_default();
                self.id(&format!("message.parts[{at}].mediaType"), media_type);
            }
        }
        let of_parts = message.parts.iter().map(|part| &part.metadata);
        self.metadata("metadata", of_parts.chain([&message.metadata, &request.metadata]));
        let Some(configuration) = &request.configuration else { return };
        self.ids("configuration.acceptedOutputModes", &configuration.accepted_output_modes);
        self.not_negative("configuration.historyLength", configuration.history_length);
        if let Some(config) = &configuration.task_push_notification_config {
            self.push_config("configuration.taskPushNotificationConfig.", config);
        }
    }

    fn push_config(&mut self, path: &str, config: &TaskPushNotificationConfig) {
        self.optional_id(&format!("{path}id"), config.id.as_ref());
        self.optional_id(&format!("{path}taskId"), config.task_id.as_ref());
        if config.url.is_empty() {
            self.add(format!("{path}url"), "is required");
        }
        if config.authentication.as_ref().is_some_and(|it| it.scheme.is_empty()) {
            self.add(format!("{path}authentication.scheme"), "is required");
        }
    }
}
