//! The JSON-RPC 2.0 binding (specification section 9).
//!
//! Owns: method names, the envelope, the id, and which part of a call stands where in it. Must
//! never know: HTTP and its headers, what a call does, what an error's code is (that is
//! [`status`]'s).

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    answer::{self, Body},
    is_object, object, read, shortened, status, text, write,
};
use crate::{
    call::{Call, Event, Reply, ReplyKind},
    error::{Error, ErrorKind},
    limits::Limits,
    types::{Json, StreamResponse},
};

/// A request's id, answered exactly as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// `null`, none at all, or none that could be read.
    Null,
    /// A number, with all its digits.
    Number(Json),
    /// A text.
    String(Box<str>),
}

impl Id {
    /// The id in a request; anything but a text, a number and `null` is none.
    fn read(raw: Option<&RawValue>) -> Result<Self, Error> {
        let Some(raw) = raw else { return Ok(Self::Null) };
        const MOST: usize = Limits::REQUEST_ID;
        if raw.get().len() > MOST {
            return Err(invalid(format!("The request's id is over the limit of {MOST} bytes.")));
        }
        match raw.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw.get()).ok().map(Self::String),
            Some(b'-' | b'0'..=b'9') => serde_json::from_str(raw.get()).ok().map(Self::Number),
            _ => None,
        }
        .ok_or_else(|| invalid("The request's id must be a string, a number or null."))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
        }
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        // An integer is always JSON.
        Json::new(&number).map_or(Self::Null, Self::Number)
    }
}

/// A request as it was read.
#[derive(Debug)]
pub struct Request {
    /// What to answer under; kept whenever it can be read, also when nothing else can.
    pub id: Id,
    /// The call, or why there is none.
    pub call: Result<Call, Error>,
    /// Whether its method answers with a stream, also when its parameters cannot be read.
    pub streams: bool,
}

/// Reads a request. It never fails as a whole, so that every request has an answer: a request
/// without an id, which JSON-RPC would leave unanswered, is answered under `null`, as there is
/// nothing in A2A to be told without an answer.
///
/// Parameters may be absent or `null`, as if they were `{}`. Unknown members are passed over.
pub fn decode(body: &[u8]) -> Request {
    match text(body).and_then(envelope) {
        Ok(envelope) => envelope.request(),
        Err(error) => Request::refused(error),
    }
}

/// The members of a request, unread; `null` is the same as absent.
#[derive(Default, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
    /// Not JSON-RPC's: the brief's own record form has the message here. Looked for in the same
    /// pass.
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
}

/// Finds the members in one pass over the text.
///
/// # Errors
/// [`ErrorKind::Parse`] when it is no JSON; [`ErrorKind::InvalidRequest`] when it is no object, or
/// has a member twice.
pub(super) fn envelope(text: &str) -> Result<Envelope<'_>, Error> {
    if let Err(error) = object(text.as_bytes()) {
        let batch =
            error.kind() == ErrorKind::InvalidRequest && text.trim_ascii_start().starts_with('[');
        return Err(if batch { invalid("Batches are not served.") } else { error });
    }
    serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            invalid(format!("The request is wrong: {}.", super::without_position(&error)))
        } else {
            super::not_json(&error)
        }
    })
}

impl Request {
    /// A request that could not even be read.
    pub fn refused(error: Error) -> Self {
        Self { id: Id::Null, call: Err(error), streams: false }
    }
}

/// Whether requests are posted to this path.
pub fn is_path(path: &str) -> bool {
    matches!(path, "/" | "" | "/v1" | "/v1/")
}

