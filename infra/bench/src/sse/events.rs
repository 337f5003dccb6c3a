//! The events of one stream: counted, and checked to be complete and in order.

use crate::subjects::CHUNK_MARK;
use anyhow::{Result, ensure};

/// What the last event must hold.
const LAST: &str = "TASK_STATE_COMPLETED";
const DIGITS: usize = 6;

/// The events up to now.
#[derive(Debug, Default)]
pub(crate) struct Events {
    events: usize,
    chunks: usize,
    completed: bool,
}

impl Events {
    /// Reads one event.
    pub(crate) fn event(&mut self, data: &str) -> Result<()> {
        ensure!(!self.completed, "a stream went on after its end: {data}");
        self.events += 1;
        self.completed = data.contains(LAST);
        let digits = data.split_once(CHUNK_MARK).and_then(|(_, rest)| rest.get(..DIGITS));
        let Some(number) = digits.and_then(|digits| digits.parse::<usize>().ok()) else {
            return Ok(());
        };
        ensure!(self.chunks == number, "chunk {number} came where {} was due", self.chunks);
        self.chunks += 1;
        Ok(())
    }

    /// How many events there were, if the stream is whole.
    pub(crate) fn finish(&self, chunks: usize) -> Result<usize> {
        let seen = self.chunks;
        ensure!(seen == chunks, "a stream of {chunks} chunks ended after {seen}");
        ensure!(self.completed, "a stream's last event is not its task's completion");
        Ok(self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::chunk;

    fn read(data: &[&str]) -> Result<Events> {
        let mut events = Events::default();
        data.iter().try_for_each(|data| events.event(data))?;
        Ok(events)
    }

    const END: &str = r#"{"state":"TASK_STATE_COMPLETED"}"#;

    #[test]
    fn a_whole_stream_is_counted() {
        let events = read(&[&chunk(0), &chunk(1), END]).expect("in order");
        assert_eq!(events.finish(2).expect("whole"), 3);
    }

    #[test]
    fn a_chunk_out_of_order_is_an_error() {
        assert!(
            read(&[&chunk(0), &chunk(2)])
                .expect_err("1 is missing")
                .to_string()
                .contains("chunk 2")
        );
        assert!(read(&[&chunk(0), &chunk(0)]).is_err());
        assert!(
            read(&[&chunk(0), END, &chunk(1)])
                .expect_err("the end")
                .to_string()
                .contains("after its end")
        );
    }

    #[test]
    fn a_stream_cut_short_is_an_error() {
        let early = read(&[&chunk(0), END]).expect("in order");
        assert!(early.finish(2).is_err());
        let open = read(&[&chunk(0), &chunk(1)]).expect("in order");
        assert!(open.finish(2).expect_err("no end").to_string().contains("completion"));
    }
}
