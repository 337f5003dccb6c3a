//! The limit of Kafka: each record is written back as it came, under its key. Deliveries are not
//! awaited one by one, but an offset is stored only once its reply is delivered, as ours does.

use a2a_core::kafka::Topics;
use a2a_local::broker::{EmbeddedBroker, create_topics};
use futures_util::{StreamExt, TryStreamExt};
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::settings::{self, PARTITIONS};
use crate::child::Topic;

/// Replies on their way at any moment.
const IN_FLIGHT: usize = 1024;

/// Serves until the process ends. Calls `ready` with its broker's address once it is subscribed.
pub(crate) async fn serve(topic: &Topic, ready: impl FnOnce(&str)) -> Result<(), String> {
    let error = |error| format!("the echo cannot start: {error}");
    let topics = Topics::of(&topic.name);
    let in_process;
    let address = match &topic.brokers {
        Some(address) => {
            create_topics(address, &topics, PARTITIONS).await?;
            address.clone()
        }
        None => {
            in_process = EmbeddedBroker::start(std::slice::from_ref(&topics), PARTITIONS)?;
            in_process.address()
        }
    };
    let consumer = settings::consumer(&address, &topic.name, topic.brokers.is_some());
    let consumer: StreamConsumer = consumer.create().map_err(error)?;
    let producer: FutureProducer = settings::producer(&address).create().map_err(error)?;
    consumer.subscribe(&[&topics.requests]).map_err(error)?;
    ready(&address);
    let messages = consumer.stream().filter_map(async |message| {
        message.inspect_err(|error| eprintln!("a2a-bench: echo: {error}")).ok()
    });
    let replies = messages.map(|message| {
        let record = FutureRecord::to(&topics.responses)
            .key(message.key().unwrap_or_default())
            .payload(message.payload().unwrap_or_default());
        let sent = producer.send_result(record).map_err(|(error, _)| error);
        let (partition, offset) = (message.partition(), message.offset());
        async move {
            let delivered = sent.map_err(|error| format!("the echo cannot send: {error}"))?.await;
            let delivered = delivered.map_err(|_| "the producer ended before a delivery")?;
            delivered.map_err(|(error, _)| format!("a reply was not delivered: {error}"))?;
            Ok((partition, offset))
        }
    });
    let store = async |(partition, offset)| {
        let stored = consumer.store_offset(&topics.requests, partition, offset);
        stored.map_err(|error| format!("the echo cannot store an offset: {error}"))
    };
    replies.buffered(IN_FLIGHT).try_for_each(store).await
}
