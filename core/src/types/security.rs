//! How a caller may authenticate (specification section 4.5). The card only declares it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::proto::{nullable, text, unset};

/// Names of schemes that must all be satisfied together, each with its scopes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityRequirement {
    /// By the scheme's name in the card.
    #[serde(deserialize_with = "nullable")]
    pub schemes: BTreeMap<String, Scopes>,
}

/// A list of scopes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scopes {
    /// The scopes.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub list: Vec<String>,
}

/// One way to authenticate (specification section 4.5.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SecurityScheme {
    /// A key in a header, a query parameter or a cookie.
    #[serde(rename = "apiKeySecurityScheme", alias = "api_key_security_scheme")]
    ApiKey {
        /// For people.
        #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
        description: Option<String>,
        /// `query`, `header` or `cookie`.
        location: String,
        /// The header's, parameter's or cookie's name.
        name: String,
    },
    /// HTTP authentication.
    #[serde(
        rename = "httpAuthSecurityScheme",
        alias = "http_auth_security_scheme",
        rename_all = "camelCase"
    )]
    HttpAuth {
        /// For people.
        #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
        description: Option<String>,
        /// For example `Bearer`.
        scheme: String,
        /// For example `JWT`.
        #[serde(
            default,
            alias = "bearer_format",
            deserialize_with = "text",
            skip_serializing_if = "unset"
        )]
        bearer_format: Option<String>,
    },
    /// OAuth 2.0.
    #[serde(
        rename = "oauth2SecurityScheme",
        alias = "oauth2_security_scheme",
        rename_all = "camelCase"
    )]
    OAuth2 {
        /// For people.
        #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
        description: Option<String>,
        /// How a token is got.
        flows: OAuthFlows,
        /// The authorisation server's metadata (RFC 8414).
        #[serde(
            default,
            alias = "oauth2_metadata_url",
            deserialize_with = "text",
            skip_serializing_if = "unset"
        )]
        oauth2_metadata_url: Option<String>,
    },
    /// OpenID Connect.
    #[serde(
        rename = "openIdConnectSecurityScheme",
        alias = "open_id_connect_security_scheme",
        rename_all = "camelCase"
    )]
    OpenIdConnect {
        /// For people.
        #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
        description: Option<String>,
        /// The discovery document.
        #[serde(alias = "open_id_connect_url")]
        open_id_connect_url: String,
    },
    /// A client certificate.
    #[serde(rename = "mtlsSecurityScheme", alias = "mtls_security_scheme")]
    MutualTls {
        /// For people.
        #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
        description: Option<String>,
    },
}

/// How an OAuth token is got (specification section 4.5.7): one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OAuthFlows {
    /// By a person, in a browser.
    #[serde(alias = "authorization_code")]
    AuthorizationCode(OAuthFlow),
    /// By the client alone.
    #[serde(alias = "client_credentials")]
    ClientCredentials(OAuthFlow),
    /// By a person, on another device.
    #[serde(alias = "device_code")]
    DeviceCode(OAuthFlow),
    /// Deprecated by the specification.
    Implicit(OAuthFlow),
    /// Deprecated by the specification.
    Password(OAuthFlow),
}

/// The addresses of one flow; which of them it needs, the flow says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthFlow {
    /// Where the person authorises.
    #[serde(alias = "authorization_url", deserialize_with = "text", skip_serializing_if = "unset")]
    pub authorization_url: Option<String>,
    /// Where a device asks for its code.
    #[serde(
        alias = "device_authorization_url",
        deserialize_with = "text",
        skip_serializing_if = "unset"
    )]
    pub device_authorization_url: Option<String>,
    /// Where the token is got.
    #[serde(alias = "token_url", deserialize_with = "text", skip_serializing_if = "unset")]
    pub token_url: Option<String>,
    /// Where it is renewed.
    #[serde(alias = "refresh_url", deserialize_with = "text", skip_serializing_if = "unset")]
    pub refresh_url: Option<String>,
    /// What each scope allows.
    #[serde(deserialize_with = "nullable")]
    pub scopes: BTreeMap<String, String>,
    /// Whether PKCE (RFC 7636) is required.
    #[serde(alias = "pkce_required", deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub pkce_required: bool,
}
