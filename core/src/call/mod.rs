//! One call and its reply, as values.
//!
//! ```text
//!  bytes ──wire──▶ Caller, Call ──check──▶ handler ──▶ Reply ──wire──▶ bytes
//! ```

mod caller;
pub(crate) mod check;
mod cursor;
mod operation;
mod validate;

pub use caller::{Caller, Credentials, IdempotencyKey, ReplyAddress, StreamsEnd, TraceContext};
pub use cursor::{Cursor, Version};
pub use operation::{Call, Event, Events, Reply, ReplyKind};
