//! The variables a function is set up with.
//!
//! Owns: reading them, and what is said of one that is missing. Must never know: what they are for.

use std::env::VarError;

/// Which agents it calls, where it calls any: `NAME=URL`, with commas between.
pub const PEERS: &str = "A2A_PEERS";

/// Environment variables. One that is empty is unset: that is how a template says so.
pub struct Environment(Box<Lookup>);

type Lookup = dyn Fn(&str) -> Result<String, VarError>;

impl Environment {
    /// The process's.
    pub fn process() -> Self {
        Self(Box::new(|name| std::env::var(name)))
    }

    /// These and no others, for tests.
    pub fn of<const N: usize>(variables: [(&'static str, &'static str); N]) -> Self {
        Self(Box::new(move |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        }))
    }

    /// The value of a variable that may be unset.
    ///
    /// # Errors
    /// One sentence when it is not text.
    pub fn get(&self, name: &str) -> Result<Option<String>, String> {
        match (self.0)(name) {
            Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8 text.")),
        }
    }

    /// The value of a variable that must be set: `what` it holds is said where it is not.
    ///
    /// # Errors
    /// One sentence when it is unset.
    pub fn need(&self, name: &str, what: &str) -> Result<String, String> {
        self.get(name)?.ok_or_else(|| format!("{name} is not set. It holds {what}."))
    }
}
