//! An agent that is looked for when it is first called.
//!
//! Owns: that it is found once, and looked for again while it is not. Must never know: how it is
//! found, nor how it is called.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::{Client, Connector, Parameters, Transport};
use crate::{
    call::{Call, Reply},
    error::{Error, ErrorKind},
};

/// The way to an agent that need not be there yet.
pub(super) struct Later {
    connector: Connector,
    url: String,
    found: OnceCell<Client>,
}

impl Later {
    pub(super) fn new(connector: Connector, url: &str) -> Self {
        Self { connector, url: url.to_owned(), found: OnceCell::new() }
    }
}

#[async_trait]
impl Transport for Later {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error> {
        // Calls that come together look once.
        let finding = self.found.get_or_try_init(|| self.connector.connect(&self.url));
        let found = tokio::time::timeout(parameters.timeout, finding).await.unwrap_or_else(|_| {
            let sentence = "The agent did not show its card in time.";
            Err(Error::new(ErrorKind::DeadlineExceeded, sentence))
        });
        found?.transport.call(parameters, call).await
    }
}

impl fmt::Debug for Later {
    /// Leaves the address out: it may hold credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("Later")
            .field("connector", &self.connector)
            .field("found", &self.found.get())
            .finish_non_exhaustive()
    }
}
