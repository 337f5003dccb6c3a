//! The HTTP+JSON binding (specification section 11).
//!
//! Owns: paths, HTTP methods, query names, and where the parts of a call stand in them. Must never
//! know: HTTP servers and headers, what a call does, what an error's code is (that is
//! [`status`]'s).

use std::sync::Arc;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    answer::{self, Body},
    object,
    query::{self, Query},
    shortened, status, write,
};
use crate::{
    call::{Call, Event, Reply, ReplyKind},
    error::{Error, ErrorKind},
    types::{
        CancelTaskRequest, DeleteTaskPushNotificationConfigRequest,
        GetTaskPushNotificationConfigRequest, GetTaskRequest,
        ListTaskPushNotificationConfigsRequest, ListTasksRequest, Metadata, StreamResponse,
        SubscribeToTaskRequest, TaskPushNotificationConfig, TaskState,
    },
};

/// Reads a request. `path` and `query` are as they stood in the request line, still
/// percent-encoded.
///
/// Every route of the specification's section 11.3 is served at the root, below the brief's `/v1`,
/// and below a `/{tenant}` after either. Where a path can be read in several ways the reading with
/// the shortest prefix counts, so a tenant named `v1` or `tasks` must be sent as the `tenant` field
/// instead. Subscriptions are served under GET and POST, as the specification names both.
///
/// # Errors
/// [`ErrorKind::MethodNotFound`] where there is no such path, [`ErrorKind::MethodNotAllowed`] (with
/// `allow` among its details) where the path has other methods, [`ErrorKind::Parse`],
/// [`ErrorKind::InvalidRequest`] and [`ErrorKind::InvalidParams`] where the body or the query
/// cannot be read, or contradicts the path.
pub fn decode(
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<Call, Error> {
    let (tenant, resource) = located(path)?;
    let tenant = tenant.map(segment).transpose()?;
    let mut call = resource.call(method, query, body)?;
    if let (Some(tenant), Some(field)) = (tenant, call.tenant_mut()) {
        match field {
            Some(named) if **named != *tenant => {
                return Err(Error::invalid_field("tenant", "is another one than the path's"));
            }
            _ => *field = Some(tenant),
        }
    }
    Ok(call)
}

/// Whether the agent's card is there, which everybody may read.
pub fn is_card(path: &str) -> bool {
    matches!(locate(path), Some((None, Resource::Card)))
}

/// Whether there is such a path, and it is served under that method.
///
/// # Errors
/// [`ErrorKind::MethodNotFound`] and [`ErrorKind::MethodNotAllowed`], as of [`decode`].
pub fn check(method: &Method, path: &str) -> Result<(), Error> {
    located(path)?.1.check(method)
}

fn located(path: &str) -> Result<(Option<&str>, Resource<'_>), Error> {
    locate(path).ok_or_else(|| {
        Error::new(ErrorKind::MethodNotFound, format!("There is nothing at {}.", shortened(path)))
    })
}

/// What a path names. Ids are still percent-encoded.
#[derive(Clone, Copy)]
enum Resource<'a> {
    Send,
    Stream,
    Tasks,
    Task(&'a str),
    Cancel(&'a str),
    Subscribe(&'a str),
    Configs(&'a str),
    Config(&'a str, &'a str),
    ExtendedCard,
    Card,
}

/// The tenant in the path, and what the rest of it names.
fn locate(path: &str) -> Option<(Option<&str>, Resource<'_>)> {
    // No route is longer than six segments; what is far longer need not be split to know that.
    let segments: Vec<&str> = path.strip_prefix('/')?.splitn(8, '/').collect();
    if segments.contains(&"") {
        return None;
    }
    let below_v1 = segments.strip_prefix(&["v1"][..]);
    let mut bases = [Some(&*segments), below_v1].into_iter().flatten();
    let whole = bases.clone().find_map(|base| Some((None, Resource::at(base)?)));
    whole.or_else(|| {
        bases.find_map(|base| {
            let (tenant, rest) = base.split_first()?;
            Some((Some(*tenant), Resource::at(rest)?))
        })
    })
}

impl<'a> Resource<'a> {
    fn at(segments: &[&'a str]) -> Option<Self> {
        Some(match *segments {
            ["message:send"] => Self::Send,
            ["message:stream"] => Self::Stream,
            ["tasks"] => Self::Tasks,
            // A colon within an id is percent-encoded; should a client not do that, the last one
            // counts.
            ["tasks", task] => match task.rsplit_once(':') {
                Some((task, "cancel")) => Self::Cancel(task),
                Some((task, "subscribe")) => Self::Subscribe(task),
                _ => Self::Task(task),
            },
            ["tasks", task, "pushNotificationConfigs"] => Self::Configs(task),
            ["tasks", task, "pushNotificationConfigs", config] => Self::Config(task, config),
            ["extendedAgentCard"] => Self::ExtendedCard,
            [".well-known", "agent-card.json"] => Self::Card,
            _ => return None,
        })
    }

    fn allow(self) -> &'static str {
        match self {
            Self::Send | Self::Stream | Self::Cancel(_) => "POST",
            Self::Tasks | Self::Task(_) | Self::ExtendedCard | Self::Card => "GET, HEAD",
            // No HEAD: a stream has no length, and would be begun for nothing.
            Self::Subscribe(_) => "GET, POST",
            Self::Configs(_) => "GET, HEAD, POST",
            Self::Config(..) => "GET, HEAD, DELETE",
        }
    }

    fn check(self, method: &Method) -> Result<(), Error> {
        let is_allowed = self.allow().split(", ").any(|allowed| allowed == method.as_str());
        if is_allowed { Ok(()) } else { Err(not_allowed(method, self.allow())) }
    }

    /// Names to calls; [`encode`] is its inverse. What the path says overrides what is said
    /// elsewhere.
    fn call(self, method: &Method, query: Option<&str>, body: &[u8]) -> Result<Call, Error> {
        self.check(method)?;
        let get = matches!(*method, Method::GET | Method::HEAD);
        let post = method == Method::POST;
        Ok(match self {
            Self::Send if post => Call::SendMessage(json(body)?),
            Self::Stream if post => Call::SendStreamingMessage(json(body)?),
            Self::Tasks if get => Call::ListTasks(query::read(query)?),
            Self::Task(id) if get => {
                Call::GetTask(GetTaskRequest { id: segment(id)?, ..query::read(query)? })
            }
            Self::Cancel(id) if post => {
                Call::CancelTask(CancelTaskRequest { id: segment(id)?, ..optional(body)? })
            }
            Self::Subscribe(id) if get || post => {
                let request: SubscribeToTaskRequest =
                    if get { query::read(query)? } else { optional(body)? };
                Call::SubscribeToTask(SubscribeToTaskRequest { id: segment(id)?, ..request })
            }
            Self::Configs(task) if post => {
                Call::CreateTaskPushNotificationConfig(new_config(segment(task)?, body)?)
            }
            Self::Configs(task) if get => {
                Call::ListTaskPushNotificationConfigs(ListTaskPushNotificationConfigsRequest {
                    task_id: segment(task)?,
                    ..query::read(query)?
                })
            }
            Self::Config(task, id) if get => {
                Call::GetTaskPushNotificationConfig(GetTaskPushNotificationConfigRequest {
                    task_id: segment(task)?,
                    id: segment(id)?,
                    ..query::read(query)?
                })
            }
            Self::Config(task, id) if method == Method::DELETE => {
                Call::DeleteTaskPushNotificationConfig(DeleteTaskPushNotificationConfigRequest {
                    task_id: segment(task)?,
                    id: segment(id)?,
                    ..query::read(query)?
                })
            }
            Self::ExtendedCard if get => Call::GetExtendedAgentCard(query::read(query)?),
            Self::Card if get => Call::GetAgentCard,
            _ => return Err(not_allowed(method, self.allow())),
        })
    }
}

fn not_allowed(method: &Method, allow: &'static str) -> Error {
    let message = format!("This path is served under {allow}, not under {method}.");
    Error::new(ErrorKind::MethodNotAllowed, message).with("allow", allow)
}

fn segment(raw: &str) -> Result<Arc<str>, Error> {
    percent_decode_str(raw).decode_utf8().map(Arc::from).map_err(|_| {
        Error::new(ErrorKind::InvalidRequest, "The path is not UTF-8 when percent-decoded.")
    })
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    super::read(object(body)?)
}

fn optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Error> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { json(body) }
}

fn new_config(task: Arc<str>, body: &[u8]) -> Result<TaskPushNotificationConfig, Error> {
    let config: TaskPushNotificationConfig = json(body)?;
    match &config.task_id {
        Some(named) if *named != task => {
            Err(Error::invalid_field("taskId", "is another one than the path's"))
        }
        _ => Ok(TaskPushNotificationConfig { task_id: Some(task), ..config }),
    }
}

/// A request to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The HTTP method.
    pub method: Method,
    /// To put behind the agent's address, which must not end in `/`.
    pub path_and_query: String,
    /// JSON, or empty.
    pub body: Vec<u8>,
}

/// Writes a request. The tenant goes into the path, unless the path could then be read otherwise or
/// be shortened on the way (`v1`, `tasks`, `.`, `..`): then it goes into the body or the query. The
/// task's id must not be empty.
pub fn encode(call: &Call) -> Encoded {
    let tenant = call.tenant();
    let in_path = tenant.filter(|tenant| !matches!(&***tenant, "v1" | "tasks" | "." | ".." | ""));
    let base = in_path.map(|tenant| format!("/{}", quoted(tenant))).unwrap_or_default();
    let tenant = if in_path.is_some() { None } else { tenant };
    let task = |id: &str| format!("{base}/tasks/{}", quoted(id));
    let configs = |id: &str| format!("{}/pushNotificationConfigs", task(id));
    let config = |id: &str, config: &str| format!("{}/{}", configs(id), quoted(config));
    let mut query = Query::default();
    query.add("tenant", tenant);
    match call {
        Call::SendMessage(request) => post(format!("{base}/message:send"), request),
        Call::SendStreamingMessage(request) => post(format!("{base}/message:stream"), request),
        Call::GetTask(request) => {
            query.add("historyLength", request.history_length);
            get(task(&request.id), query)
        }
        Call::ListTasks(request) => get(format!("{base}/tasks"), list_query(request, query)),
        Call::CancelTask(request) => {
            let body = TaskBody { tenant, metadata: request.metadata.as_ref() };
            post(task(&request.id) + ":cancel", &body)
        }
        Call::SubscribeToTask(request) => {
            post(task(&request.id) + ":subscribe", &TaskBody { tenant, metadata: None })
        }
        Call::CreateTaskPushNotificationConfig(request) => {
            post(configs(request.task_id.as_deref().unwrap_or_default()), request)
        }
        Call::GetTaskPushNotificationConfig(request) => {
            get(config(&request.task_id, &request.id), query)
        }
        Call::ListTaskPushNotificationConfigs(request) => {
            query.add("pageSize", request.page_size);
            query.add("pageToken", request.page_token.as_deref());
            get(configs(&request.task_id), query)
        }
        Call::DeleteTaskPushNotificationConfig(request) => {
            let path = config(&request.task_id, &request.id);
            Encoded { method: Method::DELETE, ..get(path, query) }
        }
        Call::GetExtendedAgentCard(_) => get(format!("{base}/extendedAgentCard"), query),
        Call::GetAgentCard => get("/.well-known/agent-card.json".to_owned(), query),
    }
}

/// What is left of a request when the path holds its task's id.
#[derive(Serialize)]
struct TaskBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
}

fn list_query(request: &ListTasksRequest, mut query: Query) -> Query {
    query.add("contextId", request.context_id.as_deref());
    query.add(
        "status",
        Some(request.status).filter(|it| *it != TaskState::Unspecified).map(TaskState::name),
    );
    query.add("pageSize", request.page_size);
    query.add("pageToken", request.page_token.as_deref());
    query.add("historyLength", request.history_length);
    query.add("statusTimestampAfter", request.status_timestamp_after);
    query.add("includeArtifacts", request.include_artifacts.then_some(true));
    query
}

fn get(path: String, query: Query) -> Encoded {
    let query = query.finish();
    let path_and_query = if query.is_empty() { path } else { format!("{path}?{query}") };
    Encoded { method: Method::GET, path_and_query, body: Vec::new() }
}

fn post(path_and_query: String, request: &impl Serialize) -> Encoded {
    let mut body = Vec::new();
    // Nothing a request holds can fail to be written.
    let _ = write(&mut body, request);
    Encoded { method: Method::POST, path_and_query, body }
}

/// A path segment, with everything encoded that means something in a path here or anywhere.
fn quoted(text: &str) -> impl std::fmt::Display {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, PLAIN)
}

