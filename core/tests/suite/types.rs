//! The wire form of the data model: what ProtoJSON lets a reader meet is read, and what is written
//! is exact. How faults are told is `refusal`'s; the properties are `properties`'.

use a2a_core::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn written<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

/// What is read from the left is written as the right, line breaks apart; an empty right is the
/// left itself.
fn assert_written<T: DeserializeOwned + Serialize>(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let expected = if expected.is_empty() { text } else { expected };
        let expected: String = expected.lines().map(str::trim_start).collect();
        assert_eq!(written(&read::<T>(text)), expected, "{text}");
    }
}

#[test]
fn names_in_either_spelling() {
    assert_written::<SendMessageRequest>(&[(
        r#"{"message":{"message_id":"m","context_id":"c","task_id":"t","role":"ROLE_USER",
            "parts":[{"text":"x","media_type":"a/b"}],"reference_task_ids":["r"]},
            "configuration":{"accepted_output_modes":["a/b"],"history_length":3,
            "return_immediately":true,"task_push_notification_config":{"task_id":"t",
            "url":"u"}}}"#,
        r#"{"message":{"messageId":"m","contextId":"c","taskId":"t","role":"ROLE_USER",
            "parts":[{"text":"x","mediaType":"a/b"}],"referenceTaskIds":["r"]},
            "configuration":{"acceptedOutputModes":["a/b"],
            "taskPushNotificationConfig":{"taskId":"t","url":"u"},"historyLength":3,
            "returnImmediately":true}}"#,
    )]);
    assert_written::<ListTasksRequest>(&[(
        r#"{"context_id":"c","status":0,"page_size":1,"page_token":"p","history_length":2,
            "status_timestamp_after":"2026-01-31T12:00:00Z","include_artifacts":true}"#,
        r#"{"contextId":"c","pageSize":1,"pageToken":"p","historyLength":2,
            "statusTimestampAfter":"2026-01-31T12:00:00.000Z","includeArtifacts":true}"#,
    )]);
    assert_written::<StreamResponse>(&[
        (
            r#"{"status_update":{"task_id":"t","context_id":"c","status":{"state":2}}}"#,
            r#"{"statusUpdate":{"taskId":"t","contextId":"c",
                "status":{"state":"TASK_STATE_WORKING"}}}"#,
        ),
        (
            r#"{"artifact_update":{"task_id":"t","context_id":"c",
                "artifact":{"artifact_id":"a","parts":[{"text":""}]},"last_chunk":true}}"#,
            r#"{"artifactUpdate":{"taskId":"t","contextId":"c","artifact":{"artifactId":"a",
                "parts":[{"text":""}]},"lastChunk":true}}"#,
        ),
    ]);
    assert_written::<AgentCard>(&[(
        r#"{"name":"n","description":"d","supported_interfaces":[{"url":"u",
            "protocol_binding":"JSONRPC","protocol_version":"1.0"}],"version":"1",
            "capabilities":{"push_notifications":false,"extended_agent_card":true},
            "security_schemes":{"k":{"http_auth_security_scheme":{"scheme":"Bearer",
            "bearer_format":"JWT"}}},"default_input_modes":["a"],"default_output_modes":["b"],
            "skills":[],"documentation_url":"u","icon_url":"i"}"#,
        r#"{"name":"n","description":"d","supportedInterfaces":[{"url":"u",
            "protocolBinding":"JSONRPC","protocolVersion":"1.0"}],"version":"1",
            "documentationUrl":"u","capabilities":{"pushNotifications":false,
            "extendedAgentCard":true},
            "securitySchemes":{"k":{"httpAuthSecurityScheme":{"scheme":"Bearer",
            "bearerFormat":"JWT"}}},"defaultInputModes":["a"],"defaultOutputModes":["b"],
            "skills":[],"iconUrl":"i"}"#,
    )]);
}

