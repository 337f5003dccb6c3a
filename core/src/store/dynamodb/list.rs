//! Lists and counts of tasks, and what is running.
//!
//! Owns: which index a query reads, pages of it, and how its rows become heads. An index follows
//! its table after a moment: so a row is only where to look, and the head that is read there, which
//! is never stale, says whether the task is shown. Must never know: slots.

use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::{KeysAndAttributes, Select},
};

use super::{
    DynamoDbStore,
    item::{Item, has_expired, head_of, item, key_of, names, now, number, string, text_of},
    keys::{self, HEAD, ItemKey, SHARDS},
    table::unbuilt,
};
use crate::{
    store::{ListPage, ListPosition, ListQuery, Running, StoreError, codec::readable},
    task::{Head, TaskKey},
};

/// How many items the service gives at once by their keys.
const BATCH: usize = 100;
/// How often keys are asked for again that the service left out.
const TRIES: u32 = 8;

/// What is read of an item for a list.
const SHOWN: &str = "pk, #id, #h, #ttl";

/// A row of an index: the task's partition key, and its position in the list.
struct Row {
    pk: String,
    by_time: String,
}

/// A row whose task is shown.
struct Shown {
    key: TaskKey,
    head: Head,
    /// Where it stood in the index.
    row: ListPosition,
}

impl DynamoDbStore {
    pub(super) async fn page(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let limit = query.limit as usize;
        let mut shown: Vec<Shown> = Vec::new();
        let mut after = None;
        let more = loop {
            let wanted = limit - shown.len();
            // One more than is wanted says whether there is another page.
            let found = self.query(query, after.take());
            let mut found = self.table.pages(&found, Some(wanted + 1)).await?;
            let more = found.items.len() > wanted;
            found.items.truncate(wanted);
            let rows: Vec<Row> = found.items.iter().filter_map(row).collect();
            after = rows.last().map(|row| row.by_time.clone());
            shown.extend(self.shown(query, rows).await?);
            if shown.len() == limit || found.end && !more {
                break more;
            }
        };
        let next = shown.last().filter(|_| more).map(|last| last.row.clone());
        // A task whose status has changed since stands where it belongs now.
        let order = |shown: &Shown| {
            let ListPosition { at, id } = ListPosition::of(&shown.key.id, &shown.head);
            (Reverse(at), id)
        };
        shown.sort_by_cached_key(order);
        let rows: Vec<_> = shown.into_iter().map(|shown| (shown.key.id, shown.head)).collect();
        let total = match query.after.is_none() && next.is_none() {
            true => rows.len() as u64,
            false => self.totals.of(query, self.count(query)).await?,
        };
        Ok(ListPage { rows, next, total })
    }

    /// The request for what a query finds in an index, after that row if one is given.
    fn query(&self, query: &ListQuery, after: Option<String>) -> QueryFluentBuilder {
        let ListQuery { tenant, owner, context_id, state, .. } = query;
        let (index, list) = match (context_id, state) {
            (Some(context_id), _) => ("by_context", keys::list(&[tenant, owner, context_id])),
            (None, Some(state)) => ("by_state", keys::list(&[tenant, owner, state.name()])),
            (None, None) => ("by_owner", keys::list(&[tenant, owner])),
        };
        let (from, to) = keys::bounds(query);
        let from = after.map_or(from, |after| after + "\0");
        let condition = format!("#{index} = :hash AND by_time BETWEEN :from AND :to");
        let values = [
            (":hash", string(list)),
            (":from", string(from)),
            (":to", string(to)),
            (":now", number(now())),
        ];
        let mut filter = "(attribute_not_exists(#ttl) OR #ttl > :now)".to_owned();
        let mut request = self.table.query(&condition, values).index_name(index);
        if let (Some(_), Some(state)) = (context_id, state) {
            filter += " AND #state = :state";
            request = request.expression_attribute_values(":state", string(state.name()));
        }
        let names = names(&format!("{condition} {filter}"));
        request.set_expression_attribute_names(names).filter_expression(filter)
    }

