//! The owner that a call acts for.
//!
//! Owns: that credentials, where they are asked for, decide it, over each transport alike and before
//! anything else of a request is read. Must never know: how they are checked, where they stand in a
//! request.

use std::sync::Arc;

use crate::{error::Error, types::Timestamp};

/// Who a caller is, and for how long.
pub(crate) struct Login {
    /// Whose tasks the call is about.
    pub(crate) owner: Arc<str>,
    /// When the credentials end, where they do.
    pub(crate) expires: Option<Timestamp>,
}

/// A check of credentials.
type Check = dyn Fn(Option<&[u8]>, Timestamp) -> Result<Login, Error> + Send + Sync;

/// How callers are known: as the transport says, unless there is a check of their own credentials.
#[derive(Clone, Default)]
pub(crate) struct Identity(Option<Arc<Check>>);

impl Identity {
    pub(crate) fn checked_by(
        check: impl Fn(Option<&[u8]>, Timestamp) -> Result<Login, Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(check)))
    }

    /// The caller by the credentials a call came with, or else as the transport says.
    pub(crate) fn login(
        &self,
        of_transport: &Arc<str>,
        authorization: Option<&[u8]>,
        at: impl FnOnce() -> Timestamp,
    ) -> Result<Login, Error> {
        match &self.0 {
            Some(check) => check(authorization, at()),
            None => Ok(Login { owner: Arc::clone(of_transport), expires: None }),
        }
    }
}
