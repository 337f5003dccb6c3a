//! What requests cost, by the service's published arithmetic over the items really sent and
//! received.
//!
//! Owns: the arithmetic, and a shadow of the items that were written, which says what an index
//! changes. A write takes a unit per kilobyte of the larger of the old and the new item, twice that
//! in a transaction; each index that it changes takes one per kilobyte of its row, and two rows
//! when the row moves. A consistent read takes a unit per four kilobytes, of each item it gets or
//! of all that a query reads; other reads half of it. Must never know: what the items mean. Only
//! benches and tests count.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeSerializationInterceptorContextMut, FinalizerInterceptorContextRef,
            InterceptorContext,
        },
    },
    error::BoxError,
    operation::{
        batch_get_item::{BatchGetItemInput, BatchGetItemOutput},
        get_item::{GetItemInput, GetItemOutput},
        put_item::{PutItemInput, PutItemOutput},
        query::{QueryInput, QueryOutput},
        transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput},
        update_item::{UpdateItemInput, UpdateItemOutput},
    },
    types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, Select},
};
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use super::{
    definition::{Definition, Row},
    item::{Item, attribute_size, size, text_of, write_units},
};

/// Requests of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// How many were sent; one that was sent again counts once.
    pub requests: u64,
    /// Write units.
    pub writes: f64,
    /// Read units.
    pub reads: f64,
    /// What the engine itself says that it took, where it does: writes and reads together.
    pub reported: f64,
}

/// Counts what a store's requests cost.
#[derive(Clone, Debug)]
pub struct Units(Arc<Counter>);

#[derive(Debug)]
struct Counter {
    rows: Vec<Row>,
    hasher: RandomState,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    costs: BTreeMap<&'static str, Cost>,
    items: HashMap<(String, String), Shadow>,
}

/// An item as far as it matters: each attribute's size, and what tells its values apart.
type Shadow = HashMap<String, (usize, u64)>;

/// What a request asks for.
#[derive(Debug)]
enum Asked {
    Get((String, String)),
    Batch,
    Query { index: Option<String>, partition: Option<u64>, count: bool },
    Write { operation: &'static str, factor: f64, changes: Vec<Change> },
}

impl Storable for Asked {
    type Storer = StoreReplace<Self>;
}

/// A write of one item: what stands in it afterwards, or what changes.
#[derive(Debug)]
struct Change {
    key: (String, String),
    whole: bool,
    set: Shadow,
    removed: Vec<String>,
}

impl Units {
    pub(super) fn new() -> Result<Self, String> {
        let rows = Definition::read()?.rows();
        let (hasher, counts) = (RandomState::new(), Mutex::default());
        Ok(Self(Arc::new(Counter { rows, hasher, counts })))
    }

    /// What was counted since this was last asked for, by operation.
    pub fn take(&self) -> BTreeMap<&'static str, Cost> {
        std::mem::take(&mut self.0.lock().costs)
    }

    /// All of it together.
    pub fn take_sum(&self) -> Cost {
        self.take().into_values().fold(Cost::default(), |sum, cost| Cost {
            requests: sum.requests + cost.requests,
            writes: sum.writes + cost.writes,
            reads: sum.reads + cost.reads,
            reported: sum.reported + cost.reported,
        })
    }
}

impl Intercept for Units {
    fn name(&self) -> &'static str {
        "Units"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(asked) = self.0.asked(context.inner_mut()) {
            config.interceptor_state().store_put(asked);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(asked) = config.load::<Asked>() {
            self.0.count(asked, context.inner());
        }
        Ok(())
    }
}

