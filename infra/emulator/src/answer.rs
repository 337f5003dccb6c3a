//! What a function answers, as it arrives.
//!
//! Owns: the parts of an answer, the prelude of a streamed HTTP response, arrival times. Must never
//! know: the process, sockets.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

/// What stands between the prelude of a streamed HTTP response and its body.
const DELIMITER: [u8; 8] = [0; 8];

/// Bytes of an answer as they came in one piece.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The bytes.
    pub bytes: Bytes,
    /// When they came, counted from the invocation.
    pub at: Duration,
}

/// The head of a streamed HTTP response: what API Gateway makes its own head of.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    #[serde(rename = "statusCode")]
    pub status: u16,
    /// The headers.
    #[serde(default, with = "http_serde::header_map")]
    pub headers: HeaderMap,
    /// What is to be set as cookies.
    #[serde(default)]
    pub cookies: Vec<String>,
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Whether it was streamed.
    pub streamed: bool,
    /// The head, if it is a streamed HTTP response.
    pub head: Option<Head>,
    /// The body in the pieces it came in, without the head.
    pub chunks: Vec<Chunk>,
    /// How long it took from the invocation to the body's end.
    pub took: Duration,
}

impl Head {
    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Takes the prelude and its delimiter off the front of an answer, if all of it is there.
    pub(crate) fn take(front: &mut BytesMut) -> Result<Option<Self>, String> {
        let mut windows = front.windows(DELIMITER.len());
        let Some(end) = windows.position(|window| window == DELIMITER) else { return Ok(None) };
        let prelude = front.split_to(end);
        front.advance(DELIMITER.len());
        serde_json::from_slice(&prelude).map(Some).map_err(|error| {
            format!("its prelude {:?} is no head: {error}", String::from_utf8_lossy(&prelude))
        })
    }
}

impl Answer {
    /// The body in one piece.
    pub fn bytes(&self) -> Bytes {
        let all: Vec<&[u8]> = self.chunks.iter().map(|chunk| &*chunk.bytes).collect();
        all.concat().into()
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prelude_is_found_wherever_it_is_cut() {
        let prelude = br#"{"statusCode":201,"headers":{"A":"b"},"cookies":["c=d"]}"#;
        let whole = [&prelude[..], &DELIMITER, b"body"].concat();
        for cut in 0..whole.len() {
            let (front, back) = whole.split_at(cut);
            let mut all = BytesMut::from(front);
            let early = Head::take(&mut all).unwrap();
            all.extend_from_slice(back);
            let head = early.unwrap_or_else(|| Head::take(&mut all).unwrap().unwrap());
            assert_eq!((head.status, head.header("a")), (201, Some("b")), "cut at {cut}");
            assert_eq!(head.cookies, ["c=d"]);
            assert_eq!(&all[..], b"body", "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_prelude_is_refused_in_words() {
        let refused = |front: &[u8]| {
            Head::take(&mut BytesMut::from(&*[front, &DELIMITER].concat())).unwrap_err()
        };
        assert!(refused(b"nonsense").contains("\"nonsense\" is no head"));
        assert!(refused(b"{}").contains("missing field `statusCode`"));
    }
}
