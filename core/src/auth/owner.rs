//! Whose a call is.
//!
//! Owns: that credentials, where they are asked for, decide it, over each transport alike and before
//! anything else of a request is read. Must never know: how they are checked, where they stand in a
//! request.

use std::{fmt, sync::Arc};

use crate::{error::Error, handler::DefaultRequestHandler, types::Timestamp};

/// A check of credentials.
type Check = dyn Fn(Option<&[u8]>, Timestamp) -> Result<Arc<str>, Error> + Send + Sync;

/// How callers are known: as the transport says, unless there is a check of their own credentials.
#[derive(Clone, Default)]
pub(crate) struct Callers(Option<Arc<Check>>);

impl fmt::Debug for Callers {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Callers")
    }
}

impl DefaultRequestHandler {
    /// The same handler for callers who say who they are by credentials of their own: over HTTP in
    /// the header `Authorization`, over Kafka in the record's header `authorization`. The check is
    /// given that header, if there is one, and the time, and answers whose tasks the call is about.
    /// Without one the transport's own authentication decides, where there is any.
    #[must_use]
    pub fn authenticated_by(
        mut self,
        check: impl Fn(Option<&[u8]>, Timestamp) -> Result<Arc<str>, Error> + Send + Sync + 'static,
    ) -> Self {
        self.callers = Callers(Some(Arc::new(check)));
        self
    }

    /// Whose call it is, by the credentials it came with or else as the transport says.
    pub(crate) fn owner(
        &self,
        of_transport: &Arc<str>,
        authorization: Option<&[u8]>,
    ) -> Result<Arc<str>, Error> {
        match &self.callers.0 {
            Some(check) => check(authorization, self.env.now()),
            None => Ok(Arc::clone(of_transport)),
        }
    }
}