impl Counter {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is asked for; and the engine is asked to say what it takes.
    fn asked(&self, context: &mut InterceptorContext) -> Option<Asked> {
        let input = context.input_mut()?;
        let all = Some(ReturnConsumedCapacity::Indexes);
        if let Some(put) = input.downcast_mut::<PutItemInput>() {
            put.return_consumed_capacity = all;
            let changes = vec![self.whole(put.item.as_ref()?)?];
            return Some(Asked::Write { operation: "PutItem", factor: 1.0, changes });
        }
        if let Some(update) = input.downcast_mut::<UpdateItemInput>() {
            update.return_consumed_capacity = all;
            let values = update.expression_attribute_values.as_ref();
            let expression = update.update_expression.as_deref()?;
            let changes = vec![self.change(update.key.as_ref()?, expression, values)?];
            return Some(Asked::Write { operation: "UpdateItem", factor: 1.0, changes });
        }
        if let Some(transaction) = input.downcast_mut::<TransactWriteItemsInput>() {
            transaction.return_consumed_capacity = all;
            let writes = transaction.transact_items.iter().flatten();
            let changes = writes.filter_map(|write| match (&write.put, &write.update) {
                (Some(put), _) => self.whole(&put.item),
                (_, Some(update)) => {
                    let values = update.expression_attribute_values.as_ref();
                    self.change(&update.key, &update.update_expression, values)
                }
                _ => None,
            });
            let changes = changes.collect();
            return Some(Asked::Write { operation: "TransactWriteItems", factor: 2.0, changes });
        }
        if let Some(get) = input.downcast_mut::<GetItemInput>() {
            get.return_consumed_capacity = all;
            return Some(Asked::Get(key(get.key.as_ref()?)?));
        }
        if let Some(batch) = input.downcast_mut::<BatchGetItemInput>() {
            batch.return_consumed_capacity = all;
            return Some(Asked::Batch);
        }
        let query = input.downcast_mut::<QueryInput>()?;
        query.return_consumed_capacity = all;
        let values = query.expression_attribute_values.as_ref();
        let partition = values.and_then(|values| values.get(":hash"));
        let partition = partition.map(|value| self.hasher.hash_one(format!("{value:?}")));
        let count = query.select == Some(Select::Count);
        Some(Asked::Query { index: query.index_name.clone(), partition, count })
    }

    fn whole(&self, item: &Item) -> Option<Change> {
        let set = self.shadow(item.iter().map(|(name, value)| (name.as_str(), value)));
        Some(Change { key: key(item)?, whole: true, set, removed: Vec::new() })
    }

    /// An update as this store writes it: `SET #a = :a, ... REMOVE #b, ...`.
    fn change(&self, of: &Item, expression: &str, values: Option<&Item>) -> Option<Change> {
        let (set, removed) = expression.split_once(" REMOVE ").unwrap_or((expression, ""));
        let set = set.strip_prefix("SET ")?.split(", ").filter_map(|part| {
            let (name, value) = part.split_once(" = ")?;
            Some((name.strip_prefix('#')?, values?.get(value)?))
        });
        let removed = removed.split(", ").filter_map(|name| name.strip_prefix('#'));
        let set = self.shadow(set.chain(of.iter().map(|(name, value)| (name.as_str(), value))));
        let removed = removed.map(str::to_owned).collect();
        Some(Change { key: key(of)?, whole: false, set, removed })
    }

    fn shadow<'a>(
        &self,
        attributes: impl Iterator<Item = (&'a str, &'a AttributeValue)>,
    ) -> Shadow {
        let shadows = attributes.map(|(name, value)| {
            let told = self.hasher.hash_one(format!("{value:?}"));
            (name.to_owned(), (attribute_size(name, value), told))
        });
        shadows.collect()
    }

    fn count(&self, asked: &Asked, context: &InterceptorContext) {
        let output = context.output_or_error().and_then(Result::ok);
        let mut counts = self.lock();
        let (operation, mut cost) = match asked {
            Asked::Write { operation, factor, changes } => {
                let writes = changes
                    .iter()
                    .map(|change| self.write(&mut counts.items, change, *factor, output.is_some()));
                (*operation, Cost { writes: writes.sum(), ..Cost::default() })
            }
            Asked::Get(key) => {
                let known = counts.items.get(key).map(shadow_size);
                let got = output.and_then(|output| output.downcast_ref::<GetItemOutput>());
                let got = got.and_then(|got| got.item.as_ref()).map_or(0, size);
                let reads = read_units(known.unwrap_or(got));
                ("GetItem", Cost { reads, ..Cost::default() })
            }
            Asked::Batch => {
                let got = output.and_then(|output| output.downcast_ref::<BatchGetItemOutput>());
                let tables = got.and_then(|got| got.responses.as_ref()).into_iter().flatten();
                let reads = tables.flat_map(|(_, items)| items).map(|item| {
                    let known = key(item).and_then(|key| counts.items.get(&key)).map(shadow_size);
                    read_units(known.unwrap_or_else(|| size(item)))
                });
                ("BatchGetItem", Cost { reads: reads.sum(), ..Cost::default() })
            }
            Asked::Query { index, partition, count } => {
                let got = output.and_then(|output| output.downcast_ref::<QueryOutput>());
                let read = match (index, count) {
                    (Some(index), true) => {
                        self.row_size(&counts.items, index, *partition)
                            * got.map_or(0.0, |got| f64::from(got.scanned_count))
                    }
                    _ => as_float(got.map_or(0, |got| got.items().iter().map(size).sum())),
                };
                // What indexes give is never consistent, what is asked of the table always is.
                let half = if index.is_some() { 0.5 } else { 1.0 };
                let reads = (read / 4_096.0).ceil().max(1.0) * half;
                let name = if *count { "Query (count)" } else { "Query" };
                (name, Cost { reads, ..Cost::default() })
            }
        };
        cost.requests = 1;
        cost.reported = reported(context);
        let sum = counts.costs.entry(operation).or_default();
        sum.requests += cost.requests;
        sum.writes += cost.writes;
        sum.reads += cost.reads;
        sum.reported += cost.reported;
    }

    /// The units of a write; one that was refused takes them for the item that is there.
    fn write(
        &self,
        items: &mut HashMap<(String, String), Shadow>,
        change: &Change,
        factor: f64,
        done: bool,
    ) -> f64 {
        let old = items.get(&change.key).cloned().unwrap_or_default();
        if !done {
            return as_float(write_units(shadow_size(&old))) * factor;
        }
        let mut new = if change.whole { Shadow::new() } else { old.clone() };
        new.extend(change.set.clone());
        new.retain(|name, _| !change.removed.contains(name));
        let larger = shadow_size(&old).max(shadow_size(&new));
        let indexes: usize = self.rows.iter().map(|row| row_units(row, &old, &new)).sum();
        items.insert(change.key.clone(), new);
        as_float(write_units(larger)) * factor + as_float(indexes)
    }

    /// The mean size of an index's rows in that partition.
    fn row_size(
        &self,
        items: &HashMap<(String, String), Shadow>,
        index: &str,
        partition: Option<u64>,
    ) -> f64 {
        let Some(row) = self.rows.iter().find(|row| row.index == index) else { return 0.0 };
        let of = items.values().filter(|item| {
            item.get(index).is_some_and(|(_, told)| partition.is_none_or(|value| value == *told))
        });
        let (sum, count) =
            of.fold((0, 0), |(sum, count), item| (sum + size_of_row(row, item), count + 1));
        as_float(sum) / as_float(count).max(1.0)
    }
}