/// Adds the response's body to `out`.
///
/// # Errors
/// [`ErrorKind::Internal`], and `out` is as it was, for a stream, which is no body; see
/// [`write_event`].
pub fn write_reply(out: &mut Vec<u8>, reply: &Reply) -> Result<(), Error> {
    write(out, &Body(reply))
}

/// Reads the body of a response that succeeded; of one that failed, see [`status::read_failure`].
/// One body that answers a stream is that stream's only event.
///
/// # Errors
/// [`ErrorKind::InvalidAgentResponse`] when it is no such reply.
pub fn read_reply(kind: ReplyKind, body: &[u8]) -> Result<Reply, Error> {
    if kind == ReplyKind::Nothing {
        return Ok(Reply::Nothing);
    }
    answer::read_reply(kind, answer::text(body)?)
}

/// Adds one event of a stream to `out` (specification section 11.7). The specification has no word
/// for a stream that fails after it began: it ends with the object that a failed call has for its
/// body.
pub fn write_event(out: &mut Vec<u8>, item: &Result<Event, Error>) {
    let written = item.as_ref().map(|event| write(out, &event.response));
    match written {
        Ok(Ok(())) => {}
        Ok(Err(error)) => out.extend(status::rest_error(&error)),
        Err(error) => out.extend(status::rest_error(error)),
    }
}

/// Reads what [`write_event`] wrote: an event, or the error that ends the stream. An event of a kind
/// that is not known here is none.
///
/// # Errors
/// That error; [`ErrorKind::InvalidAgentResponse`] when it is neither.
pub fn read_event(data: &[u8]) -> Result<Option<StreamResponse>, Error> {
    let text = answer::text(data)?;
    match answer::read_event(text) {
        Ok(Some(event)) => Ok(Some(event)),
        // A body without an event may be an error; no event is a failed body.
        none => status::told_in(text, None).map_or(none, Err),
    }
}

#[cfg(test)]
mod tests;
