//! The life of a run: claim a turn, drive the executor, record what it says, stream, take over.

pub(crate) mod follow;
pub(crate) mod list;
pub(crate) mod page;
pub(crate) mod recorder;
pub(crate) mod run;
pub(crate) mod send;
mod sweeper;
pub(crate) mod takeover;
pub(crate) mod turn;
pub(crate) mod writer;

pub use sweeper::Sweeper;
