//! The streams that are open.
//!
//! Owns: how many each caller has, and the refusal of one more. Must never know: what a stream tells.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::error::{Error, ErrorKind};

/// How many streams each owner has.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<Arc<str>, usize>>);

/// One of them, until it is dropped.
pub(crate) struct OpenStream {
    streams: Arc<Streams>,
    owner: Arc<str>,
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more stream of that owner, who may have `most`.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when it has as many.
    pub(super) fn open(
        self: &Arc<Self>,
        owner: &Arc<str>,
        most: usize,
    ) -> Result<OpenStream, Error> {
        let mut streams = self.lock();
        let open = streams.get(owner).copied().unwrap_or_default();
        if open >= most {
            let sentence = format!("This caller has the {most} streams that it may have; end one.");
            return Err(Error::new(ErrorKind::Unavailable, sentence));
        }
        streams.insert(Arc::clone(owner), open + 1);
        Ok(OpenStream { streams: Arc::clone(self), owner: Arc::clone(owner) })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut streams = self.streams.lock();
        if let Some(open) = streams.get_mut(&self.owner) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.owner);
            }
        }
    }
}
