//! What can go wrong, by meaning.
//!
//! Owns: the meanings, the public sentence, the private cause. Must never know: codes, statuses and
//! their wire forms (the one table is `wire::status`).

use std::{borrow::Cow, error::Error as StdError};

use serde::{Deserialize, Serialize};

/// What an [`Error`] means; the specification's errors (section 3.3.2) and those of the transports'
/// own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such task, or none that this caller may see: the two look the same.
    TaskNotFound,
    /// The task has ended already.
    TaskNotCancelable,
    /// The agent sends no push notifications.
    PushNotificationNotSupported,
    /// The agent does not do this, or not to a task in that state.
    UnsupportedOperation,
    /// A media type the agent does not read.
    ContentTypeNotSupported,
    /// The agent answered something that is no answer.
    InvalidAgentResponse,
    /// The card declares an extended card, and there is none.
    ExtendedAgentCardNotConfigured,
    /// The agent needs an extension that the caller does not know.
    ExtensionSupportRequired,
    /// A protocol version that is not served here.
    VersionNotSupported,
    /// The request is not JSON.
    Parse,
    /// The request is JSON, but no request.
    InvalidRequest,
    /// There is no such method or path.
    MethodNotFound,
    /// The path is there, but not under this HTTP method.
    MethodNotAllowed,
    /// A parameter is missing or wrong.
    InvalidParams,
    /// The request is over a limit.
    TooLarge,
    /// The request's body is of a type, or in an encoding, that is not read here.
    UnsupportedMediaType,
    /// The caller sends more requests than it may; a retry may work later.
    TooManyRequests,
    /// The caller did not say who it is.
    Unauthenticated,
    /// The caller may not do this.
    PermissionDenied,
    /// Something the server depends on is unavailable or full; a retry may work.
    Unavailable,
    /// The answer did not come in time.
    DeadlineExceeded,
    /// A fault of the server's.
    Internal,
}

/// One fault of a request: `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldViolation {
    /// The field's path, for example `message.parts`.
    pub field: String,
    /// What is wrong with it, in words for its author.
    pub description: String,
}

/// A failed call: a meaning, a sentence for the caller, and a cause for the log.
///
/// `Display` is the public sentence only; [`source`](StdError::source) is the private cause and
/// never reaches a caller.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    violations: Vec<FieldViolation>,
    metadata: Vec<(Cow<'static, str>, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with this meaning and this sentence for the caller.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { kind, message, violations: Vec::new(), metadata: Vec::new(), source: None }
    }

    /// Parameters that break these rules. The sentence names them all.
    pub fn invalid(violations: Vec<FieldViolation>) -> Self {
        let list: Vec<String> = violations
            .iter()
            .map(|violation| format!("{} {}", violation.field, violation.description))
            .collect();
        Self::new(ErrorKind::InvalidParams, list.join("; ")).with_violations(violations)
    }

    /// One parameter that is wrong.
    pub fn invalid_field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::invalid(vec![FieldViolation { field: field.into(), description: description.into() }])
    }

    /// The server's own fault; the caller learns no more than that.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Internal, "The agent could not do this because of an internal error.")
            .with_source(source)
    }

    /// There is no such task for this caller.
    pub fn task_not_found(id: &str) -> Self {
        Self::new(ErrorKind::TaskNotFound, format!("There is no task {id:?}.")).with("taskId", id)
    }

    /// The request came too late, by its client's own word.
    pub fn expired() -> Self {
        let sentence = "The request came after its deadline, so nothing was done.";
        Self::new(ErrorKind::DeadlineExceeded, sentence)
    }

    /// The same error with a private cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with a public detail, for `google.rpc.ErrorInfo.metadata`.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// The same error with these faulty fields, which its sentence names already.
    #[must_use]
    pub fn with_violations(mut self, violations: Vec<FieldViolation>) -> Self {
        self.violations = violations;
        self
    }

    /// What it means.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The faulty fields, where the meaning is [`ErrorKind::InvalidParams`].
    pub fn violations(&self) -> &[FieldViolation] {
        &self.violations
    }

    /// Public details.
    pub fn metadata(&self) -> &[(Cow<'static, str>, String)] {
        &self.metadata
    }

    /// Whether a retry of the call may succeed. A Kafka record that failed so is redelivered.
    pub fn is_retriable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::TooManyRequests)
    }
}

/// Why an agent failed: a sentence for the caller, and a cause for the log.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AgentError {
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    stopped: bool,
}

impl AgentError {
    /// A failure with this sentence for the caller.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, stopped: false }
    }

    /// The same failure with a private cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The news that its task no longer takes events, as what the executor returns.
    pub(crate) fn stopped(message: String) -> Self {
        Self { message, source: None, stopped: true }
    }

    /// Whether it is no failure of the agent's, but the news that its task no longer takes events.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }
}
