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
#[cfg(test)]
mod engines;

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
