//! Lanes: which records keep their order.
//!
//! Owns: the lane of a call. Must never know: partitions, offsets, when a lane's turn is.

use std::sync::Arc;

use crate::{
    call::{Call, Caller},
    task::TaskKey,
    types::SendMessageRequest,
};

/// What a record's order is kept in: the records of one lane run one after the other, in the order
/// of their offsets; lanes run in parallel. A partition says where a record stands, not whose turn
/// it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Messages to one task.
    Task(TaskKey),
    /// Messages of one conversation that name no task.
    Context {
        /// The tenant; empty for none.
        tenant: Arc<str>,
        /// Whose conversation it is.
        owner: Arc<str>,
        /// Its id.
        id: Arc<str>,
    },
    /// Messages without either, sent under one idempotency key.
    IdempotencyKey(Arc<str>),
    /// A message that has its lane to itself.
    Alone,
    /// What does no work: a read, a cancel, what is no request. It waits for nothing, and nothing
    /// waits for it.
    Unordered,
}

impl Lane {
    /// The lane of that call.
    pub(super) fn of(call: &Call, caller: &Caller, is_keyed: bool) -> Self {
        let (Call::SendMessage(request) | Call::SendStreamingMessage(request)) = call else {
            return Self::Unordered;
        };
        let SendMessageRequest { tenant, message, .. } = request;
        if let Some(id) = &message.task_id {
            return Self::Task(TaskKey::new(tenant.as_ref(), id));
        }
        if let Some(id) = &message.context_id {
            let (tenant, owner) = (tenant.clone().unwrap_or_default(), Arc::clone(&caller.owner));
            return Self::Context { tenant, owner, id: Arc::clone(id) };
        }
        match &caller.key {
            Some(key) if is_keyed => Self::IdempotencyKey(Arc::clone(key.as_str())),
            _ => Self::Alone,
        }
    }

    /// Whether it is work: it needs a place among those that run at once.
    pub fn is_work(&self) -> bool {
        *self != Self::Unordered
    }
}
