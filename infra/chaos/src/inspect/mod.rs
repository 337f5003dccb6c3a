//! What is looked at when all is over, each by itself: the replies, the journals, the executions.
//!
//! Owns: what must hold. Must never know: how it came about.

pub(crate) mod executions;
pub(crate) mod journals;
pub(crate) mod replies;
mod story;
