//! The limit of any Kafka function in Rust: lambda_runtime, aws_lambda_events and rdkafka, and
//! nothing between them. Each record's value is produced again under its key.
//!
//! `cargo xtask bench lambda` measures ours beside it.

use std::{env::var, sync::Arc};

use aws_lambda_events::kafka::KafkaEvent;
use base64::{Engine, engine::general_purpose::STANDARD};
use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    // As ours is set up, so that the two differ by what lies between only.
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", var("A2A_KAFKA")?)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .create()?;
    let topic: Arc<str> = var("A2A_KAFKA_RESPONSES")?.into();
    let service = service_fn(move |event: LambdaEvent<KafkaEvent>| {
        let (producer, topic) = (producer.clone(), Arc::clone(&topic));
        async move { answer(&producer, &topic, event.payload).await }
    });
    run_concurrent(service).await
}

/// Sends every record, then waits for every acknowledgement.
async fn answer(producer: &FutureProducer, topic: &str, event: KafkaEvent) -> Result<Value, Error> {
    let bytes = |text: Option<String>| STANDARD.decode(text.unwrap_or_default());
    let mut sent = Vec::new();
    for record in event.records.into_values().flatten() {
        let (key, value) = (bytes(record.key)?, bytes(record.value)?);
        let message = FutureRecord::to(topic).key(&key).payload(&value);
        sent.push(producer.send_result(message).map_err(|(error, _)| error)?);
    }
    for delivery in sent {
        delivery.await?.map_err(|(error, _)| error)?;
    }
    Ok(json!({ "batchItemFailures": [] }))
}
