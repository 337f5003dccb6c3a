//! The events of one stream: counted, and checked to be complete and in order.

use crate::subjects::CHUNK_MARK;

/// What the last event must hold.
const LAST: &[u8] = b"TASK_STATE_COMPLETED";
const DIGITS: usize = 6;

/// Reads one stream: its body, or its events one by one.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Bytes of a line whose end has not come yet; [`Events::take`] empties it.
    pub(super) pending: Vec<u8>,
    events: usize,
    chunks: usize,
    last: Vec<u8>,
    /// Where the mark stood in the chunk before: nearly always where it stands in the next.
    place: usize,
}

impl Events {
    /// Reads all whole lines of `pending`.
    pub(super) fn take(&mut self) -> Result<(), String> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if let Some(data) = line.strip_prefix(b"data:") {
                self.event(data)?;
            }
        }
        let consumed = pending.len() - rest.len();
        self.pending = pending;
        self.pending.drain(..consumed);
        Ok(())
    }

    /// Reads one event.
    pub(crate) fn event(&mut self, data: &[u8]) -> Result<(), String> {
        self.events += 1;
        self.last.clear();
        self.last.extend_from_slice(data);
        let Some(number) = self.number(data) else { return Ok(()) };
        if number != self.chunks {
            return Err(format!("chunk {number} came where {} was due", self.chunks));
        }
        self.chunks += 1;
        Ok(())
    }

    /// The number of the chunk in this event, if it is one.
    fn number(&mut self, data: &[u8]) -> Option<usize> {
        let mark = CHUNK_MARK.as_bytes();
        let found = if data.get(self.place..).is_some_and(|rest| rest.starts_with(mark)) {
            self.place
        } else {
            data.windows(mark.len()).position(|window| window == mark)?
        };
        self.place = found;
        let digits = data.get(found + mark.len()..found + mark.len() + DIGITS)?;
        str::from_utf8(digits).ok()?.parse().ok()
    }

    /// How many events there were, if the stream is whole.
    pub(crate) fn finish(&self, chunks: usize) -> Result<usize, String> {
        if self.chunks != chunks {
            return Err(format!("a stream of {chunks} chunks ended after {}", self.chunks));
        }
        if !self.last.windows(LAST.len()).any(|window| window == LAST) {
            let last = String::from_utf8_lossy(&self.last);
            return Err(format!("a stream's last event is not its task's completion: {last}"));
        }
        Ok(self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::chunk;

    fn read(lines: &[String]) -> Result<Events, String> {
        let mut events = Events::default();
        for byte in lines.concat().bytes() {
            events.pending.push(byte);
            events.take()?;
        }
        Ok(events)
    }

    fn event(number: usize) -> String {
        format!("id: {number}\r\ndata: {{\"text\":\"{}\"}}\r\n\r\n", chunk(number))
    }

    fn end() -> String {
        "data: {\"state\":\"TASK_STATE_COMPLETED\"}\n\n".to_owned()
    }

    #[test]
    fn a_whole_stream_is_counted() {
        let events = read(&[": hello\n\n".into(), event(0), event(1), end()]).expect("in order");
        assert_eq!(events.finish(2), Ok(3));
    }

    #[test]
    fn a_chunk_out_of_order_is_an_error() {
        assert!(read(&[event(0), event(2)]).expect_err("1 is missing").contains("chunk 2"));
        assert!(read(&[event(0), event(0)]).is_err());
    }

    #[test]
    fn a_stream_cut_short_is_an_error() {
        let early = read(&[event(0), end()]).expect("in order");
        assert!(early.finish(2).is_err());
        let open = read(&[event(0), event(1)]).expect("in order");
        assert!(open.finish(2).expect_err("no end").contains("completion"));
    }
}
