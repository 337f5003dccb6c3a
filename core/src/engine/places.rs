//! How many runs are at work at once.
//!
//! Owns: their count, in all and per caller, and its bounds. Must never know: what a run does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    error::{Error, ErrorKind},
    limits::Limits,
};

/// The runs at work. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    of: HashMap<Arc<str>, usize>,
}

impl Places {
    /// A place for one more run of this caller's, until it is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where there is none: nothing was done, and a retry may find one.
    pub(super) fn take(&self, owner: &Arc<str>, limits: &Limits) -> Result<Place, Error> {
        let mut taken = self.lock();
        let own = taken.of.get(owner).copied().unwrap_or_default();
        let (bound, name) = match () {
            () if taken.all >= limits.runs => (limits.runs, "runs in all"),
            () if own >= limits.runs_per_caller => (limits.runs_per_caller, "runs of one caller"),
            () => {
                taken.all += 1;
                *taken.of.entry(Arc::clone(owner)).or_default() += 1;
                return Ok(Place { places: self.clone(), owner: Arc::clone(owner) });
            }
        };
        let sentence = format!("{bound} {name} are at work, which is the bound. Try again later.");
        Err(Error::new(ErrorKind::Unavailable, sentence))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one run.
pub(super) struct Place {
    places: Places,
    owner: Arc<str>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(own) = taken.of.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                taken.of.remove(&self.owner);
            }
        }
    }
}
