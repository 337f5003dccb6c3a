//! The life of a run.
//!
//! ```text
//!  send ──▶ turn ──▶ start ──▶ run ──▶ recorder ──▶ writer ──▶ TaskStore
//!    │        │ wait             │ drives the executor             │
//!    │        ▼                  ▼                                 │ tail
//!    │     takeover ◀── sweeper  the answer                        ▼
//!    └───────────────────────────▶ subscribe ◀──────────────── follow
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `state` | what all operations share |
//! | `send`, `cancel`, `read`, `subscribe` | the operations |
//! | `turn`, `start` | whose turn it is on a task, and recording that work starts |
//! | `recorded` | whether a call was recorded before |
//! | `run`, `recorder`, `batch` | driving the executor, recording what it says, in batches |
//! | `ends` | when the time of a run is over |
//! | `answer` | the answer to whoever waits for a run |
//! | `writer` | appending to one journal |
//! | `follow`, `streams` | a journal as a stream of events, and how many of them are open |
//! | `size` | how large an answer may be |
//! | `host` | this process by its name, and the signs of life of its runs |
//! | `liveness`, `takeover`, `sweeper` | expired leases, and taking over the work behind them |
//! | `page` | page tokens |
//! | `places` | how many runs are at work at once |

mod answer;
mod batch;
mod cancel;
mod ends;
mod follow;
mod host;
mod liveness;
mod page;
mod places;
mod read;
mod recorded;
mod recorder;
mod run;
mod send;
mod size;
mod start;
mod state;
mod streams;
mod subscribe;
mod sweeper;
mod takeover;
mod turn;
mod writer;

pub(crate) use page::PageKey;
pub(crate) use state::Engine;
pub(crate) use subscribe::until;
pub use sweeper::Sweeper;
