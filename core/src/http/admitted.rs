//! A request between its head and its body.
//!
//! Owns: what is known of it then. Must never know: how it is judged.

use http::request::Parts;

use super::encoding::Encoding;
use crate::call::Caller;

/// A request whose head was found right; its body is still to come.
#[derive(Debug)]
pub struct Admitted {
    pub(super) caller: Caller,
    pub(super) parts: Parts,
    pub(super) encoding: Option<Encoding>,
}

impl Admitted {
    /// Whose tasks it is about.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}
