//! What DynamoDB's requests consume, as the engine itself tells it, which does not depend on the
//! machine.
//!
//! Owns: asking for the consumed capacity with each request, and the sums by operation. Must never
//! know: what a request is for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use a2a_core::store::DynamoDbStore;
use anyhow::{Error, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use serde_json::Value;

use super::writer::Store;

/// Requests of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    /// How many were answered.
    pub(super) requests: u64,
    /// Capacity units: of writes or of reads, whichever the operation does.
    pub(super) units: f64,
}

/// Sums what a store's requests consume.
#[derive(Clone, Debug, Default)]
pub(super) struct Capacity(Arc<Mutex<Costs>>);

/// By operation; queries that only count are one of their own, `Query (count)`.
pub(super) type Costs = BTreeMap<String, Cost>;

impl Capacity {
    /// A store, and the sums of its requests from now on.
    pub(super) async fn open(url: &str) -> Result<(Store, Self)> {
        let capacity = Self::default();
        let client = DynamoDbStore::client(url).await.map_err(Error::msg)?;
        let config = client.config().to_builder();
        let client = Client::from_conf(config.interceptor(capacity.clone()).build());
        let store = DynamoDbStore::over(url, client).await.map_err(Error::msg)?;
        capacity.take();
        Ok((Arc::new(store), capacity))
    }

    /// The sums since they were last taken.
    pub(super) fn take(&self) -> Costs {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The sum of the operations that are wanted by their names.
pub(super) fn sum(costs: &Costs, wanted: impl Fn(&str) -> bool) -> Cost {
    let costs = costs.iter().filter(|(name, _)| wanted(name)).map(|(_, cost)| cost);
    costs.fold(Cost::default(), |sum, cost| Cost {
        requests: sum.requests + cost.requests,
        units: sum.units + cost.units,
    })
}

impl Intercept for Capacity {
    fn name(&self) -> &'static str {
        "Capacity"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let mut operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let mut body = json(request.body().bytes())?;
        if body["Select"] == "COUNT" {
            operation += " (count)";
        }
        body["ReturnConsumedCapacity"] = "TOTAL".into();
        let body = body.to_string();
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = body.into();
        config.interceptor_state().store_put(Operation(operation));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Operation(operation)) = config.load::<Operation>() else { return Ok(()) };
        // One for each table where there may be several.
        let consumed = match &json(context.response().body().bytes())?["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().filter_map(units).sum(),
            table => units(table).unwrap_or_default(),
        };
        let mut costs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = costs.entry(operation.clone()).or_default();
        cost.requests += 1;
        cost.units += consumed;
        Ok(())
    }
}

/// An operation's name, between its request and its answer.
#[derive(Debug)]
struct Operation(String);

impl Storable for Operation {
    type Storer = StoreReplace<Self>;
}

fn json(body: Option<&[u8]>) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(body.unwrap_or_default())
}

fn units(consumed: &Value) -> Option<f64> {
    consumed["CapacityUnits"].as_f64()
}

/// What the store's requests cost, in the service's units.
/// What the store's requests cost, in the service's units.
#[cfg(test)]
mod engines {
    use a2a_core::store::conformance::{append, chunk, head, key, submitted};
    use a2a_core::store::{self, ListQuery};
    use a2a_core::task::{Entry, Head, Phase};
    use a2a_core::{Env, TaskState, TaskStatus, TaskStatusUpdateEvent};

    use super::*;
    use crate::text::text;

    async fn counted(case: &str) -> (Store, Capacity) {
        let engine =
            std::env::var("A2A_TEST_DYNAMODB").expect("run `cargo xtask test`, which starts it");
        // With an expiry: it is billed, too.
        let url = format!(
            "dynamodb://{case}-{}?endpoint={engine}&region=eu-central-1&ttl=3000000000",
            Env::system().id()
        );
        store::prepare(&url).await.unwrap();
        Capacity::open(&url).await.unwrap()
    }

