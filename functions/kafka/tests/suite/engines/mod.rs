//! What needs an engine. `cargo xtask test` starts them; `cargo xtask test --quick` leaves this out.

mod cuts;
mod freeze;
#[cfg(feature = "msk")]
mod login;
