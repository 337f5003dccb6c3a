//! The table: how it is asked, what it must be, and how it is made.
//!
//! Owns: its definition, which is `infra/table.json` and nothing else; pages of queries; and how
//! many requests may be in flight. Must never know: what its items mean.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    client::Waiters,
    config::http::HttpResponse,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    operation::query::builders::QueryFluentBuilder,
    types::{AttributeValue, TimeToLiveSpecification},
};
use aws_smithy_types::body::SdkBody;
use tokio::sync::Semaphore;

use super::{
    fault::{Refusal, refusal},
    item::{Item, item, names, string},
};
use crate::store::StoreError;

/// The body of `CreateTable` without the name; the templates read it too.
const DEFINITION: &str = include_str!("../../../../infra/table.json");
/// Its indexes, each named as its partition key is, and their sort keys.
const INDEXES: [[&str; 2]; 4] = [
    ["by_owner", "by_time"],
    ["by_context", "by_time"],
    ["by_state", "by_time"],
    ["by_work", "by_host"],
];
/// Bound of the requests in flight; each has a connection. More wait here for their turn.
const REQUESTS: usize = 128;
/// Attempts at a write that another transaction keeps out.
const TRIES: u32 = 5;
/// Time limit of `open`: once for credentials, once for the table.
pub(super) const OPENING: Duration = Duration::from_secs(5);
/// How long the service may take to make a table.
const MAKING: Duration = Duration::from_secs(120);

/// A table that journals are kept in.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) client: Client,
    pub(super) name: String,
    turns: Semaphore,
}

/// What a query finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    /// How many items were found; only that, where a query only counts.
    pub(super) count: u64,
    /// Whether there are no more.
    pub(super) end: bool,
}

