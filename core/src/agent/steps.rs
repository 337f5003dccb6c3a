//! The steps of one run: what an agent has done once is not done twice.
//!
//! Owns: naming them, taking those that are done from the journal, and handing those that are not to
//! be recorded. Must never know: how the journal keeps them, what becomes of a run.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

use super::queue::EventQueue;
use crate::{
    error::AgentError,
    limits::Limits,
    task::{DoneStep, DoneSteps},
    types::Json,
};

/// The steps of a run.
pub(crate) struct Steps {
    queue: EventQueue,
    max_steps: usize,
    max_name: usize,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Those that earlier attempts have done, and this one has not come to yet.
    done: DoneSteps,
    /// How often each name was called in this run.
    named: HashMap<Arc<str>, u32>,
}

/// A step that is called.
pub(crate) struct Step {
    queue: EventQueue,
    name: Arc<str>,
    done: Option<DoneStep>,
}

impl Steps {
    pub(crate) fn new(queue: EventQueue, done: DoneSteps, limits: &Limits) -> Self {
        let (max_steps, max_name) = (limits.steps, limits.step_name);
        let inner = Mutex::new(Inner { done, named: HashMap::new() });
        Self { queue, max_steps, max_name, inner }
    }

    /// The next step of that name.
    pub(crate) fn next(&self, name: &str) -> Result<Step, AgentError> {
        if name.is_empty() || name.len() > self.max_name {
            let most = self.max_name;
            return Err(failed(format!("a step's name must have 1 to {most} bytes: {name:.100?}")));
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let name = inner.number(name);
        if inner.named.len() > self.max_steps {
            return Err(failed(format!("more than {} steps", self.max_steps)));
        }
        let done = inner.done.remove(&name);
        Ok(Step { queue: self.queue.clone(), name, done })
    }
}

impl Inner {
    /// The name of the next step that its author calls so: `draft`, then `draft#2`.
    fn number(&mut self, name: &str) -> Arc<str> {
        let mut numbered: Arc<str> = name.into();
        while let Some(count) = self.named.get_mut(name) {
            *count += 1;
            numbered = format!("{name}#{count}").into();
            if !self.named.contains_key(&numbered) {
                break;
            }
        }
        self.named.insert(Arc::clone(&numbered), 1);
        numbered
    }
}

impl Step {
    /// Its value: from the journal, or else from the work, once that is recorded.
    pub(crate) async fn run<T, E>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<AgentError>,
    {
        let Self { queue, name, done } = self;
        if let Some(DoneStep { value, told }) = done {
            for entry in told {
                queue.tell_again(entry).await.map_err(AgentError::from)?;
            }
            return Ok(read(&name, &value)?);
        }
        let value = queue.scope().within(Arc::clone(&name), work).await?;
        let value = write(&name, &value)?;
        // As every later attempt will read it: a value that reads otherwise is found out now.
        let read = read(&name, &value)?;
        queue.record(name, value).await?;
        Ok(read)
    }
}

fn write<T: Serialize>(name: &str, value: &T) -> Result<Json, AgentError> {
    let text = serde_json::to_string(value);
    text.and_then(|text| serde_json::from_str(&text)).map_err(|error| {
        failed(format!("the value of the step {name:?} cannot be recorded: {error}"))
    })
}

fn read<T: DeserializeOwned>(name: &str, value: &Json) -> Result<T, AgentError> {
    value.to().map_err(|error| {
        failed(format!("the value recorded for the step {name:?} cannot be read: {error}"))
    })
}

/// It is the agent's fault, and its client cannot do anything about it.
fn failed(why: String) -> AgentError {
    AgentError::new("The agent failed because of an internal error.").with_source(why)
}
