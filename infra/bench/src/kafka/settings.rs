//! The client settings of everything measured over Kafka: the echo, our path and the driver.

use rdkafka::ClientConfig;

use crate::child::Route;

/// Partitions of every topic.
pub(crate) const PARTITIONS: i32 = 6;

/// A producer that neither loses nor repeats a record. It waits for no more records before it
/// sends: measured, a wait of 1 ms gains a tenth of the rate at 256 in flight, and makes a lone
/// round trip four times as long.
pub(crate) fn producer(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0");
    config
}

/// A consumer that commits, now and then, the offsets it was told to store.
pub(crate) fn consumer(route: &Route, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &route.brokers)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("enable.auto.offset.store", "false")
        .set("fetch.wait.max.ms", route.fetch_wait_ms.to_string());
    config
}
