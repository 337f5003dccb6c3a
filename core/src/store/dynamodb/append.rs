//! Appends: where a slot goes, and what holds the others off.
//!
//! Owns: the three ways to take a slot. A slot's place follows from its version alone, so that it
//! is one lock whoever asks for it:
//!
//! - the first is the head's item, put if there is none: one plain write;
//! - the second is an attribute of it, set if the first is there and the second is not: one plain
//!   write, the head changing with it;
//! - every later one is an item of its own, put if there is none: one plain write, or with a new
//!   head a transaction of two.
//!
//! What is too large for its place is split over further items in the same transaction. Must never
//! know: how it is read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};

use super::{
    DynamoDbStore,
    definition::unbuilt,
    item::{
        Item, binary, head_attributes, now, now_millis, number, size, slot_expiry, string,
        write_units,
    },
    keys::{self, HEAD, MOST_SLOTS, Place},
    known::Seen,
    pack::pack,
};
use crate::{
    journal::{Head, Phase},
    store::{AppendError, Change, StoreError, codec::encode_entries},
};

/// The first two slots are in the head's item up to this size, since every later change of the head
/// is billed by the whole item.
const INLINE: usize = 2 << 10;
/// And up to this one when the head never changes again: a write of two kilobytes in a transaction
/// costs as much as reading them in twenty lists.
const INLINE_AT_END: usize = 32 << 10;
/// An item may have 400 KB with its names.
const ITEM: usize = 390_000;
/// What one part of a slot holds.
const PART: usize = 350_000;
/// A transaction may have 4 MB and 100 writes.
const TRANSACTION: usize = 4_000_000;

impl DynamoDbStore {
    pub(super) async fn write(&self, change: &Change) -> Result<(), AppendError> {
        let place = Place::of(&change.key);
        let content = encode_entries(&change.entries)?;
        let seen = match change.after {
            0 => Some(self.first(change, &place, pack(content)).await?),
            1 => self.second(change, &place, pack(content)).await?,
            // Nobody has seen that many.
            after if after >= MOST_SLOTS => return Err(AppendError::Conflict),
            _ => Some(self.later(change, &place, content).await?),
        };
        if let Some(seen) = seen {
            self.known.put(&place.pk, seen);
        }
        Ok(())
    }

    async fn first(
        &self,
        change: &Change,
        place: &Place,
        content: Vec<u8>,
    ) -> Result<Seen, AppendError> {
        let head = change.head.as_ref();
        let head =
            head.ok_or_else(|| StoreError::broken("a journal's first append has no head"))?;
        let seen = Seen { born: u64::try_from(now_millis()).unwrap_or_default(), version: 1 };
        let mut item = self.item(place, HEAD.to_owned(), seen.born);
        item.extend(place.plain.iter().map(|plain| ("id".to_owned(), string(plain.as_str()))));
        item.insert("n".to_owned(), number(1));
        for (name, value) in head_attributes(&change.key, head, self.ttl)? {
            item.extend(value.map(|value| (name.to_owned(), value)));
        }
        let (e1, parts) = self.inline(place, seen, content, Some(head));
        item.insert("e1".to_owned(), e1);
        // One that has expired may still be there. Slots of it stay, and are told by their birth.
        let condition = Condition::of("attribute_not_exists(#pk) OR (#ttl <= :now AND #g < :g)")
            .name("#pk", "pk")
            .name("#ttl", "ttl")
            .name("#g", "g")
            .value(":now", number(now()))
            .value(":g", number(seen.born));
        self.put(item, condition, None, parts).await?;
        Ok(seen)
    }

    /// What is known after it may be nothing: the update does not say when the journal was begun.
    async fn second(
        &self,
        change: &Change,
        place: &Place,
        content: Vec<u8>,
    ) -> Result<Option<Seen>, AppendError> {
        let known = self.known.get(&place.pk);
        let born = match known {
            Some(seen) => seen.born,
            None if content.len() > INLINE => self.seen(change, place).await?.born,
            None => 0,
        };
        let seen = Seen { born, version: 2 };
        let (e2, parts) = self.inline(place, seen, content, change.head.as_ref());
        let condition = Condition::of("attribute_exists(#e1) AND attribute_not_exists(#e2)")
            .name("#e1", "e1")
            .name("#e2", "e2");
        let mut changes = vec![("e2", Some(e2))];
        changes.extend(self.head_changes(change)?);
        let update = Changing::of(place, condition, changes);
        if parts.is_empty() {
            self.update(update).await?;
        } else {
            let writes = parts.into_iter().map(|part| self.put_of(part, Condition::default()));
            let mut writes: Vec<_> = writes.collect::<Result<_, _>>()?;
            writes.push(self.update_of(update)?);
            self.transact(writes).await?;
        }
        Ok((born > 0).then_some(seen))
    }

