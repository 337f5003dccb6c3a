//! A2A (Agent2Agent) tasks over any transport and any store.
//!
//! An agent is an [`AgentExecutor`]. A [`DefaultRequestHandler`] runs it for every transport: HTTP
//! ([`http`]) and Kafka ([`kafka`]) decode to one [`Call`] and encode one [`Reply`]. A task is an
//! append-only journal in a [`TaskStore`]; its state is the journal, folded.
//!
//! ```text
//!  bytes ──wire──▶ Call ──▶ handler ──admit──▶ run ──▶ AgentExecutor
//!                              │               │            │ EventQueue
//!                              │               ◀──events────┘
//!                              │               │ append (the slot is the lock)
//!                              ▼               ▼
//!  bytes ◀──wire── Reply ◀── fold ◀──────── journal in a TaskStore ──tail──▶ streams
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`types`] | the A2A 1.0 data model, whose serde form is the wire form |
//! | [`call`] | one call, one reply |
//! | [`error`], [`limits`], [`env`](mod@env) | meanings, bounds, time and ids |
//! | [`journal`] | entries, cursors and THE fold |
//! | `admit` | what may be done to a task, decided purely |
//! | [`store`] | the contract of a database, and the memory store |
//! | [`executor`], [`queue`] | what an agent's author meets |
//! | [`agent`] | an agent, as it is handed to whoever serves it |
//! | `claim`, `ledger`, `record`, `run` | claiming work on a message, appending, recording, running |
//! | `send`, `follow` | answering, streaming |
//! | `orphan`, `sweep` | taking over work that nobody does any more, and looking for it |
//! | `list`, `page` | listing, page tokens |
//! | [`handler`] | every operation |
//! | `owner`, `bearer` | whose a call is; bearer tokens (feature `bearer`) |
//! | [`wire`] | bytes to calls, replies to bytes; the only place with method names, paths and codes |
//! | [`http`], [`kafka`] | the transports: two pure functions and one await |
//! | `client` | calling agents, over the same transports (feature `client`) |
//!
//! Invariants, each kept in one place: only `journal` changes a task; only `wire` knows the
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
pub use call::{Call, Caller, Cursor, Event, Events, IdempotencyKey, Reply, ReplyKind, StreamsEnd};
pub use engine::Sweeper;
pub use env::Env;
pub use error::{AgentError, Error, ErrorKind};
pub use handler::DefaultRequestHandler;
pub use limits::Limits;
pub use store::{MemoryStore, TaskStore};
pub use types::*;
