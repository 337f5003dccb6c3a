//! Reads of one journal.
//!
//! Owns: that the head is read after the slots, and what is done when both saw half of a write. Must
//! never know: how slots are written, beyond their keys.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};

use super::{
    DynamoDbStore,
    item::{Item, bytes_of, has_expired, head_of, names, number_of, string, text_of},
    keys::{self, HEAD, ItemKey, MOST_SLOTS, Parts},
    known::Seen,
    pack::unpack,
};
use crate::{
    store::{
        Journal, ReadLimit, StoreError, TaskStore,
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
/// What is read of a head's item for its journal.
const WHOLE: &str = "#h, #ttl, #e1, #e2, #g, #n";

/// Why items make no journal.
enum Unread {
    /// This slot, or the head with it, is not all there yet, or not any more.
    Torn(Version),
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Unread {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What is read of a journal: after which slot, how much, and whether nothing may be missing that
/// was acknowledged before, which takes twice the units.
#[derive(Clone, Copy)]
struct Reading {
    after: Version,
    limit: ReadLimit,
    consistent: bool,
    /// When the journal was begun, where that is known and its head is not wanted.
    born: Option<u64>,
}

/// What was read.
struct Loaded {
    head: Option<Head>,
    slots: Vec<Slot>,
    more: bool,
    seen: Seen,
}

impl DynamoDbStore {
    /// A journal's slots after that version, and what is known of it then.
    pub(super) async fn load(
        &self,
        key: &TaskKey,
        of: &ItemKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<(Journal, Seen)>, StoreError> {
        let reading = Reading { after: after.min(MOST_SLOTS), limit, consistent: true, born: None };
        let mut torn = reading.after + 1;
        for pause in PAUSES {
            match self.try_load(key, of, reading).await {
                Ok(loaded) => {
                    return Ok(loaded.and_then(|Loaded { head, slots, more, seen }| {
                        Some((Journal { head: head?, slots, more }, seen))
                    }));
                }
                Err(Unread::Torn(version)) => torn = version,
                Err(Unread::Failed(error)) => return Err(error),
            }
            tokio::time::sleep(pause).await;
        }
        // Expired, or removed by hand.
        Err(corrupt(key, &format!("slot {torn}")))
    }

    /// What a follower polls. From the third slot on it needs no head, where this process knows when
    /// the journal was begun.
    pub(super) async fn news(
        &self,
        key: &TaskKey,
        after: Version,
    ) -> Result<Vec<Slot>, StoreError> {
        let (of, limit) = (ItemKey::of(key), ReadLimit::POLL);
        let known = self.known.get(&of.pk).filter(|_| (2..MOST_SLOTS).contains(&after));
        let born = known.map(|seen| seen.born);
        let reading = Reading { after: after.min(MOST_SLOTS), limit, consistent: false, born };
        match self.try_load(key, &of, reading).await {
            Ok(loaded) => Ok(loaded.map_or_else(Vec::new, |loaded| loaded.slots)),
            Err(Unread::Failed(error)) => Err(error),
            // What is torn for long is corrupt.
            Err(Unread::Torn(_)) => {
                let loaded = self.load(key, &of, after, limit).await?;
                Ok(loaded.map_or_else(Vec::new, |(journal, _)| journal.slots))
            }
        }
    }

    /// Items in the order of their keys until a slot is whole, and then the head's: it is no older
    /// than any of them.
    async fn try_load(
        &self,
        key: &TaskKey,
        of: &ItemKey,
        reading: Reading,
    ) -> Result<Option<Loaded>, Unread> {
        let (mut items, mut more) = (Vec::new(), true);
        let mut query = self.slots(of, reading);
        loop {
            let page = self.table.send(|| query.clone().send()).await?;
            items.extend(page.items.unwrap_or_default());
            more &= page.last_evaluated_key.as_ref().is_some_and(|key| !key.is_empty());
            query = query.set_exclusive_start_key(page.last_evaluated_key).set_limit(None);
            let mut last = items.pop_if(|item| text_of(item, "sk") == Some(HEAD));
            more &= last.is_none();
            if reading.born.is_none() {
                if more {
                    last = self.head_item(of, WHOLE, reading.consistent).await?;
                }
                if last.as_ref().is_none_or(has_expired) {
                    return Ok(None);
                }
            }
            let last = last.as_ref();
            let head = last.map(|last| head_of(key, last)).transpose()?;
            let born = reading.born.or_else(|| number_of(last?, "g"));
            let born = born.ok_or_else(|| corrupt(key, "head"))?;
            let slots = Items::new(&items, born, more).slots(key, reading.after, last)?;
            if slots.is_empty() && more {
                continue;
            }
            let end = if last.is_some_and(|last| last.contains_key("e2")) { 2 } else { 1 };
            let version = slots.last().map_or(end, |slot| slot.version);
            let seen = Seen { born, version };
            self.known.put(&of.pk, seen);
            return Ok(Some(Loaded { head, slots, more, seen }));
        }
    }

    /// The items of the slots after a version, and the head's last unless it is not wanted.
    fn slots(&self, of: &ItemKey, reading: Reading) -> QueryFluentBuilder {
        let Reading { after, limit, consistent, born } = reading;
        let from = if after < MOST_SLOTS { keys::slot(after + 1) } else { HEAD.to_owned() };
        let to = born.map_or_else(|| HEAD.to_owned(), |_| keys::slot(MOST_SLOTS));
        let values = [(":pk", string(&*of.pk)), (":from", string(from)), (":to", string(to))];
        let query = self.table.query("pk = :pk AND sk BETWEEN :from AND :to", values);
        query.limit(i32::try_from(limit.slots).unwrap_or(i32::MAX)).consistent_read(consistent)
    }

    /// The head and the newest slot's version: they stand side by side, so it takes half a unit where
    /// both are small.
    pub(super) async fn end(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        let of = ItemKey::of(key);
        let mut found = self.before(&of, HEAD.to_owned(), 2).await?.into_iter();
        let Some(last) = found.next().filter(|item| !has_expired(item)) else { return Ok(None) };
        let (head, born) = (head_of(key, &last)?, number_of(&last, "g"));
        let mut newest = found.next();
        loop {
            // The first two are in the head's item.
            let Some(item) = newest else {
                return Ok(Some((head, if last.contains_key("e2") { 2 } else { 1 })));
            };
            let sk = text_of(&item, "sk").unwrap_or_default();
            let of_part = keys::version_of_part(sk);
            match keys::version_of(sk) {
                Some(version) if number_of(&item, "g") == born => {
                    let torn = item.contains_key("c") && number_of(&last, "n") < Some(version);
                    let head = if torn { self.head_alone(key).await? } else { Some(head) };
                    return Ok(head.map(|head| (head, version)));
                }
                // A slot that names its parts stands before them; there may be none that does.
                None if let Some(version) = of_part => {
                    newest = self.before(&of, keys::slot(version), 1).await?.pop();
                }
                // An earlier journal under this key left it behind.
                _ => {
                    let journal = self.read(key, 0).await?;
                    let version = |slots: &[Slot]| slots.last().map_or(0, |slot| slot.version);
                    return Ok(journal.map(|it| (it.head, version(&it.slots))));
                }
            }
        }
    }

    /// The last items of a journal up to that sort key.
    async fn before(&self, of: &ItemKey, sk: String, limit: i32) -> Result<Vec<Item>, StoreError> {
        let values = [(":pk", string(&*of.pk)), (":sk", string(sk))];
        let query = self.table.query("pk = :pk AND sk <= :sk", values);
        let query = query.scan_index_forward(false).limit(limit);
        Ok(self.table.send(|| query.clone().send()).await?.items.unwrap_or_default())
    }

    async fn head_item(
        &self,
        of: &ItemKey,
        wanted: &str,
        consistent: bool,
    ) -> Result<Option<Item>, StoreError> {
        let get = self.table.client.get_item().table_name(&self.table.name);
        let get = get
            .key("pk", string(&*of.pk))
            .key("sk", string(HEAD))
            .consistent_read(consistent)
            .projection_expression(wanted)
            .set_expression_attribute_names(names(wanted));
        Ok(self.table.send(|| get.clone().send()).await?.item)
    }

    /// A head.
    pub(super) async fn head_alone(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        let found = self.head_item(&ItemKey::of(key), HEAD_ALONE, true).await?;
        found.filter(|item| !has_expired(item)).map(|item| head_of(key, &item)).transpose()
    }
}

/// The items of slots, by what they are.
struct Items<'a> {
    own: BTreeMap<Version, &'a Item>,
    /// By their sort keys.
    parts: HashMap<&'a str, &'a Item>,
    /// Whether there are more of them.
    more: bool,
}

impl<'a> Items<'a> {
    /// Those of the journal that was begun then: what is left of an earlier one under this key has
    /// another birth.
    fn new(items: &'a [Item], born: u64, more: bool) -> Self {
        let (mut own, mut parts) = (BTreeMap::new(), HashMap::new());
        for item in items {
            let sk = text_of(item, "sk").unwrap_or_default();
            match keys::version_of(sk) {
                Some(version) if number_of(item, "g") == Some(born) => {
                    own.insert(version, item);
                }
                Some(_) => {}
                None => _ = parts.insert(sk, item),
            }
        }
        Self { own, parts, more }
    }

    /// The slots after that version, with the head's item where it was read.
    fn slots(
        &self,
        key: &TaskKey,
        after: Version,
        head: Option<&Item>,
    ) -> Result<Vec<Slot>, Unread> {
        let head_version = head.and_then(|head| number_of(head, "n"));
        let mut slots = Vec::new();
        for version in after + 1.. {
            let stored = match version {
                1 => head.and_then(|head| head.get("e1")),
                2 => head.and_then(|head| head.get("e2")),
                _ => self.own.get(&version).and_then(|item| item.get("v")),
            };
            let is_last = self.own.range(version + 1..).next().is_none();
            let Some(stored) = stored else {
                // Slots go on without a gap: what is beyond one was written after it.
                return if is_last { Ok(slots) } else { Err(Unread::Torn(version)) };
            };
            let stored = match self.content(key, version, stored) {
                Err(Unread::Torn(_)) if is_last && self.more => return Ok(slots),
                stored => stored?,
            };
            let changed = self.own.get(&version).is_some_and(|item| item.contains_key("c"));
            if changed && head_version.is_some_and(|of| of < version) {
                return Err(Unread::Torn(version));
            }
            let bytes = unpack(&stored).ok_or_else(|| corrupt(key, &format!("slot {version}")))?;
            slots.push(Slot { version, entries: decode_entries(key, version, &bytes)? });
        }
        Ok(slots)
    }

    /// A slot's content: in its attribute, or in the parts that it names. Those were there before
    /// it, but may have been passed by before it was.
    fn content(
        &self,
        key: &TaskKey,
        version: Version,
        stored: &'a AttributeValue,
    ) -> Result<Cow<'a, [u8]>, Unread> {
        let corrupt = || corrupt(key, &format!("slot {version}"));
        let named = match stored {
            AttributeValue::B(bytes) => return Ok(Cow::Borrowed(bytes.as_ref())),
            AttributeValue::S(named) => Parts::parse(named).ok_or_else(corrupt)?,
            _ => return Err(corrupt().into()),
        };
        let mut content = Vec::new();
        for part in 0..named.count {
            let item = self.parts.get(&*keys::part(version, &named.name, part));
            let item = item.ok_or(Unread::Torn(version))?;
            content.extend(bytes_of(item, "v").ok_or_else(corrupt)?);
        }
        Ok(Cow::Owned(content))
    }
}
