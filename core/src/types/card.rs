//! The agent card.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Json, Metadata, SecurityRequirement, SecurityScheme,
    proto::{nullable, text, unset},
};

/// Who an agent is, what it can do and where it is reached (specification section 4.4.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentCard {
    /// The agent's name; required.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// What it is for; required.
    #[serde(deserialize_with = "nullable")]
    pub description: String,
    /// Where it is reached, the preferred way first; at least one.
    #[serde(alias = "supported_interfaces", deserialize_with = "nullable")]
    pub supported_interfaces: Vec<AgentInterface>,
    /// Who runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<AgentProvider>,
    /// The agent's own version; required.
    #[serde(deserialize_with = "nullable")]
    pub version: String,
    /// Where its documentation is.
    #[serde(alias = "documentation_url", deserialize_with = "text", skip_serializing_if = "unset")]
    pub documentation_url: Option<String>,
    /// Which optional parts of the protocol it serves; required.
    #[serde(deserialize_with = "nullable")]
    pub capabilities: AgentCapabilities,
    /// How callers may authenticate, by name.
    #[serde(
        alias = "security_schemes",
        deserialize_with = "nullable",
        skip_serializing_if = "unset"
    )]
    pub security_schemes: BTreeMap<String, SecurityScheme>,
    /// Which of the schemes a caller must satisfy: one of these.
    #[serde(
        alias = "security_requirements",
        deserialize_with = "nullable",
        skip_serializing_if = "unset"
    )]
    pub security_requirements: Vec<SecurityRequirement>,
    /// Media types it reads; at least one.
    #[serde(alias = "default_input_modes", deserialize_with = "nullable")]
    pub default_input_modes: Vec<String>,
    /// Media types it writes; at least one.
    #[serde(alias = "default_output_modes", deserialize_with = "nullable")]
    pub default_output_modes: Vec<String>,
    /// What it can do; at least one.
    #[serde(deserialize_with = "nullable")]
    pub skills: Vec<AgentSkill>,
    /// Signatures over the card.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub signatures: Vec<AgentCardSignature>,
    /// Where its icon is.
    #[serde(alias = "icon_url", deserialize_with = "text", skip_serializing_if = "unset")]
    pub icon_url: Option<String>,
}

impl AgentCard {
    /// The same card for an agent reached at this address, over both HTTP bindings; other bindings
    /// stay, behind them.
    #[must_use]
    pub fn located_at(mut self, address: &str) -> Self {
        let address = address.trim_end_matches('/');
        let interface = |binding: &str, url: String| AgentInterface {
            url,
            protocol_binding: binding.to_owned(),
            tenant: None,
            protocol_version: "1.0".to_owned(),
        };
        let over_http = [
            interface(AgentInterface::JSONRPC, format!("{address}/")),
            interface(AgentInterface::HTTP_JSON, address.to_owned()),
        ];
        self.supported_interfaces.retain(|other| {
            !over_http.iter().any(|it| it.protocol_binding == other.protocol_binding)
        });
        self.supported_interfaces.splice(0..0, over_http);
        self
    }
}

/// Who runs an agent (specification section 4.4.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentProvider {
    /// The organisation's site; required.
    #[serde(deserialize_with = "nullable")]
    pub url: String,
    /// The organisation's name; required.
    #[serde(deserialize_with = "nullable")]
    pub organization: String,
}

/// Optional parts of the protocol (specification section 4.4.3); unset is the same as `false`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentCapabilities {
    /// Streams of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// Webhooks.
    #[serde(alias = "push_notifications", skip_serializing_if = "Option::is_none")]
    pub push_notifications: Option<bool>,
    /// Extensions the agent understands.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub extensions: Vec<AgentExtension>,
    /// A fuller card for authenticated callers.
    #[serde(alias = "extended_agent_card", skip_serializing_if = "Option::is_none")]
    pub extended_agent_card: Option<bool>,
}

/// An extension of the protocol (specification section 4.4.4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentExtension {
    /// Its name.
    #[serde(deserialize_with = "nullable")]
    pub uri: String,
    /// How the agent uses it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub description: Option<String>,
    /// Whether a caller must understand it.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub required: bool,
    /// The extension's own settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Metadata>,
}

/// Something the agent can do (specification section 4.4.5).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentSkill {
    /// Unique within the card; required.
    #[serde(deserialize_with = "nullable")]
    pub id: String,
    /// For people; required.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// For people and models; required.
    #[serde(deserialize_with = "nullable")]
    pub description: String,
    /// Keywords; at least one.
    #[serde(deserialize_with = "nullable")]
    pub tags: Vec<String>,
    /// Messages it answers.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub examples: Vec<String>,
    /// Media types it reads, where they differ from the card's.
    #[serde(alias = "input_modes", deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub input_modes: Vec<String>,
    /// Media types it writes, where they differ from the card's.
    #[serde(alias = "output_modes", deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub output_modes: Vec<String>,
    /// What a caller must satisfy for this skill.
    #[serde(
        alias = "security_requirements",
        deserialize_with = "nullable",
        skip_serializing_if = "unset"
    )]
    pub security_requirements: Vec<SecurityRequirement>,
}

/// One way to reach the agent (specification section 4.4.6).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentInterface {
    /// The address; required.
    #[serde(deserialize_with = "nullable")]
    pub url: String,
    /// `JSONRPC`, `GRPC`, `HTTP+JSON`, or a custom binding's URI; required.
    #[serde(alias = "protocol_binding", deserialize_with = "nullable")]
    pub protocol_binding: String,
    /// What a client must send as the tenant.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// The protocol's version there, for example `1.0`; required.
    #[serde(alias = "protocol_version", deserialize_with = "nullable")]
    pub protocol_version: String,
}

impl AgentInterface {
    /// The JSON-RPC binding's name (specification section 5.3).
    pub const JSONRPC: &'static str = "JSONRPC";
    /// The HTTP+JSON binding's name.
    pub const HTTP_JSON: &'static str = "HTTP+JSON";
}

/// A signature over the card (specification section 4.4.7), a detached JWS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentCardSignature {
    /// The protected header, base64url; required.
    #[serde(deserialize_with = "nullable")]
    pub protected: String,
    /// The signature, base64url; required.
    #[serde(deserialize_with = "nullable")]
    pub signature: String,
    /// The unprotected header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Json>,
}
