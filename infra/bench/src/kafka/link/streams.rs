//! Streams over Kafka: each request is answered with a record per event, and every event must come,
//! in order, before the run counts.

use std::time::Instant;

use rdkafka::Message;
use rdkafka::producer::BaseRecord;

use super::{Link, index, key};
use crate::sse::events::Events;
use crate::stats::Sample;

impl Link {
    /// Asks for `streams` streams of so many chunks, never more than `window` at a time. Answers
    /// events a second.
    pub(in crate::kafka) async fn streams(
        &self,
        request: &[u8],
        chunks: usize,
        streams: usize,
        window: usize,
    ) -> Result<Sample, String> {
        let number = self.run.replace(self.run.get() + 1);
        let mut open: Vec<Option<Events>> = Vec::with_capacity(streams);
        let (mut ended, mut events) = (0, 0);
        let began = Instant::now();
        while ended < streams {
            while open.len() < streams && open.len() - ended < window.max(1) {
                let key = key(number, open.len());
                let record = BaseRecord::to(&self.topic).key(&key).payload(request);
                let sent = self.producer.send(record);
                sent.map_err(|(error, _)| format!("cannot send a request: {error}"))?;
                open.push(Some(Events::default()));
            }
            let Some(message) = self.next().await? else { continue };
            let key = message.key().and_then(|key| str::from_utf8(key).ok()).unwrap_or_default();
            let Some(place) = index(number, key).and_then(|index| open.get_mut(index)) else {
                continue;
            };
            let Some(stream) = place else {
                return Err(format!("the stream of {key} went on after its end"));
            };
            stream.event(message.payload().unwrap_or_default())?;
            if is_last(&message) {
                events += stream.finish(chunks)?;
                ended += 1;
                *place = None;
            }
        }
        Ok(Sample::of(events as f64 / began.elapsed().as_secs_f64()))
    }
}

fn is_last(message: &impl Message) -> bool {
    use rdkafka::message::Headers;
    message.headers().is_some_and(|headers| headers.iter().any(|header| header.key == "a2a-last"))
}
