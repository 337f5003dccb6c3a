//! Arbitrary calls and replies, for the round-trip properties of every transport.
//!
//! Every strategy is boxed: nested as they are, their types would not fit on a test thread's stack.

use std::sync::Arc;

use proptest::{collection::vec, option, prelude::*};
use serde_json::{Map, Value};

use crate::{
    call::{Call, Event, Reply, ReplyKind},
    error::{Error, FieldViolation},
    task::Cursor,
    types::*,
    wire::status::TABLE,
};

/// A text that is not empty, as an empty one is the same as none.
pub(crate) fn text() -> BoxedStrategy<Arc<str>> {
    prop_oneof![
        "[a-z0-9-]{1,12}",
        "\\PC{1,8}",
        "[ /:%?#&=+.\"\\\\\u{0}\n\r\u{2028}é]{1,6}",
        prop::sample::select(vec![
            "v1",
            "tasks",
            ".",
            "..",
            "message:send",
            "x:cancel",
            "null",
            "1"
        ])
        .prop_map(str::to_owned),
    ]
    .prop_map(Arc::from)
    .boxed()
}

fn maybe() -> BoxedStrategy<Option<Arc<str>>> {
    option::of(text()).boxed()
}

fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
    .boxed()
}

fn metadata() -> BoxedStrategy<Option<Metadata>> {
    let object = vec((any::<String>(), value()), 0..3);
    option::of(object.prop_map(|pairs| {
        let object: Map<String, Value> = pairs.into_iter().collect();
        Metadata::new(&object).unwrap()
    }))
    .boxed()
}

fn part() -> BoxedStrategy<Part> {
    let content = prop_oneof![
        any::<String>().prop_map(|text| PartContent::Text(text.into())),
        any::<Vec<u8>>().prop_map(|bytes| PartContent::Raw(bytes.into())),
        any::<String>().prop_map(|url| PartContent::Url(url.into())),
        value().prop_map(|value| PartContent::Data(Json::new(&value).unwrap())),
    ];
    (content, metadata(), maybe(), maybe())
        .prop_map(|(content, metadata, filename, media_type)| Part {
            content,
            metadata,
            filename,
            media_type,
        })
        .boxed()
}

pub(crate) fn message() -> BoxedStrategy<Message> {
    let role = prop::sample::select(vec![Role::Unspecified, Role::User, Role::Agent]);
    let ids = (text(), maybe(), maybe());
    (ids, role, vec(part(), 0..3), metadata(), vec(text(), 0..3), vec(text(), 0..3))
        .prop_map(
            |((message_id, context_id, task_id), role, parts, metadata, extensions, tasks)| {
                Message {
                    message_id,
                    context_id,
                    task_id,
                    role,
                    parts,
                    metadata,
                    extensions,
                    reference_task_ids: tasks,
                }
            },
        )
        .boxed()
}

fn config(task_id: BoxedStrategy<Option<Arc<str>>>) -> BoxedStrategy<TaskPushNotificationConfig> {
    let authentication = (text(), maybe())
        .prop_map(|(scheme, credentials)| AuthenticationInfo { scheme, credentials });
    (maybe(), maybe(), task_id, text(), maybe(), option::of(authentication))
        .prop_map(|(tenant, id, task_id, url, token, authentication)| TaskPushNotificationConfig {
            tenant,
            id,
            task_id,
            url,
            token,
            authentication,
        })
        .boxed()
}

pub(crate) fn send() -> BoxedStrategy<SendMessageRequest> {
    let configuration =
        (vec(text(), 0..3), option::of(config(maybe())), any::<Option<i32>>(), any::<bool>())
            .prop_map(|(modes, push, history_length, return_immediately)| {
                SendMessageConfiguration {
                    accepted_output_modes: modes,
                    task_push_notification_config: push,
                    history_length,
                    return_immediately,
                }
            });
    (maybe(), message(), option::of(configuration), metadata())
        .prop_map(|(tenant, message, configuration, metadata)| SendMessageRequest {
            tenant,
            message,
            configuration,
            metadata,
        })
        .boxed()
}

