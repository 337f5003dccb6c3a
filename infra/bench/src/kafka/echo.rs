//! The limit of Kafka: each record is written back as it came, under its key. Deliveries are not
//! awaited one by one, but an offset is stored only once its reply is delivered, as ours does.

use a2a_core::kafka::Topics;
use a2a_local::broker::{EmbeddedBroker, create_topics};
use anyhow::{Context, Error, Result};
use futures_util::{StreamExt, TryStreamExt};
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::settings::{self, PARTITIONS};
use crate::child::Topic;

/// Replies on their way at any moment.
const IN_FLIGHT: usize = 1024;

/// Serves until the process ends. Calls `ready` with its broker's address once it is subscribed.
pub(crate) async fn serve(topic: &Topic, ready: impl FnOnce(&str)) -> Result<()> {
    let topics = Topics::of(&topic.name);
    let in_process;
    let address = match &topic.brokers {
        Some(address) => {
            create_topics(address, &topics, PARTITIONS).await.map_err(Error::msg)?;
            address.clone()
        }
        None => {
            let started = EmbeddedBroker::start(std::slice::from_ref(&topics), PARTITIONS);
            in_process = started.map_err(Error::msg)?;
            in_process.address()
        }
    };
    let consumer = settings::consumer(&address, &topic.name, topic.brokers.is_some());
    let consumer: StreamConsumer = consumer.create()?;
    let producer: FutureProducer = settings::producer(&address).create()?;
    consumer.subscribe(&[&topics.requests])?;
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
            let delivered = sent.context("the echo cannot send")?.await?;
            delivered.map_err(|(error, _)| error).context("a reply was not delivered")?;
            anyhow::Ok((partition, offset))
        }
    });
    let store = async |(partition, offset)| {
        let stored = consumer.store_offset(&topics.requests, partition, offset);
        stored.context("the echo cannot store an offset")
    };
    replies.buffered(IN_FLIGHT).try_for_each(store).await
}
