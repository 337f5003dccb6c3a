//! The client settings of what is measured beside ours over Kafka, and of the driver.

use rdkafka::ClientConfig;

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

/// A consumer that commits, now and then, the offsets it was told to store. A real broker answers a
/// fetch as soon as there are records. The in-process one does not: it lets the whole wait pass
/// first, so the wait must be short; both are as in the local runner.
pub(crate) fn consumer(brokers: &str, group: &str, is_real: bool) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("enable.auto.offset.store", "false")
        .set("fetch.wait.max.ms", if is_real { "500" } else { "5" });
    config
}
