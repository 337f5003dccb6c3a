//! What the service refuses, and why.
//!
//! Owns: which of its errors says that a slot is taken, that something does not fit, that a
//! retry may succeed, or that none will. Must never know: what was asked for.

use std::{any::Any, error::Error as StdError};

use aws_sdk_dynamodb::{
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
};

use crate::store::{AppendError, StoreError};

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A condition did not hold.
    Condition,
    /// Another transaction is at work on the item.
    Busy,
    /// An item or a transaction is too large.
    TooLarge,
    /// Anything else: the service's own name for it, if it has one, and what it means.
    Failed(String, StoreError),
}

impl Refusal {
    /// The service's own name for what went wrong.
    pub(super) fn code(&self) -> &str {
        if let Self::Failed(code, _) = self { code } else { "" }
    }
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Failed(_, error) => error,
            Refusal::Busy => Self::unavailable("DynamoDB: other transactions were always first"),
            // Only what is written has a condition or a size.
            Refusal::Condition => Self::broken("DynamoDB: a condition failed that was not set"),
            Refusal::TooLarge => Self::broken("DynamoDB: an item is too large"),
        }
    }
}

impl From<Refusal> for AppendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Condition => Self::Conflict,
            Refusal::TooLarge => Self::TooLarge,
            refusal => Self::Store(refusal.into()),
        }
    }
}

/// The codes of a canceled transaction's parts; none for any other error.
fn reasons(error: &dyn Any) -> Vec<&str> {
    match error.downcast_ref() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
            let reasons = canceled.cancellation_reasons().iter();
            reasons.filter_map(|reason| reason.code()).collect()
        }
        _ => Vec::new(),
    }
}

/// What an error of the client means.
pub(super) fn refusal<E, R>(error: SdkError<E, R>) -> Refusal
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Some(service) = error.as_service_error() else {
        let what = match &error {
            SdkError::TimeoutError(_) => "DynamoDB did not answer in time",
            SdkError::ConstructionFailure(_) => {
                let sentence = format!("DynamoDB cannot be asked: {}", DisplayErrorContext(&error));
                return Refusal::Failed(String::new(), StoreError::broken(sentence));
            }
            _ => "DynamoDB cannot be reached",
        };
        return Refusal::Failed(String::new(), StoreError::unavailable(what).with_source(error));
    };
    let code = service.code().unwrap_or_default().to_owned();
    let message = service.message().unwrap_or_default().to_owned();
    let reasons = reasons(service);
    let any = |code: &str| reasons.contains(&code);
    if code == "ConditionalCheckFailedException" || any("ConditionalCheckFailed") {
        return Refusal::Condition;
    }
    if code.starts_with("Transaction") && code != "TransactionCanceledException"
        || any("TransactionConflict")
    {
        return Refusal::Busy;
    }
    // The service says it in words only.
    let too_large = ["tem size", "aggregate size", "size of the request"];
    if too_large.iter().any(|words| message.contains(words))
        || any("ItemCollectionSizeLimitExceeded")
    {
        return Refusal::TooLarge;
    }
    let canceled = code == "TransactionCanceledException" && !any("ValidationError");
    let sentence = sentence(&code, &message);
    let failed = if is_transient(&code) || canceled {
        StoreError::unavailable(sentence)
    } else {
        StoreError::broken(sentence)
    };
    Refusal::Failed(code, failed.with_source(error))
}

fn is_transient(code: &str) -> bool {
    let words = ["Exceeded", "Internal", "Conflict", "Throttling", "Timeout", "Unavailable"];
    // A proxy in between that has no words of its own leaves no code.
    code.is_empty() || words.iter().any(|word| code.contains(word))
}

/// One sentence for the log, and for who starts a program. What the service says of permissions
/// names the role and the table, which are no secrets.
fn sentence(code: &str, message: &str) -> String {
    match code {
        "ResourceNotFoundException" => "DynamoDB has no such table or index".to_owned(),
        "AccessDeniedException" => match message.split_once("perform: ") {
            Some((_, rest)) => {
                let action = rest.split_whitespace().next().unwrap_or_default();
                format!("this role may not {action} on the table")
            }
            None => format!("DynamoDB denies access: {message}"),
        },
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "InvalidAccessKeyId" => "DynamoDB does not accept these AWS credentials".to_owned(),
        "ExpiredTokenException" => "the AWS credentials have expired".to_owned(),
        _ if message.is_empty() => format!("DynamoDB failed with {code}"),
        _ => format!("DynamoDB failed with {code}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::{
        error::ErrorMetadata,
        operation::put_item::PutItemError,
        types::{CancellationReason, error::TransactionCanceledException},
    };

    use super::*;

    fn refused(code: &str, message: &str) -> Refusal {
        let meta = ErrorMetadata::builder().code(code).message(message).build();
        refusal(SdkError::service_error(PutItemError::generic(meta), ()))
    }

    fn canceled(codes: &[&str]) -> Refusal {
        let reasons = codes.iter().map(|code| CancellationReason::builder().code(*code).build());
        let canceled = TransactionCanceledException::builder()
            .set_cancellation_reasons(Some(reasons.collect()))
            .meta(ErrorMetadata::builder().code("TransactionCanceledException").build())
            .build();
        let error = TransactWriteItemsError::TransactionCanceledException(canceled);
        refusal(SdkError::service_error(error, ()))
    }

    #[test]
    fn what_errors_mean() {
        assert!(matches!(refused("ConditionalCheckFailedException", ""), Refusal::Condition));
        assert!(matches!(refused("TransactionConflictException", ""), Refusal::Busy));
        let large = "Item size has exceeded the maximum allowed size";
        assert!(matches!(refused("ValidationException", large), Refusal::TooLarge));
        for (code, retriable) in [
            ("ProvisionedThroughputExceededException", true),
            ("ThrottlingException", true),
            ("RequestLimitExceeded", true),
            ("InternalServerError", true),
            ("", true),
            ("AccessDeniedException", false),
            ("ResourceNotFoundException", false),
            ("ValidationException", false),
        ] {
            let Refusal::Failed(_, error) = refused(code, "words") else { panic!("{code}") };
            assert_eq!(error.is_retriable(), retriable, "{code}");
        }
    }

    #[test]
    fn a_missing_permission_is_named() {
        let message = "User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: \
                       dynamodb:PutItem on resource: arn:aws:dynamodb:eu-west-1:1:table/tasks";
        let Refusal::Failed(_, error) = refused("AccessDeniedException", message) else { panic!() };
        assert_eq!(error.to_string(), "this role may not dynamodb:PutItem on the table");
    }

    #[test]
    fn why_transactions_are_canceled() {
        let conflict = ["TransactionConflict", "None"];
        assert!(matches!(canceled(&["None", "ConditionalCheckFailed"]), Refusal::Condition));
        assert!(matches!(canceled(&conflict), Refusal::Busy));
        let both = ["TransactionConflict", "ConditionalCheckFailed"];
        assert!(matches!(canceled(&both), Refusal::Condition));
        for (code, retriable) in [("ThrottlingError", true), ("ValidationError", false)] {
            let Refusal::Failed(_, error) = canceled(&["None", code]) else { panic!("{code}") };
            assert_eq!(error.is_retriable(), retriable, "{code}");
        }
    }
}
