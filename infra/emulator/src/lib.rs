//! Lambda on a developer's machine.
//!
//! Two things that nothing else gives: a [`Function`] starts a real binary, sends it events and
//! *freezes* it as Lambda does, so that tests see what a pause breaks; an event source pours the
//! records of a real topic into a function and re-drives them by its answer.
//!
//! ```text
//!  test ─▶ Function ─▶ runtime_api ◀─ the binary, stopped in between ─▶ Kafka
//!
//!  topic ─▶ mapping ─▶ event_source ─▶ cargo lambda watch ─▶ the binary ─▶ Kafka
//!                                       └─▶ destination
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`function`], [`invocation`] | starting a function and invoking it; every wait is bounded |
//! | [`runtime_api`] | the Runtime API a function talks to, and when the process is frozen |
//! | `process` | the child, its output, the signals |
//! | [`answer`], [`failure`] | what came of an invocation |
//! | [`event_source`] | a function behind a topic: the event, the answer |
//! | [`mapping`], [`partition`] | a topic's batches: order, bisection, retries, age, offsets |
//! | [`invoke`] | calling it, wherever it is served |
//! | [`start`], [`destination`] | which record is the first; where those go that are given up |

pub mod answer;
pub mod destination;
pub mod event_source;
pub mod failure;
pub mod function;
pub mod invocation;
pub mod invoke;
pub mod mapping;
pub mod partition;
mod process;
pub mod runtime_api;
pub mod start;

pub use answer::{Answer, Chunk, Head};
pub use failure::Failure;
pub use function::{Deadline, Function, Settings, example};
pub use invocation::Invocation;
pub use runtime_api::Freeze;
