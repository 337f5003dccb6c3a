//! Appends: where a slot goes, and what makes of many writers one.
//!
//! Owns: the three ways to take a slot. Where a slot goes follows from its version alone, so
//! that it is one lock for every writer:
//!
//! - the first is the head's item, put if there is none: one plain write;
//! - the second is an attribute of it, set if the first is there and the second is not: one plain
//!   write, the head changing with it;
//! - every later one is an item of its own, put if there is none: one plain write, or with a new
//!   head a transaction of two.
//!
//! What is too large for that is written before, in parts under a unique name: nothing reads them
//! until the slot names them. So large content is written plainly, at half the units of a
//! transaction. A writer that then loses the slot leaves its parts behind, to expire: what looks
//! lost may have succeeded unacknowledged, so nothing is removed. Must never know: how it is read.

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{
    DynamoDbStore,
    item::{Item, binary, head_attributes, item, names, now, number, slot_expiry, string},
    keys::{self, HEAD, ItemKey, MOST_SLOTS, Parts},
    known::Seen,
    pack::pack,
    table::unbuilt,
};
use crate::{
    store::{AppendError, Change, ReadLimit, StoreError, codec::encode_entries, now_millis},
    task::{Head, Phase, Version},
};

/// The first two slots are in the head's item up to this size, since every later change of the head
/// is billed by the whole item.
const INLINE: usize = 2 << 10;
/// And up to this one when the head never changes again: a write of two kilobytes in a transaction
/// costs as much as reading them in twenty lists.
const INLINE_AT_END: usize = 32 << 10;
/// A later slot's content goes into a transaction with a new head up to this size. More is worth a
/// request of its own.
const WITH_HEAD: usize = 16 << 10;
/// What one item holds of a slot: it may have 400 KB with all that it holds.
const PART: usize = 350_000;
/// What a slot may hold in all. More than the largest entry and a batch make.
const SLOT: usize = 8 << 20;
/// How many parts are written at the same time.
const WRITES: usize = 4;

