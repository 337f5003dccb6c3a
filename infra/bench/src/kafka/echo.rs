//! The limit of Kafka: each record is written back as it came, under its key. Deliveries are not
//! awaited one by one, but an offset is stored only once its reply is delivered, as ours does.

use std::collections::VecDeque;

use futures_util::StreamExt;
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::settings;
use crate::cli::Route;

/// Replies on their way at any moment.
const MOST: usize = 1024;

/// A reply on its way, and the request it answers.
struct Sent {
    delivery: DeliveryFuture,
    partition: i32,
    offset: i64,
}

/// Serves until the process ends.
pub(crate) async fn serve(route: &Route, ready: impl FnOnce()) -> Result<(), String> {
    let error = |error| format!("the echo cannot start: {error}");
    let consumer: StreamConsumer =
        settings::consumer(route, &route.group).create().map_err(error)?;
    let producer: FutureProducer = settings::producer(&route.brokers).create().map_err(error)?;
    consumer.subscribe(&[&route.requests]).map_err(error)?;
    ready();
    let mut messages = consumer.stream();
    let mut sent = VecDeque::with_capacity(MOST);
    loop {
        tokio::select! {
            message = messages.next(), if sent.len() < MOST => match message {
                Some(Ok(message)) => sent.push_back(reply(&producer, &route.replies, &message)?),
                Some(Err(error)) => eprintln!("a2a-bench: echo: {error}"),
                None => return Ok(()),
            },
            delivered = oldest(&mut sent), if !sent.is_empty() => {
                delivered?;
                settle(&consumer, &route.requests, &mut sent)?;
            }
        }
    }
}

fn reply(
    producer: &FutureProducer,
    topic: &str,
    message: &BorrowedMessage<'_>,
) -> Result<Sent, String> {
    let record = FutureRecord::to(topic)
        .key(message.key().unwrap_or_default())
        .payload(message.payload().unwrap_or_default());
    let sent = producer.send_result(record);
    let delivery = sent.map_err(|(error, _)| format!("the echo cannot send: {error}"))?;
    Ok(Sent { delivery, partition: message.partition(), offset: message.offset() })
}

/// Waits until the oldest reply is delivered. It stays in the queue, so that nothing is lost when
/// a new request comes first.
async fn oldest(sent: &mut VecDeque<Sent>) -> Result<(), String> {
    let Some(Sent { delivery, .. }) = sent.front_mut() else { return Ok(()) };
    match delivery.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(format!("a reply was not delivered: {error}")),
        Err(_) => Err("the producer ended before a reply was delivered".to_owned()),
    }
}

/// Takes the delivered reply out of the queue and stores its request's offset.
fn settle(consumer: &StreamConsumer, topic: &str, sent: &mut VecDeque<Sent>) -> Result<(), String> {
    let Some(Sent { partition, offset, .. }) = sent.pop_front() else { return Ok(()) };
    let stored = consumer.store_offset(topic, partition, offset);
    stored.map_err(|error| format!("the echo cannot store an offset: {error}"))
}
