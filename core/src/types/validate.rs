//! What makes a request well-formed: required fields are there, lists hold something, numbers are
//! in range.

use super::{
    AuthenticationInfo, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTasksRequest, Message, Role, SendMessageConfiguration, SendMessageRequest,
    SubscribeToTaskRequest, TaskPushNotificationConfig,
};

/// One fault of a request: `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field's path, for example `message.parts`.
    pub field: String,
    /// What is wrong with it, in words for its author.
    pub description: String,
}

/// The rules a request must meet before anything is done for it (specification section 5.7).
pub trait Validate {
    /// Adds each fault to `faults`.
    fn check(&self, faults: &mut Faults);

    /// Every fault of the request; empty when it is well-formed.
    fn violations(&self) -> Vec<FieldViolation> {
        let mut faults = Faults::default();
        self.check(&mut faults);
        faults.found
    }
}

/// The faults found so far, and the path of the object at hand.
#[derive(Debug, Default)]
pub struct Faults {
    path: String,
    found: Vec<FieldViolation>,
}

impl Faults {
    fn add(&mut self, field: &str, description: &str) {
        let field = format!("{}{field}", self.path);
        self.found.push(FieldViolation { field, description: description.to_owned() });
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

    fn within(&mut self, field: &str, inner: &dyn Validate) {
        let length = self.path.len();
        self.path.push_str(field);
        self.path.push('.');
        inner.check(self);
        self.path.truncate(length);
    }
}

impl Validate for Message {
    fn check(&self, faults: &mut Faults) {
        faults.required("messageId", &self.message_id);
        if self.role == Role::Unspecified {
            faults.add("role", "is required: ROLE_USER or ROLE_AGENT");
        }
        if self.parts.is_empty() {
            faults.add("parts", "must hold at least one part");
        }
    }
}

impl Validate for SendMessageRequest {
    fn check(&self, faults: &mut Faults) {
        if self.message == Message::default() {
            return faults.add("message", "is required");
        }
        faults.within("message", &self.message);
        if let Some(configuration) = &self.configuration {
            faults.within("configuration", configuration);
        }
    }
}

impl Validate for SendMessageConfiguration {
    fn check(&self, faults: &mut Faults) {
        faults.not_negative("historyLength", self.history_length);
        if let Some(config) = &self.task_push_notification_config {
            faults.within("taskPushNotificationConfig", config);
        }
    }
}

impl Validate for GetTaskRequest {
    fn check(&self, faults: &mut Faults) {
        faults.required("id", &self.id);
        faults.not_negative("historyLength", self.history_length);
    }
}

impl Validate for ListTasksRequest {
    fn check(&self, faults: &mut Faults) {
        if self.page_size.is_some_and(|size| !(1..=100).contains(&size)) {
            faults.add("pageSize", "must be 1 to 100");
        }
        faults.not_negative("historyLength", self.history_length);
    }
}

impl Validate for CancelTaskRequest {
    fn check(&self, faults: &mut Faults) {
        faults.required("id", &self.id);
    }
}

impl Validate for SubscribeToTaskRequest {
    fn check(&self, faults: &mut Faults) {
        faults.required("id", &self.id);
    }
}

impl Validate for TaskPushNotificationConfig {
    fn check(&self, faults: &mut Faults) {
        faults.required("url", &self.url);
        if let Some(authentication) = &self.authentication {
            faults.within("authentication", authentication);
        }
    }
}

impl Validate for AuthenticationInfo {
    fn check(&self, faults: &mut Faults) {
        faults.required("scheme", &self.scheme);
    }
}

impl Validate for GetTaskPushNotificationConfigRequest {
    fn check(&self, faults: &mut Faults) {
        faults.required("taskId", &self.task_id);
        faults.required("id", &self.id);
    }
}

impl Validate for ListTaskPushNotificationConfigsRequest {
    fn check(&self, faults: &mut Faults) {
        faults.required("taskId", &self.task_id);
    }
}

impl Validate for DeleteTaskPushNotificationConfigRequest {
    fn check(&self, faults: &mut Faults) {
        faults.required("taskId", &self.task_id);
        faults.required("id", &self.id);
    }
}
