//! Query strings as requests.
//!
//! Owns: reading a request from a query as leniently as from JSON, and writing one. Must never
//! know: which paths have which parameters.
//!
//! It is our own over `form_urlencoded`: `serde_html_form` refuses a repeated name, of which the
//! last value counts here, knows no boolean `1`, and visits a status as a name only.

use std::{borrow::Cow, collections::BTreeMap, fmt::Display};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, Error as _, IntoDeserializer, Visitor,
        value::{Error as ValueError, MapDeserializer},
    },
    forward_to_deserialize_any,
};

use super::wrong_field;
use crate::error::Error;

/// Reads a `T` from a query: names in camelCase or snake_case, enums by name or number, an empty
/// value for "unset", of several values the last, unknown names passed over. It goes through `T`'s
/// own `Deserialize`, so that what JSON may say a query may say.
///
/// # Errors
/// [`InvalidParams`](crate::error::ErrorKind::InvalidParams) naming the parameter.
pub(super) fn read<T: DeserializeOwned + Default>(query: Option<&str>) -> Result<T, Error> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(T::default()) };
    let pairs: BTreeMap<Cow<str>, Value> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (camel_case(name), Value(value)))
        .collect();
    let map: MapDeserializer<_, ValueError> = MapDeserializer::new(pairs.into_iter());
    serde_path_to_error::deserialize(map)
        .map_err(|error| wrong_field(&error.path().to_string(), &error.inner().to_string()))
}

/// `page_size` as `pageSize`: two names for one parameter must not count as two parameters.
fn camel_case(name: Cow<str>) -> Cow<str> {
    if !name.contains('_') {
        return name;
    }
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel.into()
}

/// One parameter's text, which what it is read as gives its type.
struct Value<'a>(Cow<'a, str>);

impl<'de> IntoDeserializer<'de, ValueError> for Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = ValueError;

    /// What may be a number or a name: integers and enums.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.0.is_empty() {
            return visitor.visit_unit();
        }
        match self.0.parse() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => visitor.visit_str(&self.0),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_str(&self.0)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_str(&self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match &*self.0 {
            "true" | "1" => visitor.visit_bool(true),
            "false" | "0" => visitor.visit_bool(false),
            other => Err(ValueError::custom(format_args!("expected true or false, not {other:?}"))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.0.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The writing half: parameters that are set, in the order they are added.
#[derive(Default)]
pub(super) struct Query(String);

impl Query {
    /// Adds the parameter where there is a value.
    pub(super) fn add(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            form_urlencoded::Serializer::new(&mut self.0).append_pair(name, &value.to_string());
        }
    }

    /// The query without its `?`.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{ListTasksRequest, TaskState};

    fn list(query: &str) -> Result<ListTasksRequest, String> {
        read(Some(query)).map_err(|error: Error| error.to_string())
    }

    #[test]
    fn both_spellings_and_the_last_value() {
        let expected = ListTasksRequest {
            context_id: Some("a b".into()),
            status: TaskState::Working,
            page_size: Some(5),
            status_timestamp_after: "2026-01-31T12:00:00Z".parse().ok(),
            include_artifacts: true,
            ..ListTasksRequest::default()
        };
        for query in [
            "contextId=a+b&status=TASK_STATE_WORKING&pageSize=5&includeArtifacts=true\
             &statusTimestampAfter=2026-01-31T12:00:00Z",
            "context_id=a%20b&status=2&page_size=5&include_artifacts=1\
             &status_timestamp_after=2026-01-31T13:00:00%2B01:00",
            "page_size=x&pageSize=5&contextId=a+b&status=9&status=2&includeArtifacts=true&A2A-Version=1.0\
             &statusTimestampAfter=2026-01-31T12%3A00%3A00.000Z&a&&=&_=&__x",
        ] {
            assert_eq!(list(query).as_ref(), Ok(&expected), "{query}");
        }
    }

    #[test]
    fn empty_is_unset() {
        let empty = "tenant=&contextId&status=&pageSize=&pageToken=&historyLength\
                     &statusTimestampAfter=&includeArtifacts=";
        assert_eq!(list(empty), Ok(ListTasksRequest::default()));
        assert_eq!(list(""), Ok(ListTasksRequest::default()));
    }

    #[test]
    fn digits_are_a_text_where_a_text_is_asked_for() {
        assert_eq!(list("contextId=007").unwrap().context_id.as_deref(), Some("007"));
        assert_eq!(list("page_token=1").unwrap().page_token.as_deref(), Some("1"));
    }

    #[test]
    fn malformed_values_are_named() {
        for (query, message) in [
            (
                "pageSize=many",
                "pageSize is wrong: invalid value: string \"many\", expected an integer in range",
            ),
            (
                "page_size=9999999999",
                "pageSize is wrong: invalid value: integer `9999999999`, expected an integer in range",
            ),
            (
                "status=working",
                "status is wrong: invalid value: string \"working\", \
                 expected a task state such as TASK_STATE_WORKING",
            ),
            (
                "includeArtifacts=yes",
                "includeArtifacts is wrong: expected true or false, not \"yes\"",
            ),
            (
                "statusTimestampAfter=today",
                "statusTimestampAfter is wrong: \
                 expected an ISO 8601 time such as 2026-01-31T12:00:00.000Z",
            ),
        ] {
            assert_eq!(list(query), Err(message.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn any_query_is_survived(query in "\\PC*", bytes in "([a-zA-Z_%&=+0-9]|pageSize=|status=)*") {
            let _ = (list(&query), list(&bytes));
        }
    }
}
