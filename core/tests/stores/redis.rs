//! Redis, or Valkey.

use std::sync::Arc;

use a2a_core::TaskStore;

async fn fresh(case: &'static str) -> Arc<dyn TaskStore> {
    open(&format!("{case}-{:.8}&ttl=0", uuid::Uuid::new_v4().simple().to_string())).await
}

async fn open(rest: &str) -> Arc<dyn TaskStore> {
    a2a_core::store::open(&format!("redis://{}/?prefix={rest}", address())).await.unwrap()
}

fn address() -> String {
    std::env::var("A2A_TEST_REDIS").expect("run `cargo xtask test`, which starts it")
}

mod contract {
    a2a_core::store_conformance!(super::fresh);
}