    fn taken(capacity: &Capacity) -> Cost {
        sum(&capacity.take(), |_| true)
    }

    /// English text of that length, another at each place.
    fn prose(from: usize, length: usize) -> String {
        let text = include_str!("../../../../README.md");
        let text: String =
            text.chars().filter(char::is_ascii).cycle().skip(from).take(length).collect();
        text
    }

    fn completed() -> Entry {
        let head = head(TaskState::Completed, 1_800_000_000_000);
        let status = TaskStatus { ..head.status };
        Entry::Status(Arc::new(TaskStatusUpdateEvent {
            status,
            ..TaskStatusUpdateEvent::default()
        }))
    }

    /// A task's id as a server makes it.
    const ID: &str = "6a1c1e54-6b5a-4b8e-9a7e-3f1d0f1c2b3a";

    #[tokio::test]
    async fn a_blocking_send_takes_two_writes_and_eight_units_at_most() {
        let (store, capacity) = counted("send").await;
        let done =
            || Head { owner: "caller".into(), ..head(TaskState::Completed, 1_800_000_000_000) };
        let entries = vec![submitted(&prose(0, 300)), chunk(&prose(300, 1_024)), completed()];
        append(&store, key(ID), 0, entries.clone(), Some(done())).await.unwrap();
        let all_at_once = taken(&capacity);
        assert_eq!(all_at_once.requests, 1);
        assert!(all_at_once.units > 0.0 && all_at_once.units <= 5.0, "{all_at_once:?}");
        // With a key: claimed first, then the rest.
        let claim = Head { phase: Phase::Claimed, ..head(TaskState::Submitted, 1_800_000_000_000) };
        append(&store, key("keyed"), 0, entries[..1].to_vec(), Some(claim)).await.unwrap();
        append(&store, key("keyed"), 1, entries[1..].to_vec(), Some(done())).await.unwrap();
        let keyed = taken(&capacity);
        assert_eq!(keyed.requests, 2);
        assert!(keyed.units > 0.0 && keyed.units <= 8.0, "{keyed:?}");
    }

    #[tokio::test]
    async fn a_stream_takes_little_more_than_a_unit_per_kilobyte() {
        let (store, capacity) = counted("stream").await;
        let state = |state| Head { owner: "caller".into(), ..head(state, 1_800_000_000_000) };
        let first = vec![submitted(&prose(0, 300))];
        append(&store, key(ID), 0, first, Some(state(TaskState::Working))).await.unwrap();
        for after in 1..=400 {
            let text = prose(after as usize * 700, 1_024);
            append(&store, key(ID), after, [chunk(&text)], None).await.unwrap();
        }
        append(&store, key(ID), 401, [completed()], Some(state(TaskState::Completed)))
            .await
            .unwrap();
        let cost = taken(&capacity);
        assert_eq!(cost.requests, 402);
        assert!(cost.units / 400.0 <= 1.15, "{} units per KB", cost.units / 400.0);
        store.read(&key(ID), 0).await.unwrap().unwrap();
        let read = taken(&capacity);
        assert_eq!(read.requests, 1);
        assert!(read.units > 0.0 && read.units <= 101.0, "four kilobytes per unit: {read:?}");
    }

    #[tokio::test]
    async fn a_stream_that_comes_at_once_costs_no_more_and_few_requests() {
        let (store, capacity) = counted("burst").await;
        let state = |state| Some(Head { owner: "caller".into(), ..head(state, 1_800_000_000_000) });
        let slots =
            [(100, state(TaskState::Working)), (200, None), (100, state(TaskState::Completed))];
        for (after, (chunks, head)) in (0..).zip(slots) {
            let chunk = |number| chunk(&prose((after * 200 + number) as usize * 700, 1_024));
            let entries = (0..chunks).map(chunk).chain([completed()]);
            append(&store, key(ID), after, entries.collect::<Vec<_>>(), head).await.unwrap();
        }
        let cost = taken(&capacity);
        assert!(cost.requests <= 10, "{cost:?}");
        assert!(cost.units / 400.0 <= 1.15, "{} units per KB", cost.units / 400.0);
        assert_eq!(store.read(&key(ID), 0).await.unwrap().unwrap().slots.len(), 3);
    }

