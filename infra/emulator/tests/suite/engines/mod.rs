//! What needs an engine. `cargo xtask test` starts them; `cargo xtask test --quick` leaves this out.

mod event_source;
