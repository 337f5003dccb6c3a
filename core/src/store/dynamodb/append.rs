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
//! What is too large for its place is laid aside before, in parts under a name that nobody else
//! uses: there they are nothing to anybody until the slot names them. So large content is written
//! plainly, at half the units of a transaction. Whoever then loses the slot leaves its parts
//! behind, to expire: what looks lost may have been acknowledged in vain, so nothing is removed.
//! Must never know: how it is read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::{
    DynamoDbStore,
    definition::unbuilt,
    item::{
        Item, binary, head_attributes, now, now_millis, number, size, slot_expiry, string,
        write_units,
    },
    keys::{self, HEAD, MOST_SLOTS, Parts, Place},
    known::Seen,
    pack::pack,
};
use crate::{
    store::{AppendError, Change, StoreError, codec::encode_entries},
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
/// An item may have 400 KB with its names.
const ITEM: usize = 390_000;
/// What one item holds of a slot.
const PART: usize = 350_000;
/// What a slot may hold in all. More than the largest entry and a batch make.
const SLOT: usize = 8 << 20;
/// How many parts are written at the same time.
const WRITES: usize = 4;

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
        let room = room_in_head(Some(head));
        item.insert("e1".to_owned(), self.content(place, 1, content, room).await?);
        // One that has expired may still be there. Slots of it stay, and are told by their birth.
        let condition = Condition::of("attribute_not_exists(#pk) OR (#ttl <= :now AND #g < :g)")
            .name("#pk", "pk")
            .name("#ttl", "ttl")
            .name("#g", "g")
            .value(":now", number(now()))
            .value(":g", number(seen.born));
        self.put(item, condition).await?;
        Ok(seen)
    }

    /// What is known after it may be nothing: the update does not say when the journal was begun.
    async fn second(
        &self,
        change: &Change,
        place: &Place,
        content: Vec<u8>,
    ) -> Result<Option<Seen>, AppendError> {
        let e2 = self.content(place, 2, content, room_in_head(change.head.as_ref())).await?;
        let condition = Condition::of("attribute_exists(#e1) AND attribute_not_exists(#e2)")
            .name("#e1", "e1")
            .name("#e2", "e2");
        let mut changes = vec![("e2", Some(e2))];
        changes.extend(self.head_changes(change)?);
        self.update(Changing::of(place, condition, changes)).await?;
        Ok(self.known.get(&place.pk).map(|seen| Seen { version: 2, ..seen }))
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
        let room = if change.head.is_some() { WITH_HEAD } else { PART };
        let content = smaller(content, size(&item));
        item.insert("v".to_owned(), self.content(place, seen.version, content, room).await?);
        // What is left of an earlier journal under this key is written over.
        let condition = Condition::of("attribute_not_exists(#pk) OR #g < :g")
            .name("#pk", "pk")
            .name("#g", "g")
            .value(":g", number(born));
        if change.head.is_none() {
            self.put(item, condition).await?;
            return Ok(seen);
        }
        // Costs nothing, and keeps out whoever is beyond the end or of an earlier journal.
        let of_head = Condition::of("attribute_exists(#e2) AND #g = :g")
            .name("#e2", "e2")
            .name("#g", "g")
            .value(":g", number(born));
        let head = Changing::of(place, of_head, self.head_changes(change)?);
        self.put_with_head(item, condition, head).await?;
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

    /// A slot's content as its attribute: itself where there is room for it, otherwise the name of
    /// the parts that hold it, which are there then.
    async fn content(
        &self,
        place: &Place,
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
        let parts = Parts {
            name: Uuid::new_v4().simple().to_string(),
            count: content.len().div_ceil(PART),
        };
        let item = |(part, content): (usize, &[u8])| {
            let sk = keys::part(version, &parts.name, part);
            let mut item = Item::from([
                ("pk".to_owned(), string(&*place.pk)),
                ("sk".to_owned(), string(sk)),
                ("v".to_owned(), binary(content.to_vec())),
            ]);
            item.extend(slot_expiry(self.ttl).map(|ttl| ("ttl".to_owned(), ttl)));
            item
        };
        let items: Vec<Item> = content.chunks(PART).enumerate().map(item).collect();
        let writes = stream::iter(items).map(|item| self.put(item, Condition::default()));
        writes.buffer_unordered(WRITES).try_collect::<()>().await?;
        Ok(string(parts.to_string()))
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

    async fn put(&self, item: Item, condition: Condition) -> Result<(), AppendError> {
        if size(&item) > ITEM {
            return Err(AppendError::TooLarge);
        }
        let put = self.table.client.put_item().table_name(&self.table.name);
        let put = put
            .set_item(Some(item))
            .set_condition_expression(condition.expression())
            .set_expression_attribute_names(some(condition.names))
            .set_expression_attribute_values(some(condition.values));
        self.table.send(|| put.clone().send()).await?;
        Ok(())
    }

    async fn update(&self, update: Changing) -> Result<(), AppendError> {
        if update.size() > ITEM {
            return Err(AppendError::TooLarge);
        }
        let request = self.table.client.update_item().table_name(&self.table.name);
        let request = request
            .set_key(Some(update.key))
            .update_expression(update.expression)
            .set_condition_expression(update.condition.expression())
            .set_expression_attribute_names(some(update.condition.names))
            .set_expression_attribute_values(some(update.condition.values));
        self.table.send(|| request.clone().send()).await?;
        Ok(())
    }

    async fn put_with_head(
        &self,
        item: Item,
        condition: Condition,
        head: Changing,
    ) -> Result<(), AppendError> {
        if size(&item) > ITEM || head.size() > ITEM {
            return Err(AppendError::TooLarge);
        }
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .set_condition_expression(condition.expression())
            .set_expression_attribute_names(some(condition.names))
            .set_expression_attribute_values(some(condition.values));
        let update = Update::builder()
            .table_name(&self.table.name)
            .set_key(Some(head.key))
            .update_expression(head.expression)
            .set_condition_expression(head.condition.expression())
            .set_expression_attribute_names(some(head.condition.names))
            .set_expression_attribute_values(some(head.condition.values));
        let writes = vec![
            TransactWriteItem::builder().put(put.build().map_err(unbuilt)?).build(),
            TransactWriteItem::builder().update(update.build().map_err(unbuilt)?).build(),
        ];
        // The client gives it a token: when it has to send it again, it is done once.
        let request = self.table.client.transact_write_items().set_transact_items(Some(writes));
        self.table.send(|| request.clone().send()).await?;
        Ok(())
    }
}

/// How much of a slot's content the head's item takes.
fn room_in_head(head: Option<&Head>) -> usize {
    let ends = head.is_some_and(|head| matches!(head.phase, Phase::Finished | Phase::Answered));
    if ends { INLINE_AT_END } else { INLINE }
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

/// The same for a map.
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

    /// The expression; an empty one is refused where none is needed.
    fn expression(&self) -> Option<String> {
        Some(self.expression.clone()).filter(|text| !text.is_empty())
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