impl Envelope<'_> {
    /// The request these members make.
    pub(super) fn request(&self) -> Request {
        let method = self.method.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let streams = matches!(method.as_deref(), Some("SendStreamingMessage" | "SubscribeToTask"));
        match self.id() {
            Ok(id) => Request { id, call: self.call(method), streams },
            Err(error) => Request { streams, ..Request::refused(error) },
        }
    }

    /// What to answer under.
    pub(super) fn id(&self) -> Result<Id, Error> {
        Id::read(self.id)
    }

    fn call(&self, method: Option<String>) -> Result<Call, Error> {
        if self.jsonrpc.map(RawValue::get) != Some(r#""2.0""#) {
            return Err(invalid("The request must say \"jsonrpc\": \"2.0\"."));
        }
        let method =
            method.ok_or_else(|| invalid("The request must name its method with a string."))?;
        let params = self.params.map_or("{}", RawValue::get);
        if !is_object(params) {
            return Err(Error::new(ErrorKind::InvalidParams, "The params must be a JSON object."));
        }
        read_call(&method, params)
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// Names to calls; [`encode`] is its inverse.
fn read_call(method: &str, params: &str) -> Result<Call, Error> {
    Ok(match method {
        "SendMessage" => Call::SendMessage(read(params)?),
        "SendStreamingMessage" => Call::SendStreamingMessage(read(params)?),
        "GetTask" => Call::GetTask(read(params)?),
        "ListTasks" => Call::ListTasks(read(params)?),
        "CancelTask" => Call::CancelTask(read(params)?),
        "SubscribeToTask" => Call::SubscribeToTask(read(params)?),
        "CreateTaskPushNotificationConfig" => Call::CreateTaskPushNotificationConfig(read(params)?),
        "GetTaskPushNotificationConfig" => Call::GetTaskPushNotificationConfig(read(params)?),
        "ListTaskPushNotificationConfigs" => Call::ListTaskPushNotificationConfigs(read(params)?),
        "DeleteTaskPushNotificationConfig" => Call::DeleteTaskPushNotificationConfig(read(params)?),
        "GetExtendedAgentCard" => Call::GetExtendedAgentCard(read(params)?),
        _ => {
            let method = shortened(method);
            let message = format!("There is no method {method:?}.");
            return Err(Error::new(ErrorKind::MethodNotFound, message).with("method", method));
        }
    })
}

/// Writes a request; none for [`Call::GetAgentCard`], which has no method: the card is how a client
/// finds out that there is JSON-RPC here at all.
pub fn encode(id: &Id, call: &Call) -> Option<Vec<u8>> {
    Some(match call {
        Call::SendMessage(params) => request(id, "SendMessage", params),
        Call::SendStreamingMessage(params) => request(id, "SendStreamingMessage", params),
        Call::GetTask(params) => request(id, "GetTask", params),
        Call::ListTasks(params) => request(id, "ListTasks", params),
        Call::CancelTask(params) => request(id, "CancelTask", params),
        Call::SubscribeToTask(params) => request(id, "SubscribeToTask", params),
        Call::CreateTaskPushNotificationConfig(params) => {
            request(id, "CreateTaskPushNotificationConfig", params)
        }
        Call::GetTaskPushNotificationConfig(params) => {
            request(id, "GetTaskPushNotificationConfig", params)
        }
        Call::ListTaskPushNotificationConfigs(params) => {
            request(id, "ListTaskPushNotificationConfigs", params)
        }
        Call::DeleteTaskPushNotificationConfig(params) => {
            request(id, "DeleteTaskPushNotificationConfig", params)
        }
        Call::GetExtendedAgentCard(params) => request(id, "GetExtendedAgentCard", params),
        Call::GetAgentCard => return None,
    })
}

fn request<P: Serialize>(id: &Id, method: &str, params: &P) -> Vec<u8> {
    #[derive(Serialize)]
    struct Outgoing<'a, P> {
        jsonrpc: &'static str,
        id: &'a Id,
        method: &'a str,
        params: &'a P,
    }
    let mut out = Vec::new();
    // Nothing a request holds can fail to be written.
    let _ = write(&mut out, &Outgoing { jsonrpc: "2.0", id, method, params });
    out
}

/// Adds the response to `out`: `{"jsonrpc":"2.0","id":…,"result":…}`, or `error` in place of the
/// result. A stream is no response, so [`Reply::Events`] is written as an internal error; see
/// [`write_event`].
pub fn write_response(out: &mut Vec<u8>, id: &Id, outcome: &Result<Reply, Error>) {
    respond(out, id, outcome.as_ref().map(Body));
}

/// Adds one event of a stream to `out`, which is a whole response under the request's id
/// (specification section 9.4.2).
pub fn write_event(out: &mut Vec<u8>, id: &Id, item: &Result<Event, Error>) {
    respond(out, id, item.as_ref().map(|event| &event.response));
}

fn respond<T: Serialize>(out: &mut Vec<u8>, id: &Id, outcome: Result<T, &Error>) {
    #[derive(Serialize)]
    struct Success<'a, T> {
        jsonrpc: &'static str,
        id: &'a Id,
        result: T,
    }
    match outcome {
        Err(error) => respond_error(out, id, error),
        Ok(result) => {
            if let Err(error) = write(out, &Success { jsonrpc: "2.0", id, result }) {
                respond_error(out, id, &error);
            }
        }
    }
}

fn respond_error(out: &mut Vec<u8>, id: &Id, error: &Error) {
    #[derive(Serialize)]
    struct Failure<'a, E> {
        jsonrpc: &'static str,
        id: &'a Id,
        error: E,
    }
    // Texts and numbers can always be written.
    let _ = write(out, &Failure { jsonrpc: "2.0", id, error: status::jsonrpc_error(error) });
}

/// A response as it was read.
#[derive(Debug)]
pub struct Response<T> {
    /// What it answers; [`Id::Null`] also where it could not be read, or the request could not.
    pub id: Id,
    /// The result, the agent's error, or why it is neither.
    pub outcome: Result<T, Error>,
}

/// Reads what [`write_response`] wrote. It never fails as a whole: what is no response has the
/// outcome [`ErrorKind::InvalidAgentResponse`]. One response that answers a stream is that stream's
/// only event.
pub fn read_response(kind: ReplyKind, body: &[u8]) -> Response<Reply> {
    respond_read(body, |result| answer::read_reply(kind, result))
}

/// Reads what [`write_event`] wrote; as [`read_response`]. An event of a kind that is not known here
/// is none.
pub fn read_event(body: &[u8]) -> Response<Option<StreamResponse>> {
    respond_read(body, answer::read_event)
}

fn respond_read<T>(body: &[u8], read: impl FnOnce(&str) -> Result<T, Error>) -> Response<T> {
    let incoming = match answer::text(body).and_then(answer::read::<Incoming>) {
        Ok(incoming) => incoming,
        Err(error) => return Response { id: Id::Null, outcome: Err(error) },
    };
    let outcome = match (incoming.error, incoming.result) {
        (Some(error), _) => Err(status::read_error(error.get(), None)),
        (None, Some(result)) => read(result.get()),
        (None, None) => Err(answer::unreadable("it has neither a result nor an error")),
    };
    Response { id: Id::read(incoming.id).unwrap_or(Id::Null), outcome }
}

/// The members of a response, unread.
#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// Some servers write `null` here where nothing is answered, and where there is an error.
    #[serde(borrow, default, deserialize_with = "member")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// A member that is there, also as `null`.
fn member<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
