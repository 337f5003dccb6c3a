//! Points in time.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time: milliseconds since 1970-01-01 UTC. Written as ISO 8601 with `Z` and three
/// decimals (specification section 5.6.1); read with any offset and any number of decimals, from
/// the year 1 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From the year 1 to 9999-12-30T22:00:00Z: what ISO 8601 with four digits can say in every
    /// time zone.
    const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_207_200_000;

    /// The point `millis` milliseconds after 1970-01-01 UTC, moved into that range.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(*Self::RANGE.start(), *Self::RANGE.end()))
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn as_millis(self) -> i64 {
        self.0
    }
}

impl Timestamp {
    /// As HTTP headers have it (RFC 9110), for example `Sat, 31 Jan 2026 12:00:00 GMT`.
    pub(crate) fn http_date(self) -> String {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        printer.timestamp_to_rfc9110_string(&instant).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(formatter, "{instant:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text, |nanos| nanos.div_euclid(NANOS))
    }
}

/// A millisecond's nanoseconds.
const NANOS: i128 = 1_000_000;

impl Timestamp {
    fn read(text: &str, millis: impl FnOnce(i128) -> i128) -> Result<Self, &'static str> {
        let instant: jiff::Timestamp = text
            .parse()
            .map_err(|_| "expected an ISO 8601 time such as 2026-01-31T12:00:00.000Z")?;
        let millis = i64::try_from(millis(instant.as_nanosecond())).ok();
        let in_range = millis.filter(|millis| Self::RANGE.contains(millis));
        in_range.map(Self).ok_or("the year must be 1 to 9999")
    }
}

/// Reads a lower bound, in which a part of a millisecond counts as a whole one: what was in that
/// millisecond came before.
pub(super) fn at_least<'de, D>(deserializer: D) -> Result<Option<Timestamp>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    let up = |nanos: i128| -(-nanos).div_euclid(NANOS);
    text.map(|text| Timestamp::read(&text, up)).transpose().map_err(de::Error::custom)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn written_in_utc_with_milliseconds() {
        for (text, written) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
            ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123Z"),
            ("2026-01-31T21:00:00.5+09:00", "2026-01-31T12:00:00.500Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), written);
        }
        for text in ["", "now", "2026-01-31", "2026-13-01T00:00:00Z", "2026-01-31T12:00:00"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(millis in any::<i64>()) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
        }
    }
}