impl Table {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name, turns: Semaphore::new(REQUESTS) }
    }

    /// Sends a request. What another transaction keeps out is retried after a short pause.
    pub(super) async fn send<T, E, F>(&self, request: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let mut pause = Duration::from_millis(10);
        for left in (0..TRIES).rev() {
            let answer = {
                let _turn = self.turns.acquire().await;
                Box::pin(request()).await
            };
            match answer.map_err(refusal) {
                Err(Refusal::Busy) if left > 0 => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            pause *= 2;
        }
        Err(Refusal::Busy)
    }

    /// A query for what meets a condition on keys.
    pub(super) fn query<const N: usize>(
        &self,
        condition: &str,
        values: [(&str, AttributeValue); N],
    ) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.name).key_condition_expression(condition);
        query
            .set_expression_attribute_names(names(condition))
            .set_expression_attribute_values(Some(item(values)))
    }

    /// A query's pages, up to their end or to that many items.
    pub(super) async fn pages(
        &self,
        query: &QueryFluentBuilder,
        limit: Option<usize>,
    ) -> Result<Found, Refusal> {
        let (mut found, mut start) = (Found::default(), None);
        while !found.end && limit.is_none_or(|limit| found.items.len() < limit) {
            let left = limit.map(|limit| limit - found.items.len());
            let left = left.map(|left| i32::try_from(left).unwrap_or(i32::MAX));
            let page = query.clone().set_limit(left).set_exclusive_start_key(start);
            let page = self.send(|| page.clone().send()).await?;
            found.items.extend(page.items.unwrap_or_default());
            found.count += u64::try_from(page.count).unwrap_or_default();
            start = page.last_evaluated_key;
            found.end = start.as_ref().is_none_or(Item::is_empty);
        }
        Ok(found)
    }

    /// Whether the table can be reached, and is what it must be. Five cheap reads that find
    /// nothing: a function may read and write items, and need not be allowed to describe a table.
    pub(super) async fn check(&self) -> Result<(), String> {
        let checked = tokio::time::timeout(OPENING, self.probe()).await;
        let late = |_| format!("DynamoDB did not answer for the table {} in time.", self.name);
        checked.map_err(late)?
    }

    async fn probe(&self) -> Result<(), String> {
        let get = self.client.get_item().table_name(&self.name);
        let get = get.key("pk", string("#")).key("sk", string("#"));
        self.send(|| get.clone().send()).await.map_err(|refusal| self.unfit(refusal, None))?;
        for [index, sort] in INDEXES {
            let nothing = format!("#{index} = :nothing AND #{sort} = :nothing");
            let query = self.query(&nothing, [(":nothing", string("#"))]);
            let found = self.pages(&query.index_name(index), Some(1)).await;
            found.map_err(|refusal| self.unfit(refusal, Some(index)))?;
        }
        Ok(())
    }

    fn unfit(&self, refusal: Refusal, index: Option<&str>) -> String {
        let name = &self.name;
        match (refusal.code(), index) {
            ("ResourceNotFoundException", None) => format!(
                "DynamoDB has no table {name} here: `a2a-local --prepare` makes it, or a stack of \
                 infra/."
            ),
            ("ValidationException", None) => {
                format!("The table {name} has other keys than pk and sk: it is not one of tasks.")
            }
            ("ResourceNotFoundException" | "ValidationException", Some(index)) => format!(
                "The table {name} has no index {index} as infra/table.json defines it: make it \
                 anew, or add the index."
            ),
            _ => format!("The table {name} cannot be used: {}.", StoreError::from(refusal)),
        }
    }

    /// Makes the table where it is missing, with its expiry, and waits until it is there.
    pub(super) async fn make(&self) -> Result<(), String> {
        let made = self.create().await;
        made.map_err(|error| format!("The table {} cannot be made: {error}.", self.name))?;
        self.check().await
    }

    async fn create(&self) -> Result<(), StoreError> {
        let body = definition(&self.name).map_err(StoreError::broken)?;
        let create = || {
            let body = body.clone();
            let create = self.client.create_table().table_name(&self.name).customize();
            let create = create.mutate_request(move |request| {
                request.headers_mut().insert("content-length", body.len().to_string());
                *request.body_mut() = SdkBody::from(body.as_str());
            });
            create.send()
        };
        // That it is in use says that it is there, or that another process is making it.
        let made = self.send(create).await.err();
        if let Some(refusal) = made.filter(|made| made.code() != "ResourceInUseException") {
            return Err(refusal.into());
        }
        let made = self.client.wait_until_table_exists().table_name(&self.name).wait(MAKING).await;
        made.map_err(|error| StoreError::unavailable("it takes long").with_source(error))?;
        // The service removes what has expired.
        let ttl = TimeToLiveSpecification::builder().attribute_name("ttl").enabled(true).build();
        let update = self.client.update_time_to_live().table_name(&self.name);
        let update = update.time_to_live_specification(ttl.map_err(unbuilt)?);
        match self.send(|| update.clone().send()).await {
            // It does already.
            Err(refusal) if refusal.code() != "ValidationException" => Err(refusal.into()),
            _ => Ok(()),
        }
    }
}

/// The body of the request that makes such a table.
fn definition(table: &str) -> Result<String, String> {
    let wrong = |error| format!("infra/table.json defines no table: {error}");
    let mut definition: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(DEFINITION).map_err(wrong)?;
    definition.insert("TableName".to_owned(), table.into());
    serde_json::to_string(&definition).map_err(wrong)
}

/// Of a request without something it must have: a mistake here.
pub(super) fn unbuilt(error: BuildError) -> StoreError {
    StoreError::broken("a request to DynamoDB lacks something").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_names_its_indexes() {
        let definition: serde_json::Value =
            serde_json::from_str(&definition("t").unwrap()).unwrap();
        let indexes = definition["GlobalSecondaryIndexes"].as_array().unwrap();
        let names = indexes.iter().map(|index| {
            let key = |at: usize| index["KeySchema"][at]["AttributeName"].as_str().unwrap();
            assert_eq!(index["IndexName"], key(0));
            [key(0), key(1)]
        });
        assert_eq!(names.collect::<Vec<_>>(), INDEXES);
        assert_eq!(definition["TableName"], "t");
    }
}