/// What a write takes in an index.
fn row_units(row: &Row, old: &Shadow, new: &Shadow) -> usize {
    let is_in = |item: &Shadow| row.keys.iter().all(|key| item.contains_key(key));
    let units = |item: &Shadow| write_units(size_of_row(row, item));
    let same = |names: &[String]| names.iter().all(|name| old.get(name) == new.get(name));
    match (is_in(old), is_in(new)) {
        (false, false) => 0,
        (true, false) => units(old),
        (false, true) => units(new),
        (true, true) if !same(&row.keys) => units(old) + units(new),
        (true, true) if same(&row.projected) => 0,
        (true, true) => units(old).max(units(new)),
    }
}

fn size_of_row(row: &Row, item: &Shadow) -> usize {
    let names = row.keys.iter().chain(&row.projected);
    names.filter_map(|name| item.get(name)).map(|(size, _)| size).sum()
}

fn shadow_size(item: &Shadow) -> usize {
    item.values().map(|(size, _)| size).sum()
}

fn key(item: &Item) -> Option<(String, String)> {
    Some((text_of(item, "pk")?.to_owned(), text_of(item, "sk").unwrap_or("H").to_owned()))
}

fn read_units(size: usize) -> f64 {
    as_float(size.div_ceil(4_096).max(1))
}

/// No count of units or bytes is beyond 2^53.
#[allow(clippy::cast_precision_loss, reason = "see above")]
fn as_float(number: usize) -> f64 {
    number as f64
}

/// What an engine says that it took.
fn reported(context: &InterceptorContext) -> f64 {
    let Some(Ok(output)) = context.output_or_error() else { return 0.0 };
    let units = |capacity: &ConsumedCapacity| capacity.capacity_units.unwrap_or_default();
    let one = |capacity: &Option<ConsumedCapacity>| capacity.as_ref().map_or(0.0, units);
    let all = |capacity: &Option<Vec<ConsumedCapacity>>| {
        capacity.iter().flatten().map(units).sum::<f64>()
    };
    if let Some(output) = output.downcast_ref::<PutItemOutput>() {
        one(&output.consumed_capacity)
    } else if let Some(output) = output.downcast_ref::<UpdateItemOutput>() {
        one(&output.consumed_capacity)
    } else if let Some(output) = output.downcast_ref::<GetItemOutput>() {
        one(&output.consumed_capacity)
    } else if let Some(output) = output.downcast_ref::<QueryOutput>() {
        one(&output.consumed_capacity)
    } else if let Some(output) = output.downcast_ref::<BatchGetItemOutput>() {
        all(&output.consumed_capacity)
    } else if let Some(output) = output.downcast_ref::<TransactWriteItemsOutput>() {
        all(&output.consumed_capacity)
    } else {
        0.0
    }
}
