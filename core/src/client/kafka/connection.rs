//! What the requests to one agent share.
//!
//! Owns: the agent's address, and the process's connections that lead there. Must never know:
//! requests, streams.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    address::AgentAddress, cluster::Cluster, options::KafkaOptions, refusals::Refusals,
    reply_consumer::ReplyConsumer, reply_queue::ReplyRecord,
};
use crate::{client::Parameters, error::Error};

/// The connection to an agent. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) address: Arc<AgentAddress>,
    pub(super) options: Arc<KafkaOptions>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) replies: Arc<ReplyConsumer>,
    pub(super) refusals: Arc<Refusals>,
}

impl Connection {
    /// As `KafkaTransport::new`.
    pub(super) fn open(url: &str, options: KafkaOptions) -> Result<Self, Error> {
        let address = AgentAddress::read(url)?;
        let cluster = Cluster::of(&address.brokers, &options.settings)?;
        let replies = cluster.reply_consumer(&address.replies)?;
        let (refusals, options) = (Arc::new(Refusals::of(&address)), Arc::new(options));
        Ok(Self { address: Arc::new(address), options, cluster, replies, refusals })
    }

    /// After how much silence a request is sent again.
    pub(super) fn interval(&self, parameters: &Parameters) -> Duration {
        let default =
            || (parameters.timeout / 4).clamp(Duration::from_secs(1), Duration::from_secs(15));
        self.options.resend_after.unwrap_or_else(default)
    }

    /// An answer on the topic that was asked for tells that it is not refused.
    pub(super) fn heard(&self, reply: &ReplyRecord) {
        if *reply.topic == *self.address.replies {
            self.refusals.accepted();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("address", &self.address)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
