//! The table: how it is asked, what it must be, and how it is made.
//!
//! Owns: its definition, which is `infra/table.json` and nothing else, and how many requests may be
//! under way. Must never know: what its items mean.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::{AttributeValue, TableStatus, TimeToLiveSpecification, TimeToLiveStatus},
};
use tokio::sync::Semaphore;

use super::{
    definition::{Definition, unbuilt},
    fault::{Reasons, Refusal, refusal},
};
use crate::store::StoreError;

/// How many requests may be under way; each has a connection. More wait here for their turn.
const REQUESTS: usize = 128;
/// How often a write that another transaction kept out is tried in place.
const TRIES: u32 = 5;
/// How long `open` may look for credentials, and how long for the table.
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

impl Table {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name, turns: Semaphore::new(REQUESTS) }
    }

    /// Sends a request. What another transaction keeps out is sent again after a little while.
    pub(super) async fn send<T, E, F>(&self, request: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Reasons + std::error::Error + Send + Sync + 'static,
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

    /// Whether the table can be reached, and is what it must be. Five cheap reads that find
    /// nothing: a function may read and write items, and need not be allowed to describe a table.
    pub(super) async fn check(&self) -> Result<(), String> {
        match tokio::time::timeout(OPENING, self.probe()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("DynamoDB did not answer for the table {} in time.", self.name)),
        }
    }

    async fn probe(&self) -> Result<(), String> {
        let nothing = || AttributeValue::S("#".to_owned());
        let get = self.client.get_item().table_name(&self.name);
        let get = get.key("pk", nothing()).key("sk", nothing());
        self.send(|| get.clone().send()).await.map_err(|refusal| self.unfit(refusal, None))?;
        for (index, hash) in Definition::read()?.indexes() {
            let query = self.client.query().table_name(&self.name).index_name(index);
            let query = query.key_condition_expression("#hash = :nothing").limit(1);
            let query = query.expression_attribute_names("#hash", hash);
            let query = query.expression_attribute_values(":nothing", nothing());
            let found = self.send(|| query.clone().send()).await;
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
        let made = tokio::time::timeout(MAKING, self.create());
        match made.await {
            Ok(Ok(())) => self.check().await,
            Ok(Err(error)) => Err(format!("The table {} cannot be made: {error}.", self.name)),
            Err(_) => Err(format!("The table {} is still being made; try again.", self.name)),
        }
    }

    async fn create(&self) -> Result<(), StoreError> {
        let create = self.client.create_table().table_name(&self.name);
        let create = Definition::read().and_then(|definition| definition.apply(create));
        let create = create.map_err(StoreError::broken)?;
        match self.send(|| create.clone().send()).await {
            // It is there, or somebody else is making it.
            Err(refusal) if refusal.code() != "ResourceInUseException" => {
                return Err(refusal.into());
            }
            _ => {}
        }
        let describe = self.client.describe_table().table_name(&self.name);
        loop {
            let described = self.send(|| describe.clone().send()).await?;
            let status = described.table.as_ref().and_then(|table| table.table_status.as_ref());
            if matches!(status, Some(TableStatus::Active | TableStatus::Updating)) {
                return self.expire().await;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Lets the service remove what has expired.
    async fn expire(&self) -> Result<(), StoreError> {
        let describe = self.client.describe_time_to_live().table_name(&self.name);
        let described = self.send(|| describe.clone().send()).await?;
        let status = described.time_to_live_description.and_then(|known| known.time_to_live_status);
        if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            return Ok(());
        }
        let ttl = TimeToLiveSpecification::builder().attribute_name("ttl").enabled(true).build();
        let update = self.client.update_time_to_live().table_name(&self.name);
        let update = update.time_to_live_specification(ttl.map_err(unbuilt)?);
        match self.send(|| update.clone().send()).await {
            // Many may do it at once.
            Err(refusal) if refusal.code() != "ValidationException" => Err(refusal.into()),
            _ => Ok(()),
        }
    }
}
