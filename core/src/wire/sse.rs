//! Server-sent events: the frame around one JSON text, as the HTTP bindings stream (specification
//! sections 9.4.2 and 11.7).
//!
//! Owns: the frame, and taking frames apart again. Must never know: what the JSON says, when a
//! stream ends.
//!
//! The decoder is our own because the reader bounds each event of a hostile server by what is held
//! of it ([`Decoder::held`]), takes bytes that need not be UTF-8, so that broken ones are an error
//! and no replacement characters, and gives an event no other id than its own: a client that resumes
//! takes an event with the id of the one before for a repeat.

use std::io::Write;

use bytes::{Buf, BytesMut};

use crate::task::Cursor;

/// A comment, which every reader skips: written now and then, so that nothing on the way takes a
/// quiet stream for a dead one.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// What some servers begin a text with, of which it says nothing.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Adds one event to `out`: `id: 12-3`, where it has a place in a journal, and `data: ` with the
/// JSON that `write_data` adds.
///
/// The JSON fits on one line: a string never holds a bare line break, so one could only be white
/// space between tokens, which nothing here writes. Were an agent to hand over such JSON by a way
/// not thought of, a break would tear the stream; so any is turned into a blank, which is the same
/// JSON.
pub fn write(out: &mut Vec<u8>, cursor: Option<Cursor>, write_data: impl FnOnce(&mut Vec<u8>)) {
    if let Some(cursor) = cursor {
        // Writing to a `Vec` never fails.
        let _ = writeln!(out, "id: {cursor}");
    }
    out.extend_from_slice(b"data: ");
    let start = out.len();
    write_data(out);
    for byte in &mut out[start..] {
        if is_break(*byte) {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// One event as a client received it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The event's own id, if it has one; a [`Cursor`]'s text when the event is from here.
    pub id: Option<String>,
    /// Its data, lines joined by `\n`.
    pub data: Vec<u8>,
}

/// Takes a stream apart, however its bytes come: lines may end in LF, CRLF or CR, and events may be
/// cut anywhere. A byte order mark, comments, other fields and events without data are skipped, and
/// so is an event that the stream's end cuts off.
///
/// ```
/// let mut decoder = a2a_core::wire::sse::Decoder::default();
/// decoder.push(b"id: 1-0\ndata: {\"task\"");
/// assert_eq!(decoder.next_event(), None);
/// decoder.push(b":{}}\n\n");
/// assert_eq!(decoder.next_event().unwrap().data, b"{\"task\":{}}");
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line break.
    searched: usize,
    /// Whether the line before ended in CR, so that a LF that follows belongs to it.
    after_cr: bool,
    /// Whether its beginning has come, where a byte order mark may stand.
    begun: bool,
    id: Option<String>,
    data: Option<Vec<u8>>,
}

impl Decoder {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event, if it has come; ask until there is none.
    pub fn next_event(&mut self) -> Option<Received> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.field(&line);
                continue;
            }
            let id = self.id.take();
            if let Some(data) = self.data.take() {
                return Some(Received { id, data });
            }
        }
        None
    }

    /// How many bytes it holds of an event that has not come whole yet. Nothing bounds it but
    /// whoever reads.
    pub fn held(&self) -> usize {
        let id = self.id.as_ref().map_or(0, String::len);
        self.buffer.len() + id + self.data.as_ref().map_or(0, Vec::len)
    }

    fn next_line(&mut self) -> Option<BytesMut> {
        if !self.begun {
            if self.buffer.len() < BYTE_ORDER_MARK.len()
                && BYTE_ORDER_MARK.starts_with(&self.buffer)
            {
                return None;
            }
            self.begun = true;
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.buffer.advance(BYTE_ORDER_MARK.len());
            }
        }
        if self.after_cr && !self.buffer.is_empty() {
            self.after_cr = false;
            if self.buffer[0] == b'\n' {
                self.buffer.advance(1);
            }
        }
        let rest = &self.buffer[self.searched..];
        let Some(found) = rest.iter().position(|&byte| is_break(byte)) else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + found);
        self.searched = 0;
        self.after_cr = self.buffer.first() == Some(&b'\r');
        self.buffer.advance(1);
        Some(line)
    }

    fn field(&mut self, line: &[u8]) {
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            // As browsers have it.
            b"id" if value.contains(&0) => {}
            b"id" => self.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"data" => match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            },
            // Comments have no name.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<Received> {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            events.extend(std::iter::from_fn(|| decoder.next_event()));
        }
        events
    }

    fn received(id: Option<&str>, data: &str) -> Received {
        Received { id: id.map(str::to_owned), data: data.into() }
    }

    #[test]
    fn written_form() {
        let mut out = Vec::new();
        let cursor = Cursor { version: 12, index: 3 };
        write(&mut out, Some(cursor), |out| out.extend_from_slice(b"{\"a\":1}"));
        write(&mut out, None, |out| out.extend_from_slice(b"{\r\n\"b\":2}"));
        assert_eq!(out, b"id: 12-3\ndata: {\"a\":1}\n\ndata: {  \"b\":2}\n\n");
    }

    #[test]
    fn what_other_servers_write() {
        for (stream, events) in [
            ("data: a\n\n", vec![received(None, "a")]),
            ("data:a\r\n\r\n", vec![received(None, "a")]),
            ("data:  a\r\r", vec![received(None, " a")]),
            ("data: a\ndata: b\ndata\n\n", vec![received(None, "a\nb\n")]),
            ("event: message\nid: 7\nretry: 1\n: hi\ndata: a\n\n", vec![received(Some("7"), "a")]),
            ("id: 7\n\ndata: a\n\n", vec![received(None, "a")]),
            (":\n\ndata:\n\n\n\ndata: b\n\n", vec![received(None, ""), received(None, "b")]),
            ("data: unfinished\n", vec![]),
            ("data: a\n\ndata: unfinished", vec![received(None, "a")]),
            ("\u{feff}data: a\n\n", vec![received(None, "a")]),
            ("\u{feff}\u{feff}data: a\n\n", vec![]),
            ("data: a\n\u{feff}data: b\n\n", vec![received(None, "a")]),
            (
                "data: a\r\ndata: b\n\r\ndata: c\r\n\r",
                vec![received(None, "a\nb"), received(None, "c")],
            ),
            ("id: 1\nid: 2\0\ndata: a\n\n", vec![received(Some("1"), "a")]),
            (
                "retry\nretry: never\nid\nDATA: x\n data: y\ndata: a\n\n",
                vec![received(Some(""), "a")],
            ),
            (":data: a\n: \u{0}\ndata: b\n\n", vec![received(None, "b")]),
        ] {
            assert_eq!(decode(&[stream.as_bytes()]), events, "{stream:?}");
            // One byte at a time.
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(decode(&bytes), events, "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(
            events in prop::collection::vec((any::<Option<(u64, u32)>>(), "[^\r\n]*"), 0..8),
            at in any::<prop::sample::Index>(),
        ) {
            let mut out = Vec::new();
            let mut expected = Vec::new();
            for (cursor, data) in &events {
                let cursor = cursor.map(|(version, index)| Cursor { version, index });
                write(&mut out, cursor, |out| out.extend_from_slice(data.as_bytes()));
                out.extend_from_slice(HEARTBEAT);
                expected.push(received(cursor.map(|it| it.to_string()).as_deref(), data));
            }
            let (before, after) = out.split_at(at.index(out.len() + 1));
            prop_assert_eq!(decode(&[before, after]), expected);
        }

        #[test]
        fn any_bytes_are_survived(chunks in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let whole = chunks.concat();
            prop_assert_eq!(decode(&chunks), decode(&[&whole]));
        }
    }
}
