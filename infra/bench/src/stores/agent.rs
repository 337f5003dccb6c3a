//! A handler over a store, whose agent answers as fast as it is let. Must never know: which
//! store it is.

use std::sync::Arc;

use a2a_core::{
    Call, Caller, DefaultRequestHandler, IdempotencyKey, Message, Part, Reply, SendMessageRequest,
};
use anyhow::{Context, Result};

use super::writer::Store;
use crate::subjects::{self, Ask, Bench, prompt};

/// A handler whose agent answers a number by an artifact of so many kilobytes, one after another.
pub(super) struct Agent {
    handler: DefaultRequestHandler,
    owner: Arc<str>,
}

impl Agent {
    /// One that serves this caller.
    pub(super) fn new(store: &Store, owner: &str) -> Self {
        let card = subjects::agent().card;
        let handler = DefaultRequestHandler::new(card, Arc::new(Bench), Arc::clone(store));
        Self { handler, owner: owner.into() }
    }

    /// Serves one call, which has an idempotency key or none.
    pub(super) async fn call(&self, key: Option<IdempotencyKey>, call: Call) -> Result<Reply> {
        let caller = Caller { owner: Arc::clone(&self.owner), key, ..Caller::default() };
        self.handler.call(caller, call).await.context("a call failed")
    }
}

/// The request for so many kilobytes.
pub(super) fn ask(kilobytes: usize) -> SendMessageRequest {
    let message = Message::user("message-1", vec![Part::text(prompt(Ask::Kilobytes(kilobytes)))]);
    SendMessageRequest { message, ..SendMessageRequest::default() }
}
