//! Journals in a DynamoDB table.
//!
//! An [`append`] writes one slot and the head, a [`read`] queries them, a [`list`] queries an index
//! and then gets the heads; all of them send through the [`table`].
//!
//! | file | what |
//! |---|---|
//! | [`append`], [`read`], [`list`] | the contract's operations |
//! | [`table`] | requests and pages of queries; the table's check and creation |
//! | [`item`], [`keys`], [`pack`] | attributes, keys, compression: the layout in the table |
//! | [`known`] | which journals this process has seen lately, so that appends need no read |
//! | [`fault`] | what the service's errors mean |
//! | [`address`], [`account`], [`http`] | the URL, credentials, connections |
//!
//! Owns: the store made of these. Must never know: states and rules.

mod account;
mod address;
mod append;
mod fault;
mod http;
mod item;
mod keys;
mod known;
mod list;
mod pack;
mod read;
mod table;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;

use self::{address::TableAddress, keys::ItemKey, known::Known, table::Table};
use super::{
    AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError, Tail,
    TaskStore,
    feed::{Feeds, Pauses},
    totals::Totals,
};
use crate::task::{Head, Slot, TaskKey, Version};

/// Nothing notifies of more: followers poll, and each poll takes half a read unit. That is two units
/// a second while events come, and a third of one while none does.
const PAUSES: Pauses =
    Pauses { shortest: Duration::from_millis(250), longest: Duration::from_millis(1_500) };

/// A [`TaskStore`] in a DynamoDB table: `dynamodb://TABLE`.
///
/// What is read of one journal is strongly consistent. Lists follow within a moment, as indexes do;
/// a list's total may be a few seconds old where another process writes.
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
    /// The store that a URL names.
    pub(super) async fn open(url: &str) -> Result<Self, String> {
        Self::over(url, Self::client(url).await?).await
    }

    /// Makes the table where it is missing.
    pub(super) async fn prepare(url: &str) -> Result<(), String> {
        let table = TableAddress::parse(url)?.table;
        Table::new(Self::client(url).await?, table).make().await
    }

    /// The client for a URL's table.
    ///
    /// # Errors
    /// One sentence for the user when the URL is wrong, or lacks credentials or a region.
    #[doc(hidden)]
    pub async fn client(url: &str) -> Result<Client, String> {
        let address = TableAddress::parse(url)?;
        // Where there are no credentials they are looked for over the network, too.
        let client = tokio::time::timeout(table::OPENING, address.client()).await;
        client.map_err(|_| "There are no AWS credentials for DynamoDB, nor a region.".to_owned())?
    }

    /// The store that a URL names, over a client that does more than [`client`](Self::client)'s,
    /// such as counting what its requests cost.
    ///
    /// # Errors
    /// As for [`store::open`](super::open).
    #[doc(hidden)]
    pub async fn over(url: &str, client: Client) -> Result<Self, String> {
        let address = TableAddress::parse(url)?;
        let table = Table::new(client, address.table);
        table.check().await?;
        let (feeds, known, totals) = (Feeds::new(PAUSES), Known::default(), Totals::default());
        Ok(Self { table, ttl: address.ttl, feeds, known, totals })
    }
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

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        let loaded = self.load(key, &ItemKey::of(key), after, limit).await?;
        Ok(loaded.map(|(journal, _)| journal))
    }

    async fn poll(&self, key: &TaskKey, after: Version) -> Result<Vec<Slot>, StoreError> {
        self.news(key, after).await
    }

    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        self.end(key).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.head_alone(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.page(query).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        self.at_work(after, limit as usize, except).await
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        self.feeds.tail(Arc::clone(&self), key, after)
    }
}
