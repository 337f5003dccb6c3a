//! A batch that cannot be decoded holds its partition up for a while, and then not any more. On the
//! broker in this process, which keeps whatever is produced.

use std::time::Duration;

use a2a_local::{health::Health, kafka::Work};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{agents::Agent, kafka_agent::KafkaAgent, kafka_client::KafkaClient};

const TOPIC: &str = "agent.data.requests";

/// Produces a batch of so many records to partition 0, with a codec that nobody knows.
async fn produce_undecodable(broker: &str, records: i32) {
    const UNKNOWN_CODEC: i16 = 7;
    let mut rest = Vec::new();
    rest.extend(0_i32.to_be_bytes()); // leader's epoch
    rest.push(2); // magic
    rest.extend(0_u32.to_be_bytes()); // checksum: not asked for
    rest.extend(UNKNOWN_CODEC.to_be_bytes());
    rest.extend((records - 1).to_be_bytes()); // last offset's delta
    rest.extend([1_i64, 1, -1].map(i64::to_be_bytes).concat()); // times, producer
    rest.extend((-1_i16).to_be_bytes()); // producer's epoch
    rest.extend((-1_i32).to_be_bytes()); // sequence
    rest.extend(records.to_be_bytes());
    rest.extend(b"nobody can read this");
    let length = i32::try_from(rest.len()).unwrap();
    let batch = [&0_i64.to_be_bytes()[..], &length.to_be_bytes(), &rest].concat();

    let mut request = Vec::new();
    request.extend([0_i16, 3].map(i16::to_be_bytes).concat()); // Produce, version 3
    request.extend(1_i32.to_be_bytes()); // correlation
    request.extend((-1_i16).to_be_bytes()); // client
    request.extend((-1_i16).to_be_bytes()); // transaction
    request.extend((-1_i16).to_be_bytes()); // acks
    request.extend([5_000, 1].map(i32::to_be_bytes).concat()); // timeout, topics
    request.extend(i16::try_from(TOPIC.len()).unwrap().to_be_bytes());
    request.extend(TOPIC.as_bytes());
    let bytes = i32::try_from(batch.len()).unwrap();
    request.extend([1, 0, bytes].map(i32::to_be_bytes).concat()); // partitions, partition, bytes
    request.extend(batch);
    let mut socket = TcpStream::connect(broker).await.unwrap();
    socket.write_i32(i32::try_from(request.len()).unwrap()).await.unwrap();
    socket.write_all(&request).await.unwrap();
    let length = socket.read_i32().await.unwrap();
    let mut response = vec![0; usize::try_from(length).unwrap()];
    socket.read_exact(&mut response).await.unwrap();
    // Correlation, topics, the topic's name, partitions, the partition; then the error.
    let at = 4 + 4 + 2 + TOPIC.len() + 4 + 4;
    assert_eq!(response[at..at + 2], [0, 0], "it was not produced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_decoded_is_passed_over_after_a_while() {
    let health = Health::default();
    let undecodable = Duration::from_secs(1);
    let work = Work { undecodable, health: health.clone(), ..Work::default() };
    let agent = KafkaAgent::start_with(Agent::Data.handler(), work);
    let broker = agent.broker.bootstrap_servers();
    let client = KafkaClient::connect(&broker, "data");
    let ask = async |partition: i32, key: &str| {
        let value = json!({ "message": { "text": "Terran win rate" } }).to_string();
        client.send_to(Some(partition), Some(key.as_bytes()), Some(value.as_bytes()), &[]).await;
    };
    ask(0, "before").await;
    assert_eq!(client.next().await.key(), "before");
    assert_eq!(health.report(), json!({ "status": "ok" }));
    produce_undecodable(&broker, 3).await;
    ask(0, "behind").await;
    ask(1, "beside").await;
    assert_eq!(client.next().await.key(), "beside", "the other partition goes on");
    while health.report()["status"] == "ok" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let told = health.report()["troubles"].to_string();
    assert!(told.contains(TOPIC), "{told}");
    let (mut letters, mut behind) = (Vec::new(), false);
    while letters.len() < 3 || !behind {
        let received = client.next().await;
        match received.record.header("a2a-error-offset") {
            Some(offset) => letters.push((
                received.record.header("a2a-error-topic").unwrap().to_owned(),
                received.record.header("a2a-error-partition").unwrap().to_owned(),
                offset.to_owned(),
            )),
            None => behind = received.key() == "behind",
        }
    }
    letters.sort();
    let expected = ["1", "2", "3"].map(|offset| (TOPIC.into(), "0".into(), offset.into()));
    assert_eq!(letters, expected);
    assert_eq!(health.report(), json!({ "status": "ok" }));
    ask(1, "after").await;
    assert_eq!(client.next().await.key(), "after", "nothing stays paused");
    agent.stop().await;
}