fn state() -> BoxedStrategy<TaskState> {
    prop::sample::select(vec![
        TaskState::Unspecified,
        TaskState::Submitted,
        TaskState::Working,
        TaskState::Completed,
        TaskState::Failed,
        TaskState::Canceled,
        TaskState::InputRequired,
        TaskState::Rejected,
        TaskState::AuthRequired,
    ])
    .boxed()
}

fn timestamp() -> BoxedStrategy<Option<Timestamp>> {
    // From the year 1 to nearly the end of 9999.
    option::of((-62_135_596_800_000..253_402_200_000_000_i64).prop_map(Timestamp::from_millis))
        .boxed()
}

fn list() -> BoxedStrategy<ListTasksRequest> {
    let page = (any::<Option<i32>>(), maybe(), any::<Option<i32>>(), any::<bool>());
    (maybe(), maybe(), state(), page, timestamp())
        .prop_map(
            |(
                tenant,
                context_id,
                status,
                (page_size, page_token, history_length, artifacts),
                after,
            )| {
                ListTasksRequest {
                    tenant,
                    context_id,
                    status,
                    page_size,
                    page_token,
                    history_length,
                    status_timestamp_after: after,
                    include_artifacts: artifacts,
                }
            },
        )
        .boxed()
}

/// Any call but [`Call::GetAgentCard`], with the ids that its path needs.
pub(crate) fn call() -> BoxedStrategy<Call> {
    let named = || (maybe(), text());
    let configured = || (maybe(), text(), text());
    prop_oneof![
        send().prop_map(Call::SendMessage),
        send().prop_map(Call::SendStreamingMessage),
        (named(), any::<Option<i32>>()).prop_map(|((tenant, id), history_length)| {
            Call::GetTask(GetTaskRequest { tenant, id, history_length })
        }),
        list().prop_map(Call::ListTasks),
        (named(), metadata()).prop_map(|((tenant, id), metadata)| {
            Call::CancelTask(CancelTaskRequest { tenant, id, metadata })
        }),
        named()
            .prop_map(|(tenant, id)| Call::SubscribeToTask(SubscribeToTaskRequest { tenant, id })),
        config(text().prop_map(Some).boxed()).prop_map(Call::CreateTaskPushNotificationConfig),
        configured().prop_map(|(tenant, task_id, id)| {
            Call::GetTaskPushNotificationConfig(GetTaskPushNotificationConfigRequest {
                tenant,
                task_id,
                id,
            })
        }),
        (named(), any::<Option<i32>>(), maybe()).prop_map(
            |((tenant, task_id), page_size, page_token)| {
                Call::ListTaskPushNotificationConfigs(ListTaskPushNotificationConfigsRequest {
                    tenant,
                    task_id,
                    page_size,
                    page_token,
                })
            }
        ),
        configured().prop_map(|(tenant, task_id, id)| {
            Call::DeleteTaskPushNotificationConfig(DeleteTaskPushNotificationConfigRequest {
                tenant,
                task_id,
                id,
            })
        }),
        maybe()
            .prop_map(|tenant| Call::GetExtendedAgentCard(GetExtendedAgentCardRequest { tenant })),
    ]
    .boxed()
}

fn artifact() -> BoxedStrategy<Artifact> {
    (text(), maybe(), maybe(), vec(part(), 0..3), metadata(), vec(text(), 0..2))
        .prop_map(|(artifact_id, name, description, parts, metadata, extensions)| Artifact {
            artifact_id,
            name,
            description,
            parts,
            metadata,
            extensions,
        })
        .boxed()
}

fn status() -> BoxedStrategy<TaskStatus> {
    (state(), option::of(message().prop_map(Arc::new)), timestamp())
        .prop_map(|(state, message, timestamp)| TaskStatus { state, message, timestamp })
        .boxed()
}

pub(crate) fn task() -> BoxedStrategy<Task> {
    let history = vec(message().prop_map(Arc::new), 0..3);
    (text(), text(), status(), vec(artifact(), 0..3), history, metadata())
        .prop_map(|(id, context_id, status, artifacts, history, metadata)| Task {
            id,
            context_id,
            status,
            artifacts,
            history,
            metadata,
        })
        .boxed()
}

