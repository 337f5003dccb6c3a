//! What an agent makes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Metadata, Part,
    proto::{nullable, text, unset},
};

/// A result of a task (specification section 4.1.7).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Artifact {
    /// Unique within the task.
    #[serde(alias = "artifact_id", deserialize_with = "nullable")]
    pub artifact_id: Arc<str>,
    /// For people.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub name: Option<Arc<str>>,
    /// For people.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub description: Option<Arc<str>>,
    /// The content; at least one part.
    #[serde(deserialize_with = "nullable")]
    pub parts: Vec<Part>,
    /// Data of extensions, keyed by their URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// URIs of the extensions that shaped this artifact.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub extensions: Vec<Arc<str>>,
}

impl Artifact {
    /// An artifact with this id and these parts.
    pub fn new(artifact_id: impl Into<Arc<str>>, parts: Vec<Part>) -> Self {
        Self { artifact_id: artifact_id.into(), parts, ..Self::default() }
    }

    /// The same artifact with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same artifact with a description.
    #[must_use]
    pub fn described(mut self, description: impl Into<Arc<str>>) -> Self {
        self.description = Some(description.into());
        self
    }
}
