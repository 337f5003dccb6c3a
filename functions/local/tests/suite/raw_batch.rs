//! A batch that no client would write: its codec is gzip by its own word, and its records are not.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// Has the broker append it to that partition.
pub(crate) fn append(broker: &str, topic: &str, partition: i32) {
    let mut connection = TcpStream::connect(broker).unwrap();
    let request = produce(topic, partition, &batch(b"this is no gzip"));
    connection.write_all(&length(&request).to_be_bytes()).unwrap();
    connection.write_all(&request).unwrap();
    let mut size = [0; 4];
    connection.read_exact(&mut size).unwrap();
    let mut response = vec![0; u32::from_be_bytes(size) as usize];
    connection.read_exact(&mut response).unwrap();
    // Correlation id, one topic, its name, one partition, its number; then its error.
    let error = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(response[error..error + 2], [0, 0], "the broker refuses it");
}

fn length(bytes: &[u8]) -> i32 {
    bytes.len().try_into().unwrap()
}

/// Produce, version 7.
fn produce(topic: &str, partition: i32, batch: &[u8]) -> Vec<u8> {
    let name = u16::try_from(topic.len()).unwrap();
    [
        // Header: the API, its version, a correlation id, no client id.
        &[0, 0, 0, 7, 0, 0, 0, 1, 0xff, 0xff][..],
        // No transaction, one acknowledgement, a second.
        &[0xff, 0xff, 0, 1],
        &1000_i32.to_be_bytes(),
        &1_i32.to_be_bytes(),
        &name.to_be_bytes(),
        topic.as_bytes(),
        &1_i32.to_be_bytes(),
        &partition.to_be_bytes(),
        &length(batch).to_be_bytes(),
        batch,
    ]
    .concat()
}

/// A record batch (magic 2) of one record.
fn batch(records: &[u8]) -> Vec<u8> {
    const NO_PRODUCER: [u8; 14] = [0xff; 14];
    const GZIP: [u8; 2] = [0, 1];
    let behind_its_length = [
        // Leader epoch, magic, a checksum that nobody checks.
        &[0, 0, 0, 0, 2, 0, 0, 0, 0][..],
        &GZIP,
        // The last offset's distance, two timestamps.
        &[0; 4],
        &[0; 16],
        &NO_PRODUCER,
        &1_i32.to_be_bytes(),
        records,
    ]
    .concat();
    let length = length(&behind_its_length).to_be_bytes();
    [&[0; 8][..], &length, &behind_its_length].concat()
}
