//! Who calls.
//!
//! ```text
//!  Authorization ──▶ identity ──check──▶ bearer ──signature──▶ key
//!                        │
//!                        ▼
//!                 the owner whose tasks the call is about
//! ```

#[cfg(feature = "bearer")]
pub mod bearer;
mod identity;

pub(crate) use identity::{Identity, Login};
