//! What this process has seen of journals lately, bounded.
//!
//! Owns: when a journal was begun, and how far it went when it was last seen. Who appends has read
//! or written the slot before, nearly always through this store: so it costs nothing to know that
//! the slot before is there, and of which journal under that key it is. Must never know: the
//! client.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::task::Version;

/// A journal, as seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// When it was begun, in milliseconds; a later journal under the same key has a greater one.
    pub(super) born: u64,
    /// A slot that is there.
    pub(super) version: Version,
}

/// Journals lately seen: at least the last [`KEPT`], at most twice as many.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<[HashMap<Arc<str>, Seen>; 2]>);

const KEPT: usize = 4_096;

impl Known {
    pub(super) fn get(&self, pk: &str) -> Option<Seen> {
        let [young, old] = &*self.0.lock().unwrap_or_else(PoisonError::into_inner);
        young.get(pk).or_else(|| old.get(pk)).copied()
    }

    pub(super) fn put(&self, pk: &Arc<str>, seen: Seen) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *known;
        let before = young.get(pk).or_else(|| old.get(pk));
        let newest = match before {
            Some(before) if before.born > seen.born => *before,
            Some(before) if before.born == seen.born => {
                Seen { version: before.version.max(seen.version), ..seen }
            }
            _ => seen,
        };
        young.insert(Arc::clone(pk), newest);
        if young.len() >= KEPT {
            *old = std::mem::take(young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_known_and_the_oldest_forgotten() {
        let known = Known::default();
        let pk: Arc<str> = "t".into();
        for (born, version, expected) in
            [(5, 3, (5, 3)), (5, 2, (5, 3)), (4, 9, (5, 3)), (6, 1, (6, 1))]
        {
            known.put(&pk, Seen { born, version });
            assert_eq!(known.get("t"), Some(Seen { born: expected.0, version: expected.1 }));
        }
        for number in 0..3 * KEPT {
            known.put(&number.to_string().into(), Seen { born: 1, version: 1 });
        }
        assert_eq!(known.get("t"), None);
        assert!(known.get(&(2 * KEPT).to_string()).is_some());
    }
}
