//! JSON that is carried, not interpreted.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// How deep carried JSON may nest, as in protobuf's own readers: what is deeper no client could
/// read back.
const MAX_DEPTH: usize = 100;

/// One JSON value exactly as it was written, insignificant white space apart: numbers keep all
/// their digits, object members their order, strings their escapes. It holds no line break, so it
/// fits on one line of an event stream.
///
/// ```
/// use a2a_core::Json;
/// let id: Json = serde_json::from_str(" 9007199254740993 ").unwrap();
/// assert_eq!(id.as_str(), "9007199254740993");
/// ```
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// When `value` cannot be written as JSON (a map whose keys are not texts, for example).
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(|raw| Self(raw.into()))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads the value as a `T`.
    ///
    /// # Errors
    /// When the value is not of `T`'s shape.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        compact(raw).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A JSON object: `metadata`, and an extension's `params` (a protobuf `Struct`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata(Json);

impl Metadata {
    /// Writes `value` as a JSON object.
    ///
    /// # Errors
    /// When `value` is not written as an object.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Self::try_from(Json::new(value)?).map_err(serde::ser::Error::custom)
    }

    /// The object as JSON.
    pub fn json(&self) -> &Json {
        &self.0
    }

    /// This object with the members of another: where both have one, the other's counts.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        type Members<'a> = std::collections::BTreeMap<std::borrow::Cow<'a, str>, &'a RawValue>;
        fn members(metadata: &Metadata) -> Option<Members<'_>> {
            serde_json::from_str(metadata.0.as_str()).ok()
        }
        let merged = members(self).zip(members(other)).and_then(|(mut all, newer)| {
            all.extend(newer);
            Self::new(&all).ok()
        });
        // Both are objects, so there is always a merged one.
        merged.unwrap_or_else(|| other.clone())
    }
}

impl TryFrom<Json> for Metadata {
    type Error = &'static str;

    fn try_from(json: Json) -> Result<Self, Self::Error> {
        if json.as_str().starts_with('{') { Ok(Self(json)) } else { Err("expected a JSON object") }
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Json::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Checks the depth and takes out white space between tokens; text without any is kept as it is,
/// uncopied.
fn compact(raw: Box<RawValue>) -> Result<Arc<RawValue>, String> {
    let text = raw.get();
    let (mut depth, mut in_string, mut escaped, mut spaces) = (0_usize, false, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b' ' | b'\t' | b'\n' | b'\r' => spaces = true,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("JSON nested deeper than {MAX_DEPTH} levels"));
        }
    }
    if !spaces {
        return Ok(raw.into());
    }
    let compacted =
        RawValue::from_string(without_spaces(text)).map_err(|error| error.to_string())?;
    Ok(compacted.into())
}

/// `text` is valid JSON, so outside of strings white space never separates two tokens that would
/// join without it.
fn without_spaces(text: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    text.chars()
        .filter(|&character| {
            if in_string {
                match character {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => in_string = false,
                    _ => {}
                }
                return true;
            }
            in_string = character == '"';
            !matches!(character, ' ' | '\t' | '\n' | '\r')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        serde_json::from_str::<Json>(text).unwrap().as_str().to_owned()
    }

    #[test]
    fn carried_json_is_kept_exactly() {
        for text in
            ["9007199254740993", "5", "5.0", "1e400", "null", r#"{"b":1,"a":[true,"\u00e9 \" x"]}"#]
        {
            assert_eq!(read(text), text);
        }
        assert_eq!(read("{ \"a\" :\r\n [ 1 , \"b \\\" c\" ] }"), r#"{"a":[1,"b \" c"]}"#);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(serde_json::from_str::<Json>(&nested(100)).is_ok());
        let error = serde_json::from_str::<Json>(&nested(101)).unwrap_err();
        assert!(error.to_string().starts_with("JSON nested deeper than 100 levels"), "{error}");
    }

    #[test]
    fn metadata_is_an_object() {
        assert!(serde_json::from_str::<Metadata>(" {\"a\":1}").is_ok());
        assert!(serde_json::from_str::<Metadata>("[1]").is_err());
        assert!(Metadata::new(&5).is_err());
    }

    #[test]
    fn merging_keeps_what_the_newer_one_does_not_name() {
        let metadata = |text| serde_json::from_str::<Metadata>(text).unwrap();
        let merged = metadata(r#"{"a":1.0,"b":[2]}"#).merged(&metadata(r#"{"b":3,"\u0063":4}"#));
        assert_eq!(merged.json().as_str(), r#"{"a":1.0,"b":3,"c":4}"#);
    }
}
