//! 4,000 requests over each store while runners and the broker are killed. `cargo xtask test`
//! starts the engines.

#![allow(clippy::unwrap_used, reason = "all of it is tests; the unwraps are assertions")]

use std::io::Write;

use a2a_chaos::{Options, Store};

/// Always the same plan here, so that the counts are; `cargo xtask chaos` takes others.
const SEED: u64 = 6;
const REQUESTS: usize = 4_000;

async fn survives(store: Store) {
    let runner = env!("CARGO_BIN_EXE_a2a-chaos-runner").into();
    let options = Options { store, requests: REQUESTS, seed: SEED, runner };
    let report = a2a_chaos::run(&options).await.unwrap();
    // Past what the harness swallows of a test that passes: the counts are its result.
    std::io::stderr().write_all(report.to_string().as_bytes()).unwrap();
    assert!(report.faults.is_empty(), "{} faults, told above", report.faults.len());
}

#[tokio::test]
async fn nothing_is_lost_or_done_twice() {
    // One after the other: two clusters at once are too slow to start on two cores.
    survives(Store::DynamoDb).await;
    survives(Store::Postgres).await;
}
