//! An agent that is looked for when it is first called.
//!
//! Owns: that it is found once, and looked for again while it is not. Must never know: how it is
//! found, nor how it is called.

use std::fmt;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::{Client, Parameters, Transport, failure::within};
use crate::{
    call::{Call, Reply},
    error::Error,
};

/// The way to an agent that need not be there yet.
pub(super) struct LazyTransport {
    find: Box<Find>,
    /// Who looks, for the log.
    connector: String,
    found: OnceCell<Client>,
}

/// Looks for an agent.
type Find = dyn Fn() -> BoxFuture<'static, Result<Client, Error>> + Send + Sync;

impl LazyTransport {
    pub(super) fn new(connector: String, find: Box<Find>) -> Self {
        Self { find, connector, found: OnceCell::new() }
    }
}

#[async_trait]
impl Transport for LazyTransport {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error> {
        // Calls that come together look once.
        let finding = self.found.get_or_try_init(|| (self.find)());
        let sentence = "The agent did not show its card in time.";
        let found = within(parameters.timeout, sentence, finding).await?;
        found.transport.call(parameters, call).await
    }
}

impl fmt::Debug for LazyTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("LazyTransport")
            .field("connector", &format_args!("{}", self.connector))
            .field("found", &self.found.get())
            .finish_non_exhaustive()
    }
}