    #[tokio::test]
    async fn a_page_costs_the_same_among_many() {
        let (store, capacity) = counted("page").await;
        let query = || ListQuery {
            tenant: "".into(),
            owner: "caller".into(),
            context_id: None,
            state: None,
            since: None,
            after: None,
            limit: 10,
        };
        let mut costs = Vec::new();
        for number in 0..200 {
            let at = 1_800_000_000_000 + number;
            let done = Head { owner: "caller".into(), ..head(TaskState::Completed, at) };
            append(&store, key(&format!("{ID}{number}")), 0, [submitted("x")], Some(done))
                .await
                .unwrap();
            if number == 20 || number == 199 {
                capacity.take();
                let page = store.list(&query()).await.unwrap();
                assert_eq!((page.rows.len(), page.total), (10, number.unsigned_abs() + 1));
                let mut cost = capacity.take();
                cost.remove("Query (count)").unwrap();
                costs.push(cost);
                // The count is not made again for the next page.
                let next = store.list(&ListQuery { after: page.next, ..query() }).await.unwrap();
                assert_eq!(next.total, page.total);
                assert!(!capacity.take().contains_key("Query (count)"));
            }
        }
        let cost = |requests, units| Cost { requests, units };
        let expected = [("BatchGetItem", cost(1, 10.0)), ("Query", cost(1, 0.5))];
        let expected = expected.map(|(operation, cost)| (operation.to_owned(), cost));
        assert_eq!(costs, vec![BTreeMap::from(expected); 2]);
    }

    /// The service's published arithmetic, over the items that are really sent.
    #[tokio::test]
    async fn an_engine_agrees_with_the_arithmetic() {
        let (store, capacity) = counted("reported").await;
        let steps = [TaskState::Working, TaskState::InputRequired, TaskState::Working];
        append(&store, key("t"), 0, [submitted("x")], Some(head(TaskState::Working, 1)))
            .await
            .unwrap();
        for (after, state) in (1..).zip(steps) {
            let entry = [chunk(&text(1, 3_000))];
            append(&store, key("t"), after, entry, Some(head(state, 2))).await.unwrap();
        }
        append(&store, key("t"), 4, [chunk("x")], None).await.unwrap();
        store.read(&key("t"), 0).await.unwrap().unwrap();
        store.head(&key("t")).await.unwrap().unwrap();
        let told = capacity.take();
        let told: Vec<_> =
            told.iter().map(|(name, cost)| (&**name, cost.requests, cost.units)).collect();
        let expected = [
            ("GetItem", 1, 1.0),
            // The first slot with four rows of indexes, the second's text of 3 KB, and the fifth slot.
            ("PutItem", 3, 9.0),
            ("Query", 1, 2.0),
            // Each 3 KB and 1 KB, twice; two rows that change, one that moves, one that comes or goes.
            ("TransactWriteItems", 2, 26.0),
            // 1 KB, and three rows that move.
            ("UpdateItem", 1, 7.0),
        ];
        assert_eq!(told, expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_added_by_what_they_are() {
        let cost = |requests, units| Cost { requests, units };
        let costs = [
            ("PutItem", cost(1, 5.0)),
            ("TransactWriteItems", cost(2, 7.5)),
            ("GetItem", cost(4, 2.0)),
        ];
        let costs = Costs::from(costs.map(|(operation, cost)| (operation.to_owned(), cost)));
        assert_eq!(sum(&costs, |name| name != "GetItem"), cost(3, 12.5));
        assert_eq!(sum(&costs, |_| true).requests, 7);
    }
}