    async fn later(
        &self,
        change: &Change,
        place: &Place,
        content: Vec<u8>,
    ) -> Result<Seen, AppendError> {
        let born = self.seen(change, place).await?.born;
        let seen = Seen { born, version: change.after + 1 };
        let mut item = self.item(place, keys::slot(seen.version), born);
        item.extend(slot_expiry(self.ttl).map(|ttl| ("ttl".to_owned(), ttl)));
        if change.head.is_some() {
            item.insert("c".to_owned(), number(1));
        }
        let mut parts = Vec::new();
        let content = smaller(content, size(&item));
        if content.len() <= PART {
            item.insert("v".to_owned(), binary(content));
        } else {
            let (first, rest) = content.split_at(PART);
            item.insert("v".to_owned(), binary(first.to_vec()));
            parts = self.parts(place, seen, rest, 1);
            item.insert("p".to_owned(), number(parts.len() as u64 + 1));
        }
        // What is left of an earlier journal under this key is written over.
        let condition = Condition::of("attribute_not_exists(#pk) OR #g < :g")
            .name("#pk", "pk")
            .name("#g", "g")
            .value(":g", number(born));
        let head = change.head.is_some().then(|| self.head_changes(change)).transpose()?;
        let head = head.map(|changes| {
            // Costs nothing, and keeps out whoever is beyond the end or of an earlier journal.
            let condition = Condition::of("attribute_exists(#e2) AND #g = :g")
                .name("#e2", "e2")
                .name("#g", "g")
                .value(":g", number(born));
            Changing::of(place, condition, changes)
        });
        self.put(item, condition, head, parts).await?;
        Ok(seen)
    }

    /// The journal, with the slot that this append goes after. It is known here when this process
    /// has read or written that slot; otherwise a read says so, and keeps out a writer beyond the
    /// end.
    async fn seen(&self, change: &Change, place: &Place) -> Result<Seen, AppendError> {
        let is_there = |seen: &Seen| seen.version >= change.after;
        if let Some(seen) = self.known.get(&place.pk).filter(is_there) {
            return Ok(seen);
        }
        let loaded = self.load(&change.key, place, change.after - 1).await?;
        loaded.map(|(_, seen)| seen).filter(is_there).ok_or(AppendError::Conflict)
    }

    /// The attribute for one of the first two slots: its content, or how many further items hold
    /// it; and those.
    fn inline(
        &self,
        place: &Place,
        seen: Seen,
        content: Vec<u8>,
        head: Option<&Head>,
    ) -> (AttributeValue, Vec<Item>) {
        let ends = head.is_some_and(|head| matches!(head.phase, Phase::Finished | Phase::Answered));
        if content.len() <= if ends { INLINE_AT_END } else { INLINE } {
            return (binary(content), Vec::new());
        }
        let parts = self.parts(place, seen, &content, 0);
        (number(parts.len() as u64), parts)
    }

    fn parts(&self, place: &Place, seen: Seen, content: &[u8], from: usize) -> Vec<Item> {
        let parts = (from..).zip(content.chunks(PART)).map(|(part, content)| {
            let mut item = self.item(place, keys::part(seen.version, part), seen.born);
            item.insert("v".to_owned(), binary(content.to_vec()));
            item.extend(slot_expiry(self.ttl).map(|ttl| ("ttl".to_owned(), ttl)));
            item
        });
        parts.collect()
    }