/// What is set in a head's item, and what is removed for want of a value.
type Changes = Vec<(&'static str, Option<AttributeValue>)>;

impl DynamoDbStore {
    pub(super) async fn write(&self, change: &Change) -> Result<(), AppendError> {
        let of = ItemKey::of(&change.key);
        let seen = match change.after {
            0 => Some(self.first(change, &of).await?),
            1 => self.second(change, &of).await?,
            // No journal has that many.
            after if after >= MOST_SLOTS => return Err(AppendError::Conflict),
            _ => Some(self.later(change, &of).await?),
        };
        if let Some(seen) = seen {
            self.known.put(&of.pk, seen);
        }
        Ok(())
    }

    async fn first(&self, change: &Change, of: &ItemKey) -> Result<Seen, AppendError> {
        let head = change.head.as_ref();
        let head =
            head.ok_or_else(|| StoreError::broken("a journal's first append has no head"))?;
        let seen = Seen { born: u64::try_from(now_millis()).unwrap_or_default(), version: 1 };
        let content = pack(encode_entries(&change.entries)?);
        let e1 = self.content(of, 1, content, room_in_head(Some(head))).await?;
        let mut first = item([
            ("pk", string(&*of.pk)),
            ("sk", string(HEAD)),
            ("g", number(seen.born)),
            ("n", number(1)),
            ("e1", e1),
        ]);
        first.extend(of.plain.iter().map(|plain| ("id".to_owned(), string(plain.as_str()))));
        for (name, value) in head_attributes(&change.key, head, self.ttl)? {
            first.extend(value.map(|value| (name.to_owned(), value)));
        }
        // One that has expired may still be there. Slots of it stay, and are told by their birth.
        let free = "attribute_not_exists(#pk) OR (#ttl <= :now AND #g < :g)";
        let values = item([(":now", number(now())), (":g", number(seen.born))]);
        self.put(self.checked(first, Some(free), values)?).await?;
        Ok(seen)
    }

    /// What is known after it may be nothing: the update does not say when the journal was begun.
    async fn second(&self, change: &Change, of: &ItemKey) -> Result<Option<Seen>, AppendError> {
        let content = pack(encode_entries(&change.entries)?);
        let e2 = self.content(of, 2, content, room_in_head(change.head.as_ref())).await?;
        let mut changes = self.head_changes(change)?;
        changes.push(("e2", Some(e2)));
        let free = "attribute_exists(#e1) AND attribute_not_exists(#e2)";
        let update = self.update(of, changes, free, Item::new())?;
        let request = self.table.client.update_item().table_name(update.table_name);
        let request = request
            .set_key(Some(update.key))
            .update_expression(update.update_expression)
            .set_condition_expression(update.condition_expression)
            .set_expression_attribute_names(update.expression_attribute_names)
            .set_expression_attribute_values(update.expression_attribute_values);
        self.table.send(|| request.clone().send()).await?;
        Ok(self.known.get(&of.pk).map(|seen| Seen { version: 2, ..seen }))
    }

    async fn later(&self, change: &Change, of: &ItemKey) -> Result<Seen, AppendError> {
        let born = self.seen(change, of).await?.born;
        let seen = Seen { born, version: change.after + 1 };
        let mut slot = item([
            ("pk", string(&*of.pk)),
            ("sk", string(keys::slot(seen.version))),
            ("g", number(born)),
        ]);
        slot.extend(slot_expiry(self.ttl).map(|ttl| ("ttl".to_owned(), ttl)));
        let mut room = PART;
        if change.head.is_some() {
            slot.insert("c".to_owned(), number(1));
            room = WITH_HEAD;
        }
        let content = pack(encode_entries(&change.entries)?);
        slot.insert("v".to_owned(), self.content(of, seen.version, content, room).await?);
        // What is left of an earlier journal under this key is written over.
        let free = "attribute_not_exists(#pk) OR #g < :g";
        let put = self.checked(slot, Some(free), item([(":g", number(born))]))?;
        if change.head.is_none() {
            self.put(put).await?;
            return Ok(seen);
        }
        // Costs nothing, and keeps out a writer beyond the end or of an earlier journal.
        let current = "attribute_exists(#e2) AND #g = :g";
        let changes = self.head_changes(change)?;
        let update = self.update(of, changes, current, item([(":g", number(born))]))?;
        let writes = vec![
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().update(update).build(),
        ];
        // The client gives it a token: when it has to send it again, it is done once.
        let request = self.table.client.transact_write_items().set_transact_items(Some(writes));
        self.table.send(|| request.clone().send()).await?;
        Ok(seen)
    }

    /// The journal, with the slot that this append goes after. It is known here when this process
    /// has read or written that slot; otherwise a read says so, and keeps out a writer beyond the
    /// end.
    async fn seen(&self, change: &Change, of: &ItemKey) -> Result<Seen, AppendError> {
        let is_there = |seen: &Seen| seen.version >= change.after;
        if let Some(seen) = self.known.get(&of.pk).filter(is_there) {
            return Ok(seen);
        }
        let loaded = self.load(&change.key, of, change.after - 1, ReadLimit::SLOT).await?;
        loaded.map(|(_, seen)| seen).filter(is_there).ok_or(AppendError::Conflict)
    }

    /// A slot's content as its attribute: itself up to `room` bytes, otherwise the name of the
    /// parts that hold it, which are there then.
    async fn content(
        &self,
        of: &ItemKey,
        version: Version,
        content: Vec<u8>,
        room: usize,
    ) -> Result<AttributeValue, AppendError> {
        if content.len() <= room {
            return Ok(binary(content));
        }
        if content.len() > SLOT {
            return Err(AppendError::TooLarge);
        }
        let name = Uuid::new_v4().simple().to_string();
        let parts = Parts { name, count: content.len().div_ceil(PART) };
        let put = |(at, content): (usize, &[u8])| {
            let sk = keys::part(version, &parts.name, at);
            let part = [("pk", string(&*of.pk)), ("sk", string(sk)), ("v", binary(content.into()))];
            let ttl = slot_expiry(self.ttl).map(|ttl| ("ttl", ttl));
            self.checked(item(part.into_iter().chain(ttl)), None, Item::new())
        };
        let puts: Vec<_> = content.chunks(PART).enumerate().map(put).collect();
        let writes = stream::iter(puts).map(async |put| self.put(put?).await);
        writes.buffer_unordered(WRITES).try_collect::<()>().await?;
        Ok(string(parts.text()))
    }

    fn head_changes(&self, change: &Change) -> Result<Changes, StoreError> {
        let Some(head) = &change.head else { return Ok(Vec::new()) };
        let mut changes = head_attributes(&change.key, head, self.ttl)?;
        changes.push(("n", Some(number(change.after + 1))));
        Ok(changes)
    }

    /// A write of an item that fits, under a condition on what is there.
    fn checked(
        &self,
        item: Item,
        condition: Option<&str>,
        values: Item,
    ) -> Result<Put, AppendError> {
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_names(condition.and_then(names))
            .set_expression_attribute_values(condition.map(|_| values));
        Ok(put.build().map_err(unbuilt)?)
    }

    async fn put(&self, put: Put) -> Result<(), AppendError> {
        let request = self.table.client.put_item().table_name(put.table_name);
        let request = request
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_names(put.expression_attribute_names)
            .set_expression_attribute_values(put.expression_attribute_values);
        self.table.send(|| request.clone().send()).await?;
        Ok(())
    }

    /// An update of the head's item: attributes to set, and those without a value to remove.
    fn update(
        &self,
        of: &ItemKey,
        changes: Changes,
        condition: &str,
        mut values: Item,
    ) -> Result<Update, AppendError> {
        let (set, remove): (Changes, Changes) =
            changes.into_iter().partition(|(_, value)| value.is_some());
        let sets: Vec<_> = set.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
        let mut expression = format!("SET {}", sets.join(", "));
        if !remove.is_empty() {
            let removes: Vec<_> = remove.iter().map(|(name, _)| format!("#{name}")).collect();
            expression += &format!(" REMOVE {}", removes.join(", "));
        }
        values
            .extend(set.into_iter().filter_map(|(name, value)| Some((format!(":{name}"), value?))));
        let update = Update::builder()
            .table_name(&self.table.name)
            .key("pk", string(&*of.pk))
            .key("sk", string(HEAD))
            .set_expression_attribute_names(names(&format!("{expression} {condition}")))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values));
        Ok(update.build().map_err(unbuilt)?)
    }
}

/// How much of a slot's content the head's item takes.
fn room_in_head(head: Option<&Head>) -> usize {
    let ends = head.is_some_and(|head| matches!(head.phase, Phase::Finished | Phase::Answered));
    if ends { INLINE_AT_END } else { INLINE }
}
