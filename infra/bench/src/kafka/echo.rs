//! The limit of Kafka: each record is written back as it came, under its key. Deliveries are not
//! awaited one by one, but an offset is stored only once its reply is delivered, as ours does.

use futures_util::{StreamExt, TryStreamExt};
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::settings;
use crate::child::Route;

/// Replies on their way at any moment.
const IN_FLIGHT: usize = 1024;

/// Serves until the process ends.
pub(crate) async fn serve(route: &Route, ready: impl FnOnce()) -> Result<(), String> {
    let error = |error| format!("the echo cannot start: {error}");
    let consumer: StreamConsumer =
        settings::consumer(route, &route.group).create().map_err(error)?;
    let producer: FutureProducer = settings::producer(&route.brokers).create().map_err(error)?;
    consumer.subscribe(&[&route.requests]).map_err(error)?;
    ready();
    let messages = consumer.stream().filter_map(async |message| {
        message.inspect_err(|error| eprintln!("a2a-bench: echo: {error}")).ok()
    });
    let replies = messages.map(|message| {
        let record = FutureRecord::to(&route.replies)
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
        let stored = consumer.store_offset(&route.requests, partition, offset);
        stored.map_err(|error| format!("the echo cannot store an offset: {error}"))
    };
    replies.buffered(IN_FLIGHT).try_for_each(store).await
}
