//! What items hold.
//!
//! Owns: the attributes' names and types, and what a head's item says of the head. Must never know:
//! the requests.
//!
//! A journal's items have one partition key, `pk`. The head's item is last (`sk` is `H`) and holds
//! `h`, the head; `e1` and `e2`, the first two slots; `g`, when the journal was begun; `n`, the
//! slot the head is of; `ttl`, and what the indexes need. A slot from the third on is an item of
//! its own: `g`, `ttl`, and `v`, its entries; `c`, if the head changed with it. A slot's entries
//! are bytes, or a text that names the items which hold them. Names are short because they are
//! billed.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{
    keys::{self, ItemKey},
    pack::{pack, unpack},
};
use crate::{
    store::{
        ListPosition, StoreError,
        codec::{corrupt, decode_head, encode_head},
        now_millis,
    },
    task::{Head, Phase, TaskKey},
    types::Timestamp,
};

pub(super) type Item = HashMap<String, AttributeValue>;

/// A slot from the third on is kept so long after it was written, and as long as a finished task is
/// kept beyond that. Then the service removes it, without charge. To give it the time of the task's
/// end would cost a write unit per slot. So a task that goes on for longer loses its oldest slots,
/// and reading it says so; and slots of a task that has expired stay for a while, unseen.
const LIFE: Duration = Duration::from_secs(400 * 86_400);

/// A head's attributes beside its keys and slots: those to set, and those to remove.
pub(super) fn head_attributes(
    key: &TaskKey,
    head: &Head,
    ttl: Option<Duration>,
) -> Result<Vec<(&'static str, Option<AttributeValue>)>, StoreError> {
    let (tenant, owner) = (&*key.tenant, &*head.owner);
    let state = head.status.state.name();
    let listed = |text: &dyn Fn() -> String| head.phase.is_listed().then(|| string(text()));
    let running = (head.phase == Phase::Running)
        .then(|| ItemKey::of(key).by_host(head.host.as_deref()))
        .map(|(shard, by_host)| (string(keys::by_work(shard)), string(by_host)));
    let (by_work, by_host) = running.unzip();
    Ok(vec![
        ("h", Some(binary(pack(encode_head(head)?)))),
        ("ttl", expiry(head, ttl).map(number)),
        ("state", listed(&|| state.to_owned())),
        ("by_owner", listed(&|| keys::list(&[tenant, owner]))),
        ("by_context", listed(&|| keys::list(&[tenant, owner, &head.context_id]))),
        ("by_state", listed(&|| keys::list(&[tenant, owner, state]))),
        ("by_time", listed(&|| keys::by_time(&ListPosition::of(&key.id, head)))),
        ("by_work", by_work),
        ("by_host", by_host),
    ])
}

/// When a head expires, in seconds since 1970.
fn expiry(head: &Head, ttl: Option<Duration>) -> Option<u64> {
    let ttl = ttl.filter(|_| head.phase.may_expire())?;
    let from = head.status.timestamp.map_or_else(now_millis, Timestamp::as_millis);
    let from = u64::try_from(from).unwrap_or_default();
    Some((from.div_ceil(1_000)).saturating_add(ttl.as_secs()))
}

/// When a slot that is written now is removed.
pub(super) fn slot_expiry(ttl: Option<Duration>) -> Option<AttributeValue> {
    ttl.map(|ttl| number(now().saturating_add(LIFE.as_secs()).saturating_add(ttl.as_secs())))
}

/// The system's clock in seconds, as `ttl` has it.
pub(super) fn now() -> u64 {
    u64::try_from(now_millis()).unwrap_or_default() / 1_000
}

/// Whether the item has expired; the service removes it some time later.
pub(super) fn has_expired(item: &Item) -> bool {
    number_of(item, "ttl").is_some_and(|ttl| ttl <= now())
}

/// The head that a head's item holds.
pub(super) fn head_of(key: &TaskKey, item: &Item) -> Result<Head, StoreError> {
    let stored = bytes_of(item, "h").and_then(unpack).ok_or_else(|| corrupt(key, "head"))?;
    decode_head(key, &stored)
}

/// The task that an item is of.
pub(super) fn key_of(item: &Item) -> Option<TaskKey> {
    keys::key_at(text_of(item, "pk")?, text_of(item, "id"))
}

/// An item of these attributes, or the values of an expression.
pub(super) fn item<'a>(attributes: impl IntoIterator<Item = (&'a str, AttributeValue)>) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What an expression's placeholders stand for: `#name` is `name`, since many plain words are
/// reserved.
pub(super) fn names(expression: &str) -> Option<HashMap<String, String>> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let names = expression.split('#').skip(1).map(|rest| {
        let name = rest.split(|letter| !is_name(letter)).next().unwrap_or_default();
        (format!("#{name}"), name.to_owned())
    });
    // An empty map is refused.
    Some(names.collect()).filter(|names: &HashMap<_, _>| !names.is_empty())
}

pub(super) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn binary(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

pub(super) fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    Some(item.get(name)?.as_s().ok()?)
}

pub(super) fn number_of(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(super) fn bytes_of<'a>(item: &'a Item, name: &str) -> Option<&'a [u8]> {
    Some(item.get(name)?.as_b().ok()?.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_for_their_names() {
        assert_eq!(names("pk = :pk"), None);
        let expected = [("#by_time", "by_time"), ("#h", "h")];
        let expected = expected.map(|(placeholder, name)| (placeholder.into(), name.into()));
        assert_eq!(names("#h, (#by_time <= :now)"), Some(expected.into()));
    }
}
