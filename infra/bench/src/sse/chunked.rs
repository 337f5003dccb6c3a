//! HTTP's chunked transfer coding, decoded as the bytes come in.

use bytes::{Buf, BytesMut};

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    /// At a line with a length.
    #[default]
    Size,
    /// In a chunk of which this many bytes are still to come, its line end included.
    Data(usize),
    /// After the last chunk, before the empty line.
    Trailer,
    /// After the body.
    Done,
}

/// The decoder of one body.
#[derive(Debug, Default)]
pub(super) struct Chunked(State);

impl Chunked {
    /// Moves what can be decoded from `input` to the end of `output`; answers whether the body is
    /// complete. What follows the body stays in `input`.
    pub(super) fn decode(
        &mut self,
        input: &mut BytesMut,
        output: &mut Vec<u8>,
    ) -> Result<bool, String> {
        loop {
            let next = match self.0 {
                State::Size => match line(input) {
                    Some(line) => size(&line)?,
                    None => return Ok(false),
                },
                State::Data(left) if input.is_empty() && left > 0 => return Ok(false),
                State::Data(left) => data(left, input, output),
                State::Trailer => match line(input) {
                    Some(line) if line.is_empty() => State::Done,
                    Some(_) => State::Trailer,
                    None => return Ok(false),
                },
                State::Done => return Ok(true),
            };
            self.0 = next;
        }
    }
}

/// Takes a whole line without its end.
fn line(input: &mut BytesMut) -> Option<BytesMut> {
    let end = input.windows(2).position(|window| window == b"\r\n")?;
    let line = input.split_to(end);
    input.advance(2);
    Some(line)
}

/// The length in hexadecimal; what follows a semicolon is an extension.
fn size(line: &[u8]) -> Result<State, String> {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default().trim();
    match usize::from_str_radix(digits, 16) {
        Ok(0) => Ok(State::Trailer),
        Ok(length) => Ok(State::Data(length + 2)),
        Err(_) => Err(format!("a chunk's length is {text:?}")),
    }
}

fn data(left: usize, input: &mut BytesMut, output: &mut Vec<u8>) -> State {
    let taken = left.min(input.len());
    // The last two of the bytes to come are the line end.
    let wanted = taken.min(left.saturating_sub(2));
    output.extend_from_slice(&input[..wanted]);
    input.advance(taken);
    if taken == left { State::Size } else { State::Data(left - taken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"4\r\nab\r\n\r\nA;x=y\r\n0123456789\r\n0\r\ntrailer: x\r\n\r\nHTTP/1.1";

    #[test]
    fn a_body_is_decoded_wherever_it_is_cut() {
        for cut in 0..BODY.len() {
            let (mut decoder, mut output) = (Chunked::default(), Vec::new());
            let mut input = BytesMut::from(&BODY[..cut]);
            let early = decoder.decode(&mut input, &mut output).expect("valid");
            input.extend_from_slice(&BODY[cut..]);
            let done = decoder.decode(&mut input, &mut output).expect("valid");
            assert!(done, "cut at {cut}");
            assert_eq!(early, cut >= BODY.len() - 8, "cut at {cut}");
            assert_eq!(output, b"ab\r\n0123456789", "cut at {cut}");
            assert_eq!(&input[..], b"HTTP/1.1", "cut at {cut}");
        }
    }

    #[test]
    fn a_length_that_is_none_is_refused() {
        let mut input = BytesMut::from(&b"xyz\r\n"[..]);
        assert!(Chunked::default().decode(&mut input, &mut Vec::new()).is_err());
    }
}
