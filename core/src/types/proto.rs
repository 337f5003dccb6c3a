//! What ProtoJSON allows a reader to meet, as serde functions shared by all types.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serializer,
    de::{self, Visitor},
};

/// `null` means "unset" for every ordinary field.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A text where unset and empty are the same, as proto3 has it.
pub(super) fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: for<'a> From<&'a str>,
{
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(|text| text.as_ref().into()))
}

/// The same inside a visitor that reads its fields by hand.
pub(super) struct Text(pub(super) Option<std::sync::Arc<str>>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Self)
    }
}

/// An integer, written as a number or as a string.
pub(super) fn integer<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + FromStr,
{
    deserializer.deserialize_any(Integer(PhantomData))
}

struct Integer<T>(PhantomData<T>);

impl<'de, T: TryFrom<i64> + FromStr> Visitor<'de> for Integer<T> {
    type Value = Option<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an integer in range")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        let unexpected = de::Unexpected::Signed(value);
        T::try_from(value).map(Some).map_err(|_| E::invalid_value(unexpected, &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        let signed = i64::try_from(value)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))?;
        self.visit_i64(signed)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        // ProtoJSON writes 5.0 or 5e0 for 5 in some languages; only whole numbers are integers.
        if value.fract() == 0.0 && value.abs() < 9e15 {
            return self.visit_i64(value as i64);
        }
        Err(E::invalid_value(de::Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        value.parse().map(Some).map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
    }
}

/// The table behind an enum: names as the specification writes them, numbers as the proto has them.
pub(super) trait ProtoEnum: Copy + Sized + 'static {
    const EXPECTING: &'static str;
    const VALUES: &'static [(Self, &'static str, i64)];
}

/// Reads an enum by name or by number; `null` is the value numbered 0.
pub(super) fn enumeration<'de, D: Deserializer<'de>, T: ProtoEnum>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(Enumeration(PhantomData))
}

struct Enumeration<T>(PhantomData<T>);

impl<'de, T: ProtoEnum> Visitor<'de> for Enumeration<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(T::EXPECTING)
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        self.visit_i64(0)
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<T, E> {
        let found = T::VALUES.iter().find(|(_, known, _)| *known == name);
        found
            .map(|(value, ..)| *value)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(name), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let found = T::VALUES.iter().find(|(.., known)| *known == number);
        found
            .map(|(value, ..)| *value)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Base64 of either alphabet, padded or not.
pub(super) fn decode_base64(text: &str) -> Result<Bytes, base64::DecodeError> {
    let standard = if text.bytes().any(|byte| matches!(byte, b'-' | b'_')) {
        Cow::Owned(text.replace('-', "+").replace('_', "/"))
    } else {
        Cow::Borrowed(text)
    };
    LENIENT.decode(standard.as_bytes()).map(Bytes::from)
}

/// Padded base64 of the standard alphabet.
pub(crate) fn write_base64<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// Base64 of either alphabet, padded or not.
pub(crate) fn read_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    decode_base64(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// For `skip_serializing_if`: proto3 leaves out what has its default value, as if unset.
pub(super) fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