/// One event of a stream.
pub(crate) fn event() -> BoxedStrategy<Event> {
    let status = (text(), text(), status(), metadata()).prop_map(
        |(task_id, context_id, status, metadata)| {
            let event = TaskStatusUpdateEvent { task_id, context_id, status, metadata };
            StreamResponse::StatusUpdate(Arc::new(event))
        },
    );
    let artifact = (text(), text(), artifact(), any::<bool>(), any::<bool>()).prop_map(
        |(task_id, context_id, artifact, append, last_chunk)| {
            StreamResponse::ArtifactUpdate(Arc::new(TaskArtifactUpdateEvent {
                task_id,
                context_id,
                artifact,
                append,
                last_chunk,
                metadata: None,
            }))
        },
    );
    let response = prop_oneof![
        task().prop_map(|task| StreamResponse::Task(Box::new(task))),
        message().prop_map(|message| StreamResponse::Message(Arc::new(message))),
        status,
        artifact,
    ];
    let cursor = option::of(any::<(u64, u32)>());
    (cursor, response, any::<bool>())
        .prop_map(|(cursor, response, last)| Event {
            cursor: cursor.map(|(version, index)| Cursor { version, index }),
            response,
            last,
        })
        .boxed()
}

/// Any reply that is no stream, with its kind.
pub(crate) fn reply() -> BoxedStrategy<(ReplyKind, Reply)> {
    let page = (vec(task(), 0..3), any::<String>(), any::<i32>(), any::<i32>()).prop_map(
        |(tasks, next_page_token, page_size, total_size)| ListTasksResponse {
            tasks,
            next_page_token,
            page_size,
            total_size,
        },
    );
    let configs =
        (vec(config(maybe()), 0..3), any::<String>()).prop_map(|(configs, next_page_token)| {
            ListTaskPushNotificationConfigsResponse { configs, next_page_token }
        });
    let card = (any::<String>(), any::<String>()).prop_map(|(name, address)| {
        Arc::new(AgentCard { name, ..AgentCard::default() }.located_at(&address))
    });
    let sent_task = task().prop_map(|task| SendMessageResponse::Task(Box::new(task)));
    let sent_message = message().prop_map(|it| SendMessageResponse::Message(Arc::new(it)));
    prop_oneof![
        sent_task.prop_map(|sent| (ReplyKind::Sent, Reply::Sent(sent))),
        sent_message.prop_map(|sent| (ReplyKind::Sent, Reply::Sent(sent))),
        task().prop_map(|task| (ReplyKind::Task, Reply::Task(Box::new(task)))),
        page.prop_map(|page| (ReplyKind::Tasks, Reply::Tasks(page))),
        config(maybe()).prop_map(|config| (ReplyKind::PushConfig, Reply::PushConfig(config))),
        configs.prop_map(|page| (ReplyKind::PushConfigs, Reply::PushConfigs(page))),
        any::<()>().prop_map(|()| (ReplyKind::Nothing, Reply::Nothing)),
        card.prop_map(|card| (ReplyKind::Card, Reply::Card(card))),
    ]
    .boxed()
}

/// Any error as a caller sees it. Its details are in order, as they are written.
pub(crate) fn error() -> BoxedStrategy<Error> {
    let violation = (any::<String>(), any::<String>())
        .prop_map(|(field, description)| FieldViolation { field, description });
    let details = proptest::collection::btree_map(any::<String>(), any::<String>(), 0..3);
    (
        prop::sample::select(TABLE.map(|(kind, ..)| kind).to_vec()),
        "\\PC{1,20}",
        vec(violation, 0..3),
        details,
    )
        .prop_map(|(kind, message, violations, details)| {
            let error = Error::new(kind, message).with_violations(violations);
            details.into_iter().fold(error, |error, (key, value)| error.with(key, value))
        })
        .boxed()
}

/// Valid bytes with a fault: cut short, or with one byte changed.
pub(crate) fn damaged(valid: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let at = || any::<prop::sample::Index>();
    (valid, at(), at(), any::<u8>()).prop_map(|(mut bytes, cut, changed, byte)| {
        bytes.truncate(cut.index(bytes.len() * 2 + 1));
        if !bytes.is_empty() {
            let index = changed.index(bytes.len());
            bytes[index] = byte;
        }
        bytes
    })
}
