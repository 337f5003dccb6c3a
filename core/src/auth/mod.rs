//! Whose a call is.

#[cfg(feature = "bearer")]
pub mod bearer;
pub(crate) mod owner;
