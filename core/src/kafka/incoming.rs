//! A record as it was read.
//!
//! Owns: who sent it, judged once, and what it asks for. Must never know: what is answered.

use std::sync::Arc;

use super::Lane;
use crate::{
    call::Call,
    error::Error,
    wire::kafka::{Record, Request},
};

/// A record of the requests topic as [`KafkaEndpoint::read`](super::KafkaEndpoint::read) read it.
#[derive(Debug)]
pub struct Incoming {
    pub(super) record: Record,
    pub(super) lane: Lane,
    /// The owner, once the record's credentials were accepted.
    pub(super) owner: Option<Arc<str>>,
    /// What was read, until it is served for the first time; a redelivery reads it anew.
    pub(super) read: Option<Read>,
}

/// What a record says.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) request: Request,
    /// Why its credentials were refused.
    pub(super) refused: Option<Error>,
}

impl Incoming {
    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What its order is kept in.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }
}

/// The lane of a request of that owner.
pub(super) fn lane(read: &mut Read, owner: &Arc<str>, is_keyed: bool) -> Lane {
    let Read { request, refused: None } = read else { return Lane::Unordered };
    request.caller.owner = Arc::clone(owner);
    let of = |call: &Call| Lane::of(call, &request.caller, is_keyed);
    request.call.as_ref().map_or(Lane::Unordered, of)
}
