//! Calls that are repeated where that is safe.
//!
//! Owns: making a call again, and the time and the tries it has. Must never know: after which
//! failure that is safe (`failure`), bytes.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Parameters, Transport,
    failure::{backoff, may_retry, within},
    resume,
};
use crate::{
    call::{Call, Reply},
    error::Error,
};

/// A transport whose calls are repeated, and whose streams are continued.
#[derive(Debug)]
pub(super) struct Retrying(pub(super) Arc<dyn Transport>);

#[async_trait]
impl Transport for Retrying {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error> {
        let trying = tried(&*self.0, parameters, &call);
        let reply = within(parameters.timeout, "The agent did not answer in time.", trying).await?;
        Ok(match reply {
            Reply::Events(events) => Reply::Events(resume::continued(
                Arc::clone(&self.0),
                parameters.clone(),
                call,
                events,
            )),
            reply => reply,
        })
    }
}

/// Makes a call until it is answered, or fails in a way that stays.
pub(super) async fn tried(
    transport: &dyn Transport,
    parameters: &Parameters,
    call: &Call,
) -> Result<Reply, Error> {
    let mut tries = 1;
    loop {
        match transport.call(parameters, call.clone()).await {
            Err(error) if tries < parameters.tries && may_retry(parameters, call, &error) => {
                tracing::debug!(%error, tries, "a call is made again");
            }
            outcome => return outcome,
        }
        tokio::time::sleep(backoff(tries)).await;
        tries += 1;
    }
}
