//! Properties of the data model over arbitrary values: what is written is read back as the same,
//! and no bytes make a reader panic.

use std::sync::Arc;

use a2a_core::*;
use proptest::{collection::vec, option, prelude::*};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

fn text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["[a-z]{1,6}", "\\PC{1,6}", "[\"\\\\\u{0}\n\u{2028}é/]{1,4}"].prop_map(Arc::from)
}

fn json_text() -> impl Strategy<Value = String> {
    let number =
        prop_oneof!["-?(0|[1-9][0-9]{0,30})", "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,9}(e[0-9]{1,3})?"];
    let leaf = prop_oneof![
        number,
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        any::<String>().prop_map(|it| Value::from(it).to_string()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let member = (any::<String>(), inner.clone());
        let member = member.prop_map(|(name, value)| format!("{}:{value}", Value::from(name)));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

fn metadata() -> impl Strategy<Value = Option<Metadata>> {
    let object = json_text().prop_map(|value| format!("{{\"k\":{value}}}"));
    option::of(object.prop_map(|text| serde_json::from_str(&text).unwrap()))
}

fn part() -> impl Strategy<Value = Part> {
    let content = prop_oneof![
        any::<String>().prop_map(|it| PartContent::Text(it.into())),
        any::<String>().prop_map(|it| PartContent::Url(it.into())),
        any::<Vec<u8>>().prop_map(|it| PartContent::Raw(it.into())),
        json_text().prop_map(|it| PartContent::Data(serde_json::from_str(&it).unwrap())),
    ];
    (content, metadata(), option::of(text()), option::of(text())).prop_map(
        |(content, metadata, filename, media_type)| Part {
            content,
            metadata,
            filename,
            media_type,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let ids = (text(), option::of(text()), option::of(text()));
    let role = prop::sample::select(vec![Role::Unspecified, Role::User, Role::Agent]);
    (ids, role, vec(part(), 0..3), metadata(), vec(text(), 0..2), vec(text(), 0..2)).prop_map(
        |((message_id, context_id, task_id), role, parts, metadata, extensions, references)| {
            Message {
                message_id,
                context_id,
                task_id,
                role,
                parts,
                metadata,
                extensions,
                reference_task_ids: references,
            }
        },
    )
}

fn artifact() -> impl Strategy<Value = Artifact> {
    (
        text(),
        option::of(text()),
        option::of(text()),
        vec(part(), 0..3),
        metadata(),
        vec(text(), 0..2),
    )
        .prop_map(|(artifact_id, name, description, parts, metadata, extensions)| Artifact {
            artifact_id,
            name,
            description,
            parts,
            metadata,
            extensions,
        })
}

fn status() -> impl Strategy<Value = TaskStatus> {
    let state = (0..=8_i64).prop_map(|number| serde_json::from_str(&number.to_string()).unwrap());
    let message = option::of(message().prop_map(Arc::new));
    let timestamp = option::of(any::<i64>().prop_map(Timestamp::from_millis));
    (state, message, timestamp).prop_map(|(state, message, timestamp)| TaskStatus {
        state,
        message,
        timestamp,
    })
}

fn task() -> impl Strategy<Value = Task> {
    let history = vec(message().prop_map(Arc::new), 0..3);
    (text(), text(), status(), vec(artifact(), 0..3), history, metadata()).prop_map(
        |(id, context_id, status, artifacts, history, metadata)| Task {
            id,
            context_id,
            status,
            artifacts,
            history,
            metadata,
        },
    )
}

fn response() -> impl Strategy<Value = StreamResponse> {
    let updated = (text(), text(), status(), metadata()).prop_map(
        |(task_id, context_id, status, metadata)| {
            let event = TaskStatusUpdateEvent { task_id, context_id, status, metadata };
            StreamResponse::StatusUpdate(Arc::new(event))
        },
    );
    let made = (text(), text(), artifact(), any::<bool>(), any::<bool>(), metadata()).prop_map(
        |(task_id, context_id, artifact, append, last_chunk, metadata)| {
            let event = TaskArtifactUpdateEvent {
                task_id,
                context_id,
                artifact,
                append,
                last_chunk,
                metadata,
            };
            StreamResponse::ArtifactUpdate(Arc::new(event))
        },
    );
    prop_oneof![
        task().prop_map(|task| StreamResponse::Task(Box::new(task))),
        message().prop_map(|message| StreamResponse::Message(Arc::new(message))),
        updated,
        made,
    ]
}

fn round_trip<T>(value: &T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let written = serde_json::to_string(value).unwrap();
    let read: T = serde_json::from_str(&written)
        .map_err(|error| TestCaseError::fail(format!("{error}: {written}")))?;
    prop_assert_eq!(&read, value);
    prop_assert_eq!(serde_json::to_string(&read).unwrap(), written.clone());
    // White space between tokens and an unknown field are nothing, and both forms of it are the
    // same to serde_json.
    prop_assert!(!written.contains('\n'), "it fits on one line of a stream");
    let spaced = format!(" {{ \"unknown\" : [ {{ }} ] , {}", &written[1..]);
    prop_assert_eq!(&serde_json::from_str::<T>(&spaced).unwrap(), value);
    Ok(())
}

/// Reads the bytes as everything there is. What comes of it does not matter.
fn read_as_everything(bytes: &[u8]) {
    fn read<T: DeserializeOwned>(bytes: &[u8]) {
        let _ = serde_json::from_slice::<T>(bytes);
    }
    read::<Task>(bytes);
    read::<Message>(bytes);
    read::<Part>(bytes);
    read::<Artifact>(bytes);
    read::<StreamResponse>(bytes);
    read::<SendMessageResponse>(bytes);
    read::<SendMessageRequest>(bytes);
    read::<ListTasksRequest>(bytes);
    read::<ListTasksResponse>(bytes);
    read::<GetTaskRequest>(bytes);
    read::<TaskPushNotificationConfig>(bytes);
    read::<AgentCard>(bytes);
    read::<Json>(bytes);
    read::<Metadata>(bytes);
    read::<Timestamp>(bytes);
    read::<TaskState>(bytes);
    read::<Role>(bytes);
    let _ = wire::jsonrpc::decode(bytes);
    for path in ["/message:send", "/tasks/t:cancel", "/tasks/t/pushNotificationConfigs"] {
        let _ = wire::rest::decode(&::http::Method::POST, path, None, bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = wire::rest::decode(&::http::Method::GET, &text, Some(&text), b"");
    let _ = text.parse::<Timestamp>();
    let value = Some(bytes::Bytes::copy_from_slice(bytes));
    let record = wire::kafka::Record { key: value.clone(), value, ..Default::default() };
    let reader = wire::kafka::Reader { scope: "", agent: "agent", owner: "", max_value: 1_000_000 };
    let _ = reader.read(&record);
}

/// Where JSON of the wrong kind may stand.
const NAMES: &[&str] = &[
    "message",
    "parts",
    "status",
    "role",
    "metadata",
    "historyLength",
    "params",
    "data",
    "raw",
    "text",
    "timestamp",
];

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn tasks_are_read_as_they_were_written(task in task()) {
        round_trip(&task)?;
    }

    #[test]
    fn messages_are_read_as_they_were_written(message in message()) {
        round_trip(&message)?;
    }

    #[test]
    fn events_are_read_as_they_were_written(response in response()) {
        round_trip(&response)?;
    }

    #[test]
    fn carried_json_is_never_touched(text in json_text()) {
        let json: Json = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(json.as_str(), text);
    }

    #[test]
    fn no_bytes_make_a_panic(bytes in any::<Vec<u8>>()) {
        read_as_everything(&bytes);
    }

    #[test]
    fn no_damaged_event_makes_a_panic(
        response in response(),
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = serde_json::to_vec(&response).unwrap();
        bytes.truncate(cut.index(bytes.len() * 2) + 1);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_as_everything(&bytes);
    }

    #[test]
    fn no_json_makes_a_panic(text in json_text(), name in prop::sample::select(NAMES)) {
        read_as_everything(text.as_bytes());
        let member = format!("\"{name}\":{text}");
        read_as_everything(format!("{{{member}}}").as_bytes());
        let message = format!("{{\"message\":{{{member},\"parts\":[{{{member}}}]}}}}");
        read_as_everything(message.as_bytes());
    }
}
