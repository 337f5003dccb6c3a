//! Correlation ids: what a request and its answers have in common.
//!
//! Owns: ids that nobody can foresee, and how a record's key holds one. Must never know: records.
//!
//! Topics are shared: who knows the id of a pending request can have the agent answer under it, by a
//! request of their own. So each id is random.

use std::fmt;

use uuid::Uuid;

/// What a request and its answers are correlated by: their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CorrelationId(u128);

impl CorrelationId {
    /// 128 random bits: a version 4 UUID has 122, and a second one covers what is fixed in it.
    pub(super) fn random() -> Self {
        Self(Uuid::new_v4().as_u128() ^ Uuid::new_v4().as_u128().rotate_left(64))
    }

    /// The id of that key; none when the key is no such id.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let digits = (key.len() == 32 && key.iter().all(is_digit)).then_some(key)?;
        u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().map(Self)
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_random_and_read_back() {
        let all = Vec::from_iter((0..1000).map(|_| CorrelationId::random()));
        let set = |bit: u32| all.iter().filter(|id| id.0 >> bit & 1 == 1).count();
        // Each bit is as good as a coin.
        assert!((0..128).all(|bit| (350..650).contains(&set(bit))));
        let id = all[0];
        assert_eq!(CorrelationId::of_key(id.to_string().as_bytes()), Some(id));
        let (upper, long) = ("A".repeat(32), format!("{id}0"));
        for key in ["", "1", "+1234567890123456789012345678901", &upper, &long] {
            assert_eq!(CorrelationId::of_key(key.as_bytes()), None, "{key}");
        }
    }
}