    fn item(&self, place: &Place, sk: String, born: u64) -> Item {
        let attributes = [("pk", string(&*place.pk)), ("sk", string(sk)), ("g", number(born))];
        attributes.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn head_changes(
        &self,
        change: &Change,
    ) -> Result<Vec<(&'static str, Option<AttributeValue>)>, StoreError> {
        let Some(head) = &change.head else { return Ok(Vec::new()) };
        let mut changes = head_attributes(&change.key, head, self.ttl)?;
        changes.push(("n", Some(number(change.after + 1))));
        Ok(changes)
    }

    /// One plain write if that is all.
    async fn put(
        &self,
        item: Item,
        condition: Condition,
        head: Option<Changing>,
        parts: Vec<Item>,
    ) -> Result<(), AppendError> {
        if size(&item) > ITEM {
            return Err(AppendError::TooLarge);
        }
        if head.is_none() && parts.is_empty() {
            let put = self.table.client.put_item().table_name(&self.table.name);
            let put = put
                .set_item(Some(item))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(Some(condition.names))
                .set_expression_attribute_values(Some(condition.values));
            self.table.send(|| put.clone().send()).await?;
            return Ok(());
        }
        let total: usize = [&item].into_iter().chain(&parts).map(size).sum();
        let total = total + head.as_ref().map_or(0, Changing::size);
        if total > TRANSACTION || parts.len() > 90 {
            return Err(AppendError::TooLarge);
        }
        let mut writes = vec![self.put_of(item, condition)?];
        for part in parts {
            writes.push(self.put_of(part, Condition::default())?);
        }
        writes.extend(head.map(|head| self.update_of(head)).transpose()?);
        self.transact(writes).await
    }

    async fn update(&self, update: Changing) -> Result<(), AppendError> {
        if update.size() > ITEM {
            return Err(AppendError::TooLarge);
        }
        let request = self.table.client.update_item().table_name(&self.table.name);
        let request = request
            .set_key(Some(update.key))
            .update_expression(update.expression)
            .condition_expression(update.condition.expression)
            .set_expression_attribute_names(Some(update.condition.names))
            .set_expression_attribute_values(some(update.condition.values));
        self.table.send(|| request.clone().send()).await?;
        Ok(())
    }

    async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<(), AppendError> {
        // The client gives it a token: when it has to send it again, it is done once.
        let request = self.table.client.transact_write_items().set_transact_items(Some(writes));
        self.table.send(|| request.clone().send()).await?;
        Ok(())
    }

    fn put_of(&self, item: Item, condition: Condition) -> Result<TransactWriteItem, StoreError> {
        let some_expression = Some(condition.expression).filter(|text| !text.is_empty());
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .set_condition_expression(some_expression)
            .set_expression_attribute_names(some(condition.names))
            .set_expression_attribute_values(some(condition.values));
        Ok(TransactWriteItem::builder().put(put.build().map_err(unbuilt)?).build())
    }

    fn update_of(&self, update: Changing) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table.name)
            .set_key(Some(update.key))
            .update_expression(update.expression)
            .condition_expression(update.condition.expression)
            .set_expression_attribute_names(Some(update.condition.names))
            .set_expression_attribute_values(some(update.condition.values));
        Ok(TransactWriteItem::builder().update(update.build().map_err(unbuilt)?).build())
    }
}

/// Compressed if that saves a write unit: then it is worth the reader's time.
fn smaller(content: Vec<u8>, beside: usize) -> Vec<u8> {
    let units = |content: &[u8]| write_units(beside + "v".len() + content.len());
    if units(&content) == 1 {
        return content;
    }
    let packed = pack(content.clone());
    if units(&packed) < units(&content) { packed } else { content }
}

/// An empty map is refused where none is needed.
fn some<V>(map: HashMap<String, V>) -> Option<HashMap<String, V>> {
    Some(map).filter(|map| !map.is_empty())
}

/// What must hold for a write.
#[derive(Debug, Default)]
struct Condition {
    expression: String,
    names: HashMap<String, String>,
    values: Item,
}

impl Condition {
    fn of(expression: &str) -> Self {
        Self { expression: expression.to_owned(), ..Self::default() }
    }

    /// Many plain words are reserved.
    fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.insert(placeholder.to_owned(), name.to_owned());
        self
    }

    fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }
}

/// An update of a head's item.
#[derive(Debug)]
struct Changing {
    key: Item,
    expression: String,
    condition: Condition,
}

impl Changing {
    fn of(
        place: &Place,
        mut condition: Condition,
        changes: Vec<(&'static str, Option<AttributeValue>)>,
    ) -> Self {
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        for (name, value) in changes {
            condition = condition.name(&format!("#{name}"), name);
            match value {
                Some(value) => {
                    condition = condition.value(&format!(":{name}"), value);
                    set.push(format!("#{name} = :{name}"));
                }
                None => remove.push(format!("#{name}")),
            }
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression += &format!(" REMOVE {}", remove.join(", "));
        }
        let key = [("pk", string(&*place.pk)), ("sk", string(HEAD))];
        Self {
            key: key.map(|(name, value)| (name.to_owned(), value)).into(),
            expression,
            condition,
        }
    }

    fn size(&self) -> usize {
        size(&self.condition.values) + size(&self.key)
    }
}
