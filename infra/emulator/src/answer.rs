//! What a function answers, as it arrives.
//!
//! Owns: the parts of an answer, the prelude of a streamed HTTP response, arrival times. Must never
//! know: the process, sockets.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The headers, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// What is to be set as cookies.
    pub cookies: Vec<String>,
}

/// A whole answer.
#[derive(Clone, Debug)]
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
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// Takes the prelude off the front of an answer, if all of it is there.
    pub(crate) fn take(chunks: &mut Vec<Chunk>) -> Result<Option<Self>, String> {
        let all = concat(chunks);
        let Some(end) = all.windows(DELIMITER.len()).position(|window| window == DELIMITER) else {
            return Ok(None);
        };
        let mut left = end + DELIMITER.len();
        chunks.retain_mut(|chunk| {
            let cut = left.min(chunk.bytes.len());
            left -= cut;
            chunk.bytes = chunk.bytes.slice(cut..);
            !chunk.bytes.is_empty()
        });
        Self::read(&all[..end]).map(Some)
    }

    fn read(prelude: &[u8]) -> Result<Self, String> {
        let not = |why: &dyn std::fmt::Display| {
            format!("its prelude {:?} {why}", String::from_utf8_lossy(prelude))
        };
        let value: Value = serde_json::from_slice(prelude)
            .map_err(|error| not(&format!("is no JSON: {error}")))?;
        let status = value["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
        let strings = |value: &Value| -> Vec<String> {
            match value {
                Value::String(one) => vec![one.clone()],
                Value::Array(all) => {
                    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                _ => Vec::new(),
            }
        };
        let headers = value["headers"].as_object().into_iter().flatten();
        Ok(Self {
            status: status.ok_or_else(|| not(&"has no statusCode"))?,
            headers: headers
                .flat_map(|(name, value)| {
                    strings(value).into_iter().map(|value| (name.to_ascii_lowercase(), value))
                })
                .collect(),
            cookies: strings(&value["cookies"]),
        })
    }
}

impl Answer {
    /// The body in one piece.
    pub fn bytes(&self) -> Bytes {
        concat(&self.chunks)
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

fn concat(chunks: &[Chunk]) -> Bytes {
    if let [one] = chunks {
        return one.bytes.clone();
    }
    let mut all = BytesMut::with_capacity(chunks.iter().map(|chunk| chunk.bytes.len()).sum());
    chunks.iter().for_each(|chunk| all.extend_from_slice(&chunk.bytes));
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(parts: &[&[u8]]) -> Vec<Chunk> {
        let chunk =
            |bytes: &&[u8]| Chunk { bytes: Bytes::copy_from_slice(bytes), at: Duration::ZERO };
        parts.iter().map(chunk).collect()
    }

    #[test]
    fn a_prelude_is_found_wherever_it_is_cut() {
        let prelude = br#"{"statusCode":201,"headers":{"A":"b"},"cookies":["c=d"]}"#;
        let whole = [&prelude[..], &DELIMITER, b"body"].concat();
        for cut in 0..whole.len() {
            let (front, back) = whole.split_at(cut);
            let mut all = chunks(&[front]);
            let early = Head::take(&mut all).unwrap();
            all.extend(chunks(&[back]));
            let head = early.unwrap_or_else(|| Head::take(&mut all).unwrap().unwrap());
            assert_eq!((head.status, head.header("a")), (201, Some("b")), "cut at {cut}");
            assert_eq!(head.cookies, ["c=d"]);
            assert_eq!(concat(&all), "body", "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_prelude_is_refused_in_words() {
        let refused = |front: &[u8]| {
            let mut all = chunks(&[front, &DELIMITER]);
            Head::take(&mut all).unwrap_err()
        };
        assert!(refused(b"nonsense").contains("\"nonsense\" is no JSON"));
        assert!(refused(b"{}").contains("has no statusCode"));
    }
}
