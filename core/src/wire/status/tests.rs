//! The table and the error objects, both ways.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::wire::arbitrary;

#[test]
fn every_meaning_has_its_own_reason_and_a_failing_status() {
    let mut reasons = HashSet::new();
    for (at, (kind, ..)) in TABLE.into_iter().enumerate() {
        assert_eq!(kind as usize, at, "{kind:?}");
        let status = of(kind);
        assert!(status.http.is_client_error() || status.http.is_server_error(), "{kind:?}");
        assert!(reasons.insert(status.reason), "{}", status.reason);
        // Section 9.5: the standard's codes, and A2A's range, of which ours leave room for
        // A2A's own.
        assert!(
            matches!(status.jsonrpc, -32700 | -32603..=-32600 | -32059..=-32050 | -32009..=-32001),
            "{kind:?}"
        );
    }
    assert_eq!(of(ErrorKind::TooLarge).http, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(of(ErrorKind::MethodNotAllowed).http, StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn rest_body() {
    let error = Error::task_not_found("t\"1").with_source("secret");
    assert_eq!(
        String::from_utf8(rest_error(&error)).unwrap(),
        concat!(
            r#"{"error":{"code":404,"status":"NOT_FOUND","message":"There is no task \"t\\\"1\".","#,
            r#""details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","#,
            r#""reason":"TASK_NOT_FOUND","domain":"a2a-protocol.org","#,
            r#""metadata":{"taskId":"t\"1"}}]}}"#
        )
    );
}

#[test]
fn jsonrpc_object_lists_the_fields_at_fault() {
    let error = Error::invalid_field("message", "is required").with("a", "1").with("a", "2");
    assert_eq!(
        serde_json::to_string(&jsonrpc_error(&error)).unwrap(),
        concat!(
            r#"{"code":-32602,"message":"message is required","#,
            r#""data":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","#,
            r#""reason":"INVALID_PARAMS","domain":"a2a-protocol.org","metadata":{"a":"2"}},"#,
            r#"{"@type":"type.googleapis.com/google.rpc.BadRequest","#,
            r#""fieldViolations":[{"field":"message","description":"is required"}]}]}"#
        )
    );
}

#[test]
fn causes_stay_private() {
    let error = Error::internal("the password is 1234");
    for body in [rest_error(&error), bare_error(&error)] {
        let body = String::from_utf8(body).unwrap();
        assert!(!body.contains("1234"), "{body}");
        assert!(body.starts_with(r#"{"error":{"#), "{body}");
    }
}

/// What a caller sees of an error.
fn seen(error: &Error) -> String {
    format!("{:?} {} {:?} {:?}", error.kind(), error, error.violations(), error.metadata())
}

#[test]
fn other_errors_keep_their_sentence_and_get_the_nearest_meaning() {
    use ErrorKind::*;
    for (http, body, kind, sentence) in [
        // Other servers' error objects.
        (200, r#"{"error":{"code":-32601,"message":"no"}}"#, MethodNotFound, "no"),
        (200, r#"{"error":{"code":-32600,"message":"no"}}"#, InvalidRequest, "no"),
        (200, r#"{"error":{"code":-32010,"message":"no"}}"#, Internal, "no"),
        (200, r#"{"error":{"code":7,"message":"no"}}"#, InvalidAgentResponse, "no"),
        (429, r#"{"error":{"code":7,"message":"slow"}}"#, Unavailable, "slow"),
        (500, r#"{"error":{"code":-32001,"message":"gone"}}"#, TaskNotFound, "gone"),
        (400, r#"{"error":{"code":400,"message":"no"}}"#, InvalidRequest, "no"),
        (404, r#"{"error":{"code":404,"message":"no","details":"?"}}"#, MethodNotFound, "no"),
        (
            400,
            r#"{"error":{"message":"no","details":[5,{"reason":7},{"reason":"TASK_NOT_CANCELABLE",
                "metadata":{"a":[]}}]}}"#,
            TaskNotCancelable,
            "no",
        ),
        (
            400,
            r#"{"error":{"details":[{"reason":"OWN"}]}}"#,
            InvalidRequest,
            "The agent failed and",
        ),
        (401, r#"{"error":"who are you?"}"#, Unauthenticated, "who are you?"),
        (403, r#"{"error":{}}"#, PermissionDenied, "The agent failed and did not say why."),
        // No error objects.
        (502, "<html>", Unavailable, "The agent answered with the HTTP status 502 Bad Gateway."),
        (504, "", DeadlineExceeded, "The agent answered with the HTTP status 504 Gateway Timeout."),
        (403, r#"{"message":"Forbidden"}"#, PermissionDenied, "The agent answered with the HTTP"),
        (404, r#"{"error":null}"#, MethodNotFound, "The agent answered with the HTTP status 404"),
        (301, "\u{0}", InvalidAgentResponse, "The agent answered with the HTTP status 301 Moved"),
        (418, "[]", InvalidRequest, "The agent answered with the HTTP status 418 I'm a teapot."),
        (599, "5", Internal, "The agent answered with the HTTP status 599"),
    ] {
        let error = read_failure(StatusCode::from_u16(http).unwrap(), body.as_bytes());
        assert_eq!(error.kind(), kind, "{http} {body}");
        assert!(error.message().starts_with(sentence), "{http} {body}: {error}");
    }
    let own = read_error(r#"{"code":-32042,"message":"no","data":{"a":1}}"#, None);
    assert_eq!(own.metadata(), [("code".into(), "-32042".to_owned())]);
}

proptest! {
    #[test]
    fn errors_come_back_as_they_were(error in arbitrary::error()) {
        let rest = read_failure(of(error.kind()).http, &rest_error(&error));
        let jsonrpc = serde_json::to_string(&jsonrpc_error(&error)).unwrap();
        let jsonrpc = read_error(&jsonrpc, None);
        for read in [rest, jsonrpc] {
            prop_assert_eq!(seen(&read), seen(&error));
        }
    }

    #[test]
    fn any_failure_is_survived(
        http in 100_u16..1000,
        bytes in any::<Vec<u8>>(),
        damaged in arbitrary::damaged(arbitrary::error().prop_map(|error| rest_error(&error))),
    ) {
        let http = StatusCode::from_u16(http).unwrap();
        for body in [bytes, damaged] {
            prop_assert!(!read_failure(http, &body).message().is_empty());
        }
    }
}
