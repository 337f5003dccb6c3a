//! Time and new ids, as values.
//!
//! Owns: where "now" and fresh ids come from. Everything that decides takes them from here, so a
//! test can hold the clock still and name the ids.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::{Builder, Uuid};

use crate::types::Timestamp;

/// Where a handler takes the time and new ids from.
#[derive(Clone)]
pub struct Env {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    id: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

impl Env {
    /// The system's clock and random (version 4) UUIDs.
    pub fn system() -> Self {
        Self::new(system_now, Uuid::new_v4)
    }

    /// The given clock and source of ids.
    pub fn new(
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        id: impl Fn() -> Uuid + Send + Sync + 'static,
    ) -> Self {
        Self { now: Arc::new(now), id: Arc::new(id) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// A fresh id.
    pub fn id(&self) -> Arc<str> {
        text(&(self.id)())
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.debug_struct("Env").finish_non_exhaustive()
    }
}

fn system_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A version 5 UUID of `name`: the same name always has the same id.
pub(crate) fn named_id(name: &str) -> Arc<str> {
    text(&named(name))
}

/// The same as a value.
pub(crate) fn named(name: &str) -> Uuid {
    /// The namespace of every id this project derives; itself derived once, from the project's
    /// name.
    const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_2f0a_93a7_5d3e_8b43_2f8c_61d4_a2a0);
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

/// One of several ids that go back to one: each role turns other bits of it (FNV-1a), so ids of one
/// role are as unlike as what they go back to.
pub(crate) fn id_in_role(of: &Uuid, role: &str) -> Arc<str> {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let turned =
        role.bytes().fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    let bytes = (of.as_u128() ^ turned).to_be_bytes();
    text(&Builder::from_sha1_bytes(bytes).into_uuid())
}

fn text(id: &Uuid) -> Arc<str> {
    Arc::from(&*id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_its_name_and_its_role() {
        let id = |name: &str, role: &str| id_in_role(&named(name), role);
        let ids = ["task", "context", "message"].map(|role| id("a record", role));
        assert_eq!(ids[0], id("a record", "task"), "the same each time");
        let all = [&ids[..], &[id("another", "task"), named_id("a record")]].concat();
        for (at, one) in all.iter().enumerate() {
            assert_eq!(Uuid::parse_str(one).unwrap().get_version_num(), 5);
            assert!(!all[..at].contains(one), "{one} stands for two things");
        }
    }
}
