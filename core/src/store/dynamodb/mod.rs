//! Journals in a DynamoDB table.
//!
//! Owns: the store made of the parts beside it: [`append`] and [`read`] for one journal, [`list`]
//! for many, [`table`] for the service. Must never know: states and rules.

mod account;
mod address;
mod append;
mod definition;
mod fault;
mod http;
mod item;
mod keys;
mod known;
mod list;
mod pack;
mod read;
mod table;
#[cfg(any(test, feature = "conformance"))]
pub mod units;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use futures_util::stream::BoxStream;

use self::{address::Address, keys::Place, known::Known, table::Table};
use super::{
    AppendError, Change, Journal, ListPage, ListQuery, StoreError, TaskStore,
    feed::{Feeds, Pauses},
    totals::Totals,
};
use crate::task::{Head, Slot, TaskKey, Version};

/// Nothing says that there is more: followers ask.
const PAUSES: Pauses =
    Pauses { shortest: Duration::from_millis(20), longest: Duration::from_millis(500) };

/// A [`TaskStore`] in a DynamoDB table: `dynamodb://TABLE`.
///
/// What is read of one journal is strongly consistent. Lists follow within a moment, as indexes do;
/// a list's total may be a few seconds old where others write.
#[derive(Debug)]
pub struct DynamoDbStore {
    table: Table,
    /// How long what may expire is kept; for ever if none.
    ttl: Option<Duration>,
    feeds: Feeds,
    known: Known,
    totals: Totals,
}

impl DynamoDbStore {
    /// The store at an address, which is what follows `dynamodb:` in a URL.
    pub(super) async fn open(address: &str) -> Result<Self, String> {
        let (address, client) = connect(address).await?;
        Self::on(address, client).await
    }

    /// The same, and what its requests cost.
    ///
    /// # Errors
    /// As for [`store::open`](super::open).
    #[cfg(any(test, feature = "conformance"))]
    #[doc(hidden)]
    pub async fn counted(url: &str) -> Result<(Self, units::Units), String> {
        let (address, client) = connect(url.strip_prefix("dynamodb:").unwrap_or(url)).await?;
        let units = units::Units::new()?;
        let config = client.config().to_builder().interceptor(units.clone()).build();
        let store = Self::on(address, Client::from_conf(config)).await?;
        units.take();
        Ok((store, units))
    }

    /// This store's way to the service, for a client of a test's own.
    ///
    /// # Errors
    /// In words, when there is no TLS to be had.
    #[cfg(any(test, feature = "conformance"))]
    #[doc(hidden)]
    pub fn http_client() -> Result<aws_sdk_dynamodb::config::SharedHttpClient, String> {
        http::client()
    }

    async fn on(address: Address, client: Client) -> Result<Self, String> {
        let table = Table::new(client, address.table);
        table.check().await?;
        let (feeds, known, totals) = (Feeds::new(PAUSES), Known::default(), Totals::default());
        Ok(Self { table, ttl: address.ttl, feeds, known, totals })
    }

    /// Makes the table where it is missing.
    pub(super) async fn prepare(address: &str) -> Result<(), String> {
        let (address, client) = connect(address).await?;
        Table::new(client, address.table).make().await
    }
}

async fn connect(address: &str) -> Result<(Address, Client), String> {
    let address = Address::parse(address)?;
    // Where there are no credentials they are looked for over the network, too.
    let client = tokio::time::timeout(table::OPENING, address.client()).await;
    let nobody = |_| "There are no AWS credentials for DynamoDB, nor a region.".to_owned();
    let client = client.map_err(nobody)??;
    Ok((address, client))
}

#[async_trait]
impl TaskStore for DynamoDbStore {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        let written = self.write(&change).await;
        let Change { key, after, entries, head } = change;
        // Also after an error: it may have been written.
        if let Some(head) = head {
            self.totals.forget(&key.tenant, &head.owner);
        }
        written?;
        self.feeds.put(&key, Slot { version: after + 1, entries });
        Ok(())
    }

    async fn read(&self, key: &TaskKey, after: Version) -> Result<Option<Journal>, StoreError> {
        let loaded = self.load(key, &Place::of(key), after).await?;
        Ok(loaded.map(|(journal, _)| journal))
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.head_alone(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.page(query).await
    }

    async fn running(
        &self,
        after: Option<&TaskKey>,
        limit: u32,
    ) -> Result<Vec<TaskKey>, StoreError> {
        self.at_work(after, limit).await
    }

    fn tail(
        self: Arc<Self>,
        key: TaskKey,
        after: Version,
    ) -> BoxStream<'static, Result<Slot, StoreError>> {
        self.feeds.tail(Arc::clone(&self), key, after)
    }
}
