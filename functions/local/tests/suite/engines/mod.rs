//! What needs an engine. `cargo xtask test` starts them; `cargo xtask test --quick` leaves this out.

mod instances;
mod peers;
mod real_client;
mod real_kafka;
mod rebalance;
mod several;
mod topic_settings;
mod transactions;
