//! What is wrong at the moment, for `/health`.
//!
//! Owns: one sentence for each trouble. Must never know: who asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

/// The troubles of a runner, each under a name. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, String>>>);

impl Health {
    /// Something is wrong. Answers whether that is news.
    pub fn trouble(&self, name: &str, sentence: String) -> bool {
        let before = self.lock().insert(name.to_owned(), sentence.clone());
        before.is_none_or(|before| before != sentence)
    }

    /// It is right again. Answers whether that is news.
    pub fn recovered(&self, name: &str) -> bool {
        self.lock().remove(name).is_some()
    }

    /// As `/health` says it.
    pub fn report(&self) -> Value {
        let troubles = Vec::from_iter(self.lock().values().cloned());
        match troubles.is_empty() {
            true => json!({ "status": "ok" }),
            false => json!({ "status": "degraded", "troubles": troubles }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
