//! The texts a table is keyed by.
//!
//! Owns: how tenants, owners, ids, versions and times become keys that are never the same for two
//! things, sort as the contract says, and fit. Must never know: the client, what an item holds.

use std::{fmt::Write, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{
    store::{ListPosition, ListQuery},
    task::{TaskKey, Version},
    types::Timestamp,
};

/// Longer texts stand as their hash. The service allows 2,048 bytes in a partition key and 1,024 in
/// a sort key, which is what a journal's key is in the index of running tasks.
const LONGEST: usize = 1_000;
/// The sort key of a head: after all entries.
pub(super) const HEAD: &str = "H";
/// More slots than any journal has: what keeps their numbers at one width.
pub(super) const MOST_SLOTS: Version = 999_999_999_999;
/// Running tasks stand in so many partitions of their index: one alone takes 1,000 writes a second.
pub(super) const SHARDS: u8 = 8;
/// Those of one host in so many of them: a query of a partition costs half a read unit, and a host
/// begins and ends a thousand tasks a second in two.
const SHARDS_OF_HOST: u8 = 2;
/// Longer names of hosts are not kept in the index.
const LONGEST_HOST: usize = 64;
/// With a host's name, and the byte that means "right after", it is a sort key of 1,024 bytes.
const LONGEST_WITH_HOST: usize = 950;
/// The latest time there is, [`Timestamp`]'s own bound.
const LATEST: i64 = 253_402_207_200_000;

/// The partition key of a journal's items.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ItemKey {
    pub(super) pk: Arc<str>,
    /// The key as text where `pk` is only its hash.
    pub(super) plain: Option<String>,
}

impl ItemKey {
    pub(super) fn of(key: &TaskKey) -> Self {
        let plain = joined(&[&key.tenant, &key.id]);
        if plain.len() <= LONGEST {
            return Self { pk: plain.into(), plain: None };
        }
        Self { pk: bounded(plain.clone()).into(), plain: Some(plain) }
    }

    /// Where it stands in the index of running tasks: in which partition, and where in that.
    pub(super) fn by_host(&self, host: Option<&str>) -> (u8, String) {
        let host = host.filter(|host| host.len() <= LONGEST_HOST).unwrap_or_default();
        let place = Sha256::digest(self.pk.as_bytes())[0] % shards_of(host);
        let pk = &*self.pk;
        let pk =
            if pk.len() <= LONGEST_WITH_HOST { pk.to_owned() } else { format!("#{}", hash(pk)) };
        (first_shard(host).wrapping_add(place) % SHARDS, joined(&[host, &pk]))
    }
}

fn shards_of(host: &str) -> u8 {
    if host.is_empty() { SHARDS } else { SHARDS_OF_HOST }
}

fn first_shard(host: &str) -> u8 {
    Sha256::digest(host.as_bytes())[0] % SHARDS
}

/// The host in a running task's place.
pub(super) fn host_at(by_host: &str) -> Option<&str> {
    let (length, rest) = by_host.split_once(':')?;
    rest.get(..length.parse().ok()?).filter(|host| !host.is_empty())
}

/// The ranges of a partition of the index of running tasks from there on, each with its bounds, without
/// the tasks of those hosts.
pub(super) fn ranges(shard: u8, mut from: String, except: &[Arc<str>]) -> Vec<(String, String)> {
    let stands_here = |host: &&Arc<str>| {
        (0..shards_of(host)).any(|it| (first_shard(host) + it) % SHARDS == shard)
    };
    let mut except: Vec<_> =
        except.iter().filter(stands_here).map(|host| joined(&[&**host, ""])).collect();
    except.sort();
    let mut ranges = Vec::new();
    for host in except {
        // What follows in a place begins with a digit or `#`, both less than `:`.
        let after = format!("{host}:");
        if from < host {
            ranges.push((std::mem::replace(&mut from, after), host));
        } else {
            from = from.max(after);
        }
    }
    ranges.push((from, ":".to_owned()));
    ranges
}

/// The task whose items have that partition key.
pub(super) fn key_at(pk: &str, plain: Option<&str>) -> Option<TaskKey> {
    let (length, rest) = plain.unwrap_or(pk).split_once(':')?;
    let (tenant, id) = rest.split_at_checked(length.parse().ok()?)?;
    Some(TaskKey { tenant: tenant.into(), id: id.into() })
}

/// One text of many: all but the last are told from the next by their length.
fn joined(parts: &[&str]) -> String {
    let Some((last, parts)) = parts.split_last() else { return String::new() };
    parts.iter().map(|part| format!("{}:{part}", part.len())).collect::<String>() + last
}

/// No text that is not a hash begins with `#`: they begin with a length.
fn bounded(text: String) -> String {
    if text.len() <= LONGEST { text } else { format!("#{}", hash(&text)) }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The partition of a list: tenant, owner, and which of the owner's tasks.
pub(super) fn list(parts: &[&str]) -> String {
    bounded(joined(parts))
}

pub(super) fn by_work(shard: u8) -> String {
    format!("w{shard}")
}

/// A slot that is an item of its own, or its first part.
pub(super) fn slot(version: Version) -> String {
    format!("E{version:012}")
}

/// A part of what a slot holds: after the slot, and before the next.
pub(super) fn part(version: Version, name: &str, part: usize) -> String {
    format!("E{version:012}#{name}#{part:02}")
}

/// The version of the slot that a sort key is of; `None` for a part's.
pub(super) fn version_of(sk: &str) -> Option<Version> {
    sk.strip_prefix('E')?.parse().ok()
}

/// The version of the slot whose part a sort key is of.
pub(super) fn version_of_part(sk: &str) -> Option<Version> {
    version_of(sk.split_once('#')?.0)
}

/// What a slot says of its content where that is in parts, as `NAME#COUNT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Unique, so that two writers of one slot do not write over each other's.
    pub(super) name: String,
    pub(super) count: usize,
}

