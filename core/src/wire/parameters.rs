//! Service parameters as HTTP carries them, beside the call (specification section 3.2.6).
//!
//! Owns: the headers' names. Must never know: what they change.

use http::HeaderName;

/// The protocol's version as a client of this project speaks it.
pub(crate) const PROTOCOL_VERSION: &str = "1.0";

/// `A2A-Version`.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("a2a-version");
/// `A2A-Extensions`: URIs, with commas between.
pub(crate) const EXTENSIONS: HeaderName = HeaderName::from_static("a2a-extensions");
/// The event after which a stream is continued.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The idempotency key, under which the client may retry the request.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The same by the Kafka binding's name for it.
pub(crate) const A2A_IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("a2a-idempotency-key");
/// The caller's distributed trace (W3C Trace Context).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What systems on the trace's way add to it.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The media type of JSON-RPC, and of HTTP+JSON's errors.
pub(crate) const JSON: &str = "application/json";
/// The media type of HTTP+JSON (specification section 11.1).
pub(crate) const A2A_JSON: &str = "application/a2a+json";
/// The media type of streams.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";
