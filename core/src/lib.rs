//! A2A (Agent2Agent) tasks over any transport and any store.
//!
//! An agent is an [`AgentExecutor`]. A [`DefaultRequestHandler`] serves it over every transport: HTTP
//! ([`http`]) and Kafka ([`kafka`]) decode to one [`Call`] and encode one [`Reply`]. A task is an
//! append-only journal in a [`TaskStore`]; its state is the journal, folded.
//!
//! ```text
//!  bytes ──wire──▶ Call ──▶ handler ──▶ engine ──turn──▶ run ──▶ AgentExecutor
//!                                         │               │            │ EventQueue
//!                                         │               ◀──events────┘
//!                                         │               │ append (the slot is the lock)
//!                                         ▼               ▼
//!  bytes ◀──wire── Reply ◀──────────── fold ◀──────── journal in a TaskStore ──tail──▶ streams
//! ```
//!
//! From the ground up; each module names only those above it in this table:
//!
//! | module | owns |
//! |---|---|
//! | [`types`] | the A2A 1.0 data model, whose serde form is the wire form |
//! | [`error`], [`limits`], [`env`](mod@env) | meanings, bounds, time and ids |
//! | [`call`] | one call, its caller, its reply; what is refused before a task is read |
//! | [`task`] | journal, entries and THE fold; what may be done to a task, decided purely |
//! | [`wire`] | bytes to calls, replies to bytes; the only place with method names, paths and codes |
//! | [`auth`] | the owner a call acts for; bearer tokens (feature `bearer`) |
//! | [`store`] | the contract of a database, and the stores |
//! | [`agent`] | what an agent's author meets |
//! | `engine` | the life of a run: turn, start, record, stream, take over |
//! | [`handler`] | the card, the callers, and which operation serves a call |
//! | [`http`], [`kafka`] | the transports: two pure functions and one await |
//! | `client` | calling agents, over the same transports (feature `client`) |
//!
//! | question | file |
//! |---|---|
//! | Where is a lease renewed? | `engine/recorder.rs` |
//! | What ends a run, and which end is whose fault? | `engine/ends.rs` |
//! | Where is an agent's step found that is done? | `task/steps.rs` |
//! | Where is an orphan taken over? | `engine/takeover.rs` |
//! | Where is a task's state decided? | `task/fold.rs` |
//! | Where is a redelivered record recognised? | `task/admit.rs` |
//! | Where is a record answered with an error? | `kafka/mod.rs` |
//! | Where does an error get its codes? | `wire/status.rs` |
//! | Where would I add an operation? | `handler.rs` |
//! | Where would I add a store? | `store/open.rs` |
//! | Where would I add a transport? | `http/mod.rs`, the example to follow |
//! | Where would I add a header of HTTP? | `wire/parameters.rs` |
//! | Where would I add a header of records? | `wire/kafka/header.rs` |
//! | Where would I add a limit? | `limits.rs` |
//!
//! Invariants, each kept in one file: only the fold changes a task; only `wire` knows the
//! protocol's names; a store appends and reads and knows no rules; nothing outlives the invocation
//! unseen ([`DefaultRequestHandler::settled`]).

pub mod agent;
pub mod auth;
pub mod call;
#[cfg(feature = "client")]
pub mod client;
mod engine;
pub mod env;
pub mod error;
pub mod handler;
pub mod http;
pub mod kafka;
pub mod limits;
pub mod store;
pub mod task;
pub mod types;
pub mod wire;

pub use agent::{Agent, AgentExecutor, Content, EventQueue, Peers, RequestContext, Stopped};
pub use async_trait::async_trait;
pub use call::{
    Call, Caller, Credentials, Cursor, Event, Events, IdempotencyKey, Reply, ReplyAddress,
    ReplyKind, StreamsEnd, TraceContext,
};
pub use engine::Sweeper;
pub use env::Env;
pub use error::{AgentError, Error, ErrorKind, FieldViolation};
pub use handler::DefaultRequestHandler;
pub use limits::Limits;
pub use store::{MemoryStore, TaskStore};
pub use types::*;