    async fn shown(&self, query: &ListQuery, rows: Vec<Row>) -> Result<Vec<Shown>, StoreError> {
        let mut shown = Vec::new();
        for rows in rows.chunks(BATCH) {
            let mut heads = self.heads(rows).await?;
            for row in rows {
                let Some(item) = heads.remove(&row.pk) else { continue };
                let found = key_of(&item).zip(keys::time_of(&row.by_time));
                let Some((key, at)) = found.filter(|_| !has_expired(&item)) else { continue };
                let Some(head) = readable(&key, head_of(&key, &item)) else { continue };
                let row = ListPosition { at, id: key.id.clone() };
                if is_shown(query, &row, &key, &head) {
                    shown.push(Shown { key, head, row });
                }
            }
        }
        Ok(shown)
    }

    /// The head's items of these rows, by their keys.
    async fn heads(&self, rows: &[Row]) -> Result<HashMap<String, Item>, StoreError> {
        let key = |row: &Row| item([("pk", string(row.pk.as_str())), ("sk", string(HEAD))]);
        let mut left: Vec<Item> = rows.iter().map(key).collect();
        let mut heads = HashMap::new();
        let mut pause = Duration::from_millis(20);
        for _ in 0..TRIES {
            if left.is_empty() {
                return Ok(heads);
            }
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(left))
                .consistent_read(true)
                .projection_expression(SHOWN)
                .set_expression_attribute_names(names(SHOWN));
            let request = self.table.client.batch_get_item();
            let request = request.request_items(&self.table.name, keys.build().map_err(unbuilt)?);
            let answer = self.table.send(|| request.clone().send()).await?;
            let items = answer.responses.into_iter().flat_map(HashMap::into_values).flatten();
            let before = heads.len();
            heads.extend(items.filter_map(|item| Some((text_of(&item, "pk")?.to_owned(), item))));
            let tables = answer.unprocessed_keys.into_iter().flat_map(HashMap::into_values);
            left = tables.flat_map(|table| table.keys).collect();
            // It gives 16 MB at once, and the rest when asked again.
            if !left.is_empty() && heads.len() == before {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        if left.is_empty() {
            return Ok(heads);
        }
        Err(StoreError::unavailable("DynamoDB leaves out items time and again"))
    }

    async fn count(&self, query: &ListQuery) -> Result<u64, StoreError> {
        let whole = ListQuery { after: None, ..query.clone() };
        let request = self.query(&whole, None).select(Select::Count);
        Ok(self.table.pages(&request, None).await?.count)
    }

    pub(super) async fn at_work(
        &self,
        after: Option<&Running>,
        limit: usize,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        let after = after.map(|it| ItemKey::of(&it.key).by_host(it.host.as_deref()));
        let (first, after) = after.unzip();
        let mut after = after.map(|by_host| by_host + "\0");
        let mut running = Vec::new();
        for shard in first.unwrap_or(0)..SHARDS {
            // The first partition goes on, the others are read from their beginning.
            let from = after.take().unwrap_or_else(|| "0".to_owned());
            for (from, to) in keys::ranges(shard, from, except) {
                let left = limit - running.len();
                if left == 0 {
                    return Ok(running);
                }
                let condition = "by_work = :shard AND by_host BETWEEN :from AND :to";
                let shard = string(keys::by_work(shard));
                let values = [(":shard", shard), (":from", string(from)), (":to", string(to))];
                let query = self.table.query(condition, values).index_name("by_work");
                let found = self.table.pages(&query, Some(left)).await?;
                running.extend(found.items.iter().filter_map(at_work));
            }
        }
        Ok(running)
    }
}

fn at_work(item: &Item) -> Option<Running> {
    let host = keys::host_at(text_of(item, "by_host")?).map(Arc::from);
    Some(Running { key: key_of(item)?, host })
}

fn row(item: &Item) -> Option<Row> {
    Some(Row { pk: text_of(item, "pk")?.to_owned(), by_time: text_of(item, "by_time")?.to_owned() })
}

/// Whether a task is on this page by its head. It may have moved up since it was listed, but not
/// before the page; one that moved down is found on a later page.
fn is_shown(query: &ListQuery, row: &ListPosition, key: &TaskKey, head: &Head) -> bool {
    let order = |position: &ListPosition| (Reverse(position.at), position.id.clone());
    let now = ListPosition::of(&key.id, head);
    head.phase.is_listed()
        && head.owner == query.owner
        && query.context_id.as_ref().is_none_or(|wanted| head.context_id == *wanted)
        && query.state.is_none_or(|wanted| head.status.state == wanted)
        && query.since.is_none_or(|since| now.at >= since)
        && query.after.as_ref().is_none_or(|after| order(&now) > order(after))
        && order(&now) <= order(row)
}