impl Parts {
    pub(super) fn text(&self) -> String {
        format!("{}#{}", self.name, self.count)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, count) = text.split_once('#')?;
        Some(Self { name: name.to_owned(), count: count.parse().ok()? })
    }
}

/// Where a task stands in its lists: the time counted back from the end of time, so that newer is
/// less, then the id. A long id stands as its beginning and a hash, longer than any other id, so
/// that no two are the same; those with one beginning and one time are not in the order of their
/// ids.
pub(super) fn by_time(position: &ListPosition) -> String {
    /// With the time, and the byte that means "right after", it is a sort key of 1,024 bytes.
    const BEGINNING: usize = 943;
    let back = back(position.at);
    let id = &*position.id;
    if id.len() <= LONGEST {
        return format!("{back}#{id}");
    }
    let beginning = &id[..id.floor_char_boundary(BEGINNING)];
    format!("{back}#{beginning}{}", hash(id))
}

/// The time of a position in a list.
pub(super) fn time_of(by_time: &str) -> Option<Timestamp> {
    let back: i64 = by_time.get(..15)?.parse().ok()?;
    Some(Timestamp::from_millis(LATEST - back))
}

fn back(at: Timestamp) -> String {
    format!("{:015}", LATEST - at.as_millis())
}

/// The bounds of what a query finds, both within: after its position, since its time.
pub(super) fn bounds(query: &ListQuery) -> (String, String) {
    // No text lies between a text and the same with a NUL after it; `$` follows `#`.
    let from = query.after.as_ref().map_or_else(|| "0".to_owned(), |at| by_time(at) + "\0");
    let to = query.since.map_or_else(|| ":".to_owned(), |since| back(since) + "$");
    (from, to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(tenant: &str, id: &str) -> TaskKey {
        TaskKey { tenant: tenant.into(), id: id.into() }
    }

    #[test]
    fn keys_fit_and_long_ones_are_apart() {
        let long = "é".repeat(3_000);
        let keys = [ItemKey::of(&key("", &long)), ItemKey::of(&key(&long, ""))];
        assert_ne!(keys[0], keys[1]);
        for (found, expected) in keys.iter().zip([key("", &long), key(&long, "")]) {
            assert!(found.pk.len() <= 1_024);
            assert_eq!(key_at(&found.pk, found.plain.as_deref()), Some(expected));
        }
        let at = |id: String| {
            let position = ListPosition { at: Timestamp::from_millis(1), id: id.into() };
            by_time(&position) + "\0"
        };
        let (one, two) = (at(format!("{long}1")), at(format!("{long}2")));
        assert_ne!(one, two);
        assert!(one.len() <= 1_024 && at("x".repeat(1_000)).len() <= 1_024);
        assert!(one.len() > at("x".repeat(1_000)).len(), "no short id is the same");
    }

    #[test]
    fn parts_stand_between_slots_and_before_the_head() {
        let parts = Parts { name: "f0".to_owned(), count: 3 };
        assert_eq!(Parts::parse(&parts.text()), Some(parts.clone()));
        let part = |at| part(2, &parts.name, at);
        let order = [slot(2), part(0), part(99), slot(3), slot(MOST_SLOTS), HEAD.to_owned()];
        assert!(order.is_sorted());
        assert_eq!(version_of(&slot(3)), Some(3));
        assert_eq!((version_of(&part(7)), version_of(HEAD)), (None, None));
    }

    proptest! {
        #[test]
        fn no_two_are_the_same(a in ".{0,4}", b in ".{0,4}", c in ".{0,4}", d in ".{0,4}") {
            let (one, two) = (ItemKey::of(&key(&a, &b)), ItemKey::of(&key(&c, &d)));
            prop_assert_eq!(one.pk == two.pk, (&a, &b) == (&c, &d));
            prop_assert_eq!(key_at(&one.pk, None), Some(key(&a, &b)));
            prop_assert_eq!(list(&[&a, &b, ""]) == list(&[&c, &d, ""]), (a, b) == (c, d));
        }

        #[test]
        fn newer_is_less_then_ids_ascend(
            times in any::<(i64, i64)>(), ids in (".{0,3}", ".{0,3}"),
        ) {
            let at = |at, id: &str| ListPosition { at: Timestamp::from_millis(at), id: id.into() };
            let (one, two) = (at(times.0, &ids.0), at(times.1, &ids.1));
            let expected = (two.at, &one.id).cmp(&(one.at, &two.id));
            prop_assert_eq!(by_time(&one).cmp(&by_time(&two)), expected);
            prop_assert_eq!(time_of(&by_time(&one)), Some(one.at));
        }
    }
}
