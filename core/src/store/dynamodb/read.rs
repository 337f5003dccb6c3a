//! Reads of one journal.
//!
//! Owns: that slots and head come from one query, in which the head is last, and what is done when
//! it saw half of a write. Must never know: how slots are written, beyond their keys.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    DynamoDbStore,
    item::{Item, bytes_of, has_expired, head_of, names, number_of, string, text_of},
    keys::{self, HEAD, ItemKey, MOST_SLOTS, Parts},
    known::Seen,
    pack::unpack,
};
use crate::{
    store::{
        Journal, StoreError,
        codec::{corrupt, decode_entries},
    },
    task::{Head, Slot, TaskKey, Version},
};

/// Pauses before reading again what is torn: a transaction is visible item by item for a moment.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::ZERO,
];

/// What is read of an item for its head.
const HEAD_ALONE: &str = "#h, #ttl";

/// Why items make no journal.
enum Unread {
    /// This slot, or the head with it, is not all there yet, or not any more.
    Torn(Version),
    Failed(StoreError),
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl DynamoDbStore {
    /// A journal's slots after that version, and what is known of it then.
    pub(super) async fn load(
        &self,
        key: &TaskKey,
        of: &ItemKey,
        after: Version,
    ) -> Result<Option<(Journal, Seen)>, StoreError> {
        let after = after.min(MOST_SLOTS);
        let mut torn = after + 1;
        for pause in PAUSES {
            let items = self.items(of, after).await?;
            match assemble(key, after, items) {
                Ok(loaded) => {
                    if let Some((_, seen)) = &loaded {
                        self.known.put(&of.pk, *seen);
                    }
                    return Ok(loaded);
                }
                Err(Unread::Torn(version)) => torn = version,
                Err(Unread::Failed(error)) => return Err(error),
            }
            tokio::time::sleep(pause).await;
        }
        // Expired, or removed by hand.
        Err(corrupt(key, &format!("slot {torn}")))
    }

    /// The items of the slots after that version, and the head's last: read in the order of their
    /// keys, the head is no older than any of them.
    async fn items(&self, of: &ItemKey, after: Version) -> Result<Vec<Item>, StoreError> {
        let from = if after < MOST_SLOTS { keys::slot(after + 1) } else { HEAD.to_owned() };
        let values = [(":pk", string(&*of.pk)), (":from", string(from)), (":to", string(HEAD))];
        let query = self.table.query("pk = :pk AND sk BETWEEN :from AND :to", values);
        Ok(self.table.pages(&query.consistent_read(true), None).await?.items)
    }

    /// A head.
    pub(super) async fn head_alone(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        let get = self.table.client.get_item().table_name(&self.table.name).consistent_read(true);
        let get = get
            .key("pk", string(&*ItemKey::of(key).pk))
            .key("sk", string(HEAD))
            .projection_expression(HEAD_ALONE)
            .set_expression_attribute_names(names(HEAD_ALONE));
        let found = self.table.send(|| get.clone().send()).await?.item;
        found.filter(|item| !has_expired(item)).map(|item| head_of(key, &item)).transpose()
    }
}

fn assemble(
    key: &TaskKey,
    after: Version,
    mut items: Vec<Item>,
) -> Result<Option<(Journal, Seen)>, Unread> {
    let last = items.pop_if(|item| text_of(item, "sk") == Some(HEAD));
    let Some(last) = last.filter(|item| !has_expired(item)) else { return Ok(None) };
    let head = head_of(key, &last)?;
    let born = number_of(&last, "g").ok_or_else(|| corrupt(key, "head"))?;
    let head_version = number_of(&last, "n").ok_or_else(|| corrupt(key, "head"))?;
    let (mut own, mut parts) = (BTreeMap::new(), Stored::new());
    for item in &items {
        let sk = text_of(item, "sk").ok_or_else(|| corrupt(key, "journal"))?;
        match keys::version_of(sk) {
            // What is left of an earlier journal under this key has another birth.
            Some(version) if number_of(item, "g") == Some(born) => _ = own.insert(version, item),
            Some(_) => {}
            None => _ = parts.insert(sk, item),
        }
    }
    let mut slots = Vec::new();
    for version in after + 1.. {
        let stored = match version {
            1 => last.get("e1"),
            2 => last.get("e2"),
            _ => own.get(&version).and_then(|item| item.get("v")),
        };
        let Some(stored) = stored else {
            // Slots go on without a gap: what is beyond one was written after it.
            if own.range(version..).next().is_some() {
                return Err(Unread::Torn(version));
            }
            break;
        };
        let stored = content(key, version, stored, &parts)?;
        let changed = own.get(&version).is_some_and(|item| item.contains_key("c"));
        if changed && head_version < version {
            return Err(Unread::Torn(version));
        }
        let bytes = unpack(&stored).ok_or_else(|| corrupt(key, &format!("slot {version}")))?;
        slots.push(Slot { version, entries: decode_entries(key, version, &bytes)? });
    }
    let end = if last.contains_key("e2") { 2 } else { 1 };
    let version = slots.last().map_or(end, |slot: &Slot| slot.version);
    Ok(Some((Journal { head, slots }, Seen { born, version })))
}

/// Items by their sort keys.
type Stored<'a> = HashMap<&'a str, &'a Item>;

/// A slot's content: in its attribute, or in the parts that it names. Those were there before it,
/// but may have been passed by before it was.
fn content<'a>(
    key: &TaskKey,
    version: Version,
    stored: &'a AttributeValue,
    parts: &Stored<'_>,
) -> Result<Cow<'a, [u8]>, Unread> {
    let corrupt = || corrupt(key, &format!("slot {version}"));
    let named = match stored {
        AttributeValue::B(bytes) => return Ok(Cow::Borrowed(bytes.as_ref())),
        AttributeValue::S(named) => Parts::parse(named).ok_or_else(corrupt)?,
        _ => return Err(corrupt().into()),
    };
    let mut content = Vec::new();
    for part in 0..named.count {
        let item = parts.get(&*keys::part(version, &named.name, part));
        let item = item.ok_or(Unread::Torn(version))?;
        content.extend(bytes_of(item, "v").ok_or_else(corrupt)?);
    }
    Ok(Cow::Owned(content))
}