#[test]
fn enums_by_name_and_by_number() {
    let states = [
        "UNSPECIFIED",
        "SUBMITTED",
        "WORKING",
        "COMPLETED",
        "FAILED",
        "CANCELED",
        "INPUT_REQUIRED",
        "REJECTED",
        "AUTH_REQUIRED",
    ];
    for (number, name) in states.iter().enumerate() {
        let quoted = format!("\"TASK_STATE_{name}\"");
        assert_written::<TaskState>(&[(&quoted, ""), (&number.to_string(), &quoted)]);
    }
    assert_written::<Role>(&[
        ("1", r#""ROLE_USER""#),
        (r#""ROLE_AGENT""#, ""),
        ("null", r#""ROLE_UNSPECIFIED""#),
    ]);
    for wrong in [
        "9",
        "-1",
        "1.5",
        r#""WORKING""#,
        r#""task_state_working""#,
        "true",
        "[]",
        "99999999999999999999",
    ] {
        assert!(serde_json::from_str::<TaskState>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn bytes_in_either_alphabet_padded_or_not() {
    for text in ["-_-_", "+/+/", "+_-/"] {
        assert_written::<Part>(&[(&format!(r#"{{"raw":"{text}"}}"#), r#"{"raw":"+/+/"}"#)]);
    }
    for (text, padded) in [
        ("", ""),
        ("QQ", "QQ=="),
        ("QQ==", "QQ=="),
        ("QUI", "QUI="),
        ("QUI=", "QUI="),
        ("QUJD", "QUJD"),
    ] {
        assert_written::<Part>(&[(
            &format!(r#"{{"raw":"{text}"}}"#),
            &format!(r#"{{"raw":"{padded}"}}"#),
        )]);
    }
    for wrong in ["*", "Q", "QQ=Q", "Q Q", "é"] {
        assert!(
            serde_json::from_str::<Part>(&format!(r#"{{"raw":"{wrong}"}}"#)).is_err(),
            "{wrong}"
        );
    }
}

/// Takes every field of a full value, makes it null, and reads it: as if it were not there. So with
/// a text that is empty: proto3 has no presence of texts. A time is no text there.
fn assert_nullable<T: DeserializeOwned + Serialize>(full: &Value) {
    read::<T>(&full.to_string());
    for (name, value) in full.as_object().unwrap() {
        let mut without = full.clone();
        without.as_object_mut().unwrap().remove(name);
        let without = written(&read::<T>(&without.to_string()));
        let is_text = value.is_string() && !name.to_lowercase().contains("timestamp");
        for unset in [Some(Value::Null), is_text.then(|| json!(""))].into_iter().flatten() {
            let mut changed = full.clone();
            changed[name] = unset;
            assert_eq!(written(&read::<T>(&changed.to_string())), without, "{name}");
        }
    }
}

#[test]
fn null_is_unset_everywhere() {
    let part = json!({"text": "x"});
    let message = json!({"messageId": "m", "contextId": "c", "taskId": "t", "role": 1,
        "parts": [part], "metadata": {}, "extensions": ["e"], "referenceTaskIds": ["r"]});
    let push = json!({"tenant": "t", "id": "i", "taskId": "t", "url": "u", "token": "k",
        "authentication": {"scheme": "s"}});
    let configuration = json!({"acceptedOutputModes": ["a"],
        "taskPushNotificationConfig": push, "historyLength": 1, "returnImmediately": true});
    let status = json!({"state": 2, "message": message, "timestamp": "2026-01-31T12:00:00Z"});
    let artifact = json!({"artifactId": "a", "name": "n", "description": "d", "parts": [part],
        "metadata": {}, "extensions": ["e"]});
    assert_nullable::<Message>(&message);
    assert_nullable::<SendMessageRequest>(
        &json!({"tenant": "t", "message": message, "configuration": configuration,
            "metadata": {}}),
    );
    assert_nullable::<SendMessageConfiguration>(&configuration);
    assert_nullable::<TaskPushNotificationConfig>(&push);
    assert_nullable::<AuthenticationInfo>(&json!({"scheme": "s", "credentials": "c"}));
    assert_nullable::<TaskStatus>(&status);
    assert_nullable::<Artifact>(&artifact);
    assert_nullable::<Task>(
        &json!({"id": "t", "contextId": "c", "status": status, "artifacts": [artifact],
            "history": [message], "metadata": {}}),
    );
    assert_nullable::<TaskStatusUpdateEvent>(
        &json!({"taskId": "t", "contextId": "c", "status": status, "metadata": {}}),
    );
    assert_nullable::<TaskArtifactUpdateEvent>(
        &json!({"taskId": "t", "contextId": "c", "artifact": artifact, "append": true,
            "lastChunk": true, "metadata": {}}),
    );
    assert_nullable::<GetTaskRequest>(&json!({"tenant": "t", "id": "i", "historyLength": 1}));
    assert_nullable::<ListTasksRequest>(
        &json!({"tenant": "t", "contextId": "c", "status": 1, "pageSize": 1, "pageToken": "p",
            "historyLength": 1, "statusTimestampAfter": "2026-01-31T12:00:00Z",
            "includeArtifacts": true}),
    );
    assert_nullable::<ListTasksResponse>(
        &json!({"tasks": [], "nextPageToken": "n", "pageSize": 1, "totalSize": 1}),
    );
    assert_nullable::<CancelTaskRequest>(&json!({"tenant": "t", "id": "i", "metadata": {}}));
    assert_nullable::<SubscribeToTaskRequest>(&json!({"tenant": "t", "id": "i"}));
    assert_nullable::<ListTaskPushNotificationConfigsRequest>(
        &json!({"tenant": "t", "taskId": "i", "pageSize": 1, "pageToken": "p"}),
    );
    assert_nullable::<GetTaskPushNotificationConfigRequest>(
        &json!({"tenant": "t", "taskId": "i", "id": "c"}),
    );
    assert_nullable::<AgentCard>(
        &json!({"name": "n", "description": "d", "supportedInterfaces": [],
            "provider": {"url": "u", "organization": "o"}, "version": "1",
            "documentationUrl": "u", "capabilities": {}, "securitySchemes": {},
            "securityRequirements": [], "defaultInputModes": [], "defaultOutputModes": [],
            "skills": [], "signatures": [], "iconUrl": "i"}),
    );
    assert_nullable::<AgentCapabilities>(
        &json!({"streaming": true, "pushNotifications": true, "extensions": [],
            "extendedAgentCard": true}),
    );
    assert_nullable::<AgentSkill>(
        &json!({"id": "i", "name": "n", "description": "d", "tags": [], "examples": [],
            "inputModes": [], "outputModes": [], "securityRequirements": []}),
    );
    for scheme in [
        json!({"apiKeySecurityScheme": {"description": "", "location": "l", "name": "n"}}),
        json!({"httpAuthSecurityScheme": {"description": "", "scheme": "s", "bearerFormat": ""}}),
        json!({"oauth2SecurityScheme": {"description": "", "oauth2MetadataUrl": "",
            "flows": {"clientCredentials": {"tokenUrl": "", "refreshUrl": "", "scopes": {},
                "authorizationUrl": "", "deviceAuthorizationUrl": ""}}}}),
        json!({"openIdConnectSecurityScheme": {"description": "", "openIdConnectUrl": "u"}}),
        json!({"mtlsSecurityScheme": {"description": ""}}),
    ] {
        assert!(!written(&read::<SecurityScheme>(&scheme.to_string())).contains(r#":"""#));
    }
    assert_nullable::<AgentExtension>(
        &json!({"uri": "u", "description": "d", "required": true, "params": {}}),
    );
    assert_nullable::<AgentInterface>(
        &json!({"url": "u", "protocolBinding": "b", "tenant": "t", "protocolVersion": "1.0"}),
    );
    assert_written::<Part>(&[(
        r#"{"text":"","filename":"","mediaType":"","media_type":""}"#,
        r#"{"text":""}"#,
    )]);
    // A part's content is a "oneof": null sets no member, and `data` is the exception, as null is a
    // JSON value.
    assert_written::<Part>(&[
        (
            r#"{"text":null,"raw":null,"url":"u","metadata":null,"filename":null,
                "mediaType":null}"#,
            r#"{"url":"u"}"#,
        ),
        (r#"{"data":null}"#, ""),
    ]);
    assert_written::<StreamResponse>(&[(
        r#"{"task":null,"message":{"messageId":"m","role":1,"parts":[{"text":"x"}]}}"#,
        r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"x"}]}}"#,
    )]);
}

#[test]
fn unknown_fields_are_passed_over() {
    assert_written::<Task>(&[(
        r#"{"x":[{"y":1}],"id":"t","kind":"task","status":{"state":2,"final":true},
            "artifacts":[{"artifactId":"a","z":null,"parts":[{"text":"x","kind":"text"}]}]}"#,
        r#"{"id":"t","status":{"state":"TASK_STATE_WORKING"},"artifacts":[{"artifactId":"a",
            "parts":[{"text":"x"}]}]}"#,
    )]);
}

#[test]
fn carried_json_is_exact() {
    for value in [
        "9007199254740993",
        "18446744073709551617",
        "-9223372036854775809",
        "5",
        "5.0",
        "5e0",
        "1E400",
        "0.1",
        "-0",
        "null",
        "true",
        r#""\u00e9\/\n""#,
        r#"{"b":1,"a":{"d":1,"c":2},"":[]}"#,
        "[]",
        "{}",
        "[[[[1]]]]",
        r#"{"a":1,"a":2}"#,
    ] {
        assert_written::<Part>(&[(&format!(r#"{{"data":{value}}}"#), "")]);
        assert_written::<Message>(&[(
            &format!(
                r#"{{"messageId":"m","role":"ROLE_USER","parts":[],"metadata":{{"x":{value}}}}}"#
            ),
            "",
        )]);
    }
    assert_written::<Part>(&[(
        "{\"data\": { \"a\" :\n [1 , 2.0] } }",
        r#"{"data":{"a":[1,2.0]}}"#,
    )]);
    for wrong in ["[]", "1", r#""x""#, "true"] {
        assert!(
            serde_json::from_str::<Part>(&format!(
                r#"{{"text":"x",
                "metadata":{wrong}}}"#
            ))
            .is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn timestamps_come_in_any_offset_and_go_out_in_utc() {
    for (text, expected) in [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500Z"),
        ("2026-01-31T12:00:00.123999Z", "2026-01-31T12:00:00.123Z"),
        ("2026-01-31T21:30:00.1+09:30", "2026-01-31T12:00:00.100Z"),
        ("2026-01-30T23:00:00-01:00", "2026-01-31T00:00:00.000Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
    ] {
        assert_written::<Timestamp>(&[(&format!("\"{text}\""), &format!("\"{expected}\""))]);
    }
    for wrong in [
        r#""2026-01-31T12:00:00""#,
        r#""2026-01-31""#,
        r#""""#,
        "1769860800",
        r#""2026-02-30T12:00:00Z""#,
    ] {
        assert!(serde_json::from_str::<Timestamp>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn integers_come_as_numbers_and_texts() {
    for (text, expected) in [
        ("7", 7),
        ("\"7\"", 7),
        ("7.0", 7),
        ("0.7e1", 7),
        ("\"-7\"", -7),
        ("-2147483648", i32::MIN),
        ("\"2147483647\"", i32::MAX),
    ] {
        let request: GetTaskRequest = read(&format!(r#"{{"historyLength":{text}}}"#));
        assert_eq!(request.history_length, Some(expected), "{text}");
    }
    for wrong in [
        "7.5",
        "\"x\"",
        "\"\"",
        "2147483648",
        "-2147483649",
        "\"2147483648\"",
        "1e20",
        "true",
        "[]",
    ] {
        assert!(
            serde_json::from_str::<GetTaskRequest>(&format!(r#"{{"historyLength":{wrong}}}"#))
                .is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn defaults_are_left_out_and_required_fields_stay() {
    assert_eq!(
        written(&ListTasksResponse::default()),
        r#"{"tasks":[],"nextPageToken":"","pageSize":0,"totalSize":0}"#
    );
    assert_eq!(
        written(&Task::default()),
        r#"{"id":"","status":{"state":"TASK_STATE_UNSPECIFIED"}}"#
    );
    assert_eq!(
        written(&Message::default()),
        r#"{"messageId":"","role":"ROLE_UNSPECIFIED","parts":[]}"#
    );
    assert_eq!(written(&Artifact::default()), r#"{"artifactId":"","parts":[]}"#);
    assert_eq!(written(&SendMessageConfiguration::default()), "{}");
    assert_eq!(written(&ListTasksRequest::default()), "{}");
    assert_eq!(written(&ListTaskPushNotificationConfigsResponse::default()), "{}");
    let card = json!({
        "name": "", "description": "", "supportedInterfaces": [], "version": "", "capabilities": {},
        "defaultInputModes": [], "defaultOutputModes": [], "skills": [],
    });
    assert_eq!(serde_json::to_value(AgentCard::default()).unwrap(), card);
    // What is optional and said stays, also where it is the default.
    assert_written::<GetTaskRequest>(&[(r#"{"id":"t","historyLength":0}"#, "")]);
    assert_written::<AgentCapabilities>(&[(r#"{"streaming":false}"#, "")]);
}

#[test]
fn exactly_one_of_several() {
    for wrong in [
        r#"{"text":"a","url":"b"}"#,
        r#"{"text":"a","text":"b"}"#,
        r#"{"data":null,"text":"a"}"#,
        "{}",
        r#"{"text":null}"#,
        r#"{"filename":"f"}"#,
        "[]",
        "\"x\"",
        "null",
    ] {
        assert!(serde_json::from_str::<Part>(wrong).is_err(), "{wrong}");
    }
    for wrong in [r#"{"task":{},"message":{}}"#, "{}", r#"{"task":null}"#, "[]", r#"{"x":1}"#] {
        assert!(serde_json::from_str::<StreamResponse>(wrong).is_err(), "{wrong}");
    }
    assert!(
        serde_json::from_str::<SendMessageResponse>(r#"{"statusUpdate":{"taskId":"t"}}"#).is_err()
    );
}
