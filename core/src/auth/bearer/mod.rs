//! Bearer credentials: JSON Web Tokens (RFC 7519), checked as RFC 8725 advises and without the
//! network.
//!
//! Owns: which tokens are believed, and whose calls they make. Must never know: which transport
//! brought them.
//!
//! The checks are written out here, over the cryptography that TLS brings along already: a crate
//! for them would bring another, and would leave the half of them to be done here all the same.

mod key;

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};

use self::key::Key;
use crate::{
    auth::Login,
    call::Caller,
    error::{Error, ErrorKind},
    types::{AgentCard, Scopes, SecurityRequirement, SecurityScheme, Timestamp},
};

/// What clocks may differ by, in seconds.
const LEEWAY: f64 = 30.0;
/// No token is longer, in bytes.
const LONGEST: usize = 8 << 10;
/// The sentence for a token that its thief could not use elsewhere (RFC 9449, RFC 8705).
const BOUND: &str = "The token is bound to a key, which is not checked here: bring a bearer token that \
                     is bound to none.";
/// What the card calls the scheme.
const SCHEME: &str = "bearer";

/// Checks tokens of one issuer for one audience, by the issuer's keys.
///
/// A token is signed by a key of the set, with an algorithm of that key's own kind: RSA of 2,048 bits
/// or more (RS and PS, 256 to 512), P-256 (ES256), P-384 (ES384) or Ed25519 (`EdDSA`). It has not
/// expired, its issuer is the issuer, the audience is among its own (or, where it names none, is
/// its `client_id`, as in access tokens of Cognito), and it names a subject. It is of no other type
/// than `JWT` or `at+jwt`, where it says so, and bound to no key (DPoP, mutual TLS): whoever had taken
/// such a token could use it here.
pub struct Bearer {
    keys: Vec<Key>,
    issuer: String,
    audience: String,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// What is read of a token's header. Where it says that a key may be found is not looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

/// What is read of a token's claims; times are in seconds since 1970.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    aud: Option<Audience>,
    client_id: Option<String>,
    cnf: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Bearer {
    /// Checks by this set of keys (RFC 7517, a JSON object). Keys of other kinds or for other ends
    /// are passed over.
    ///
    /// # Errors
    /// Half a sentence when it is no set of keys, or holds none that can be used.
    pub fn new(jwks: &str, issuer: &str, audience: &str) -> Result<Self, String> {
        // Nothing of it is repeated: it may be another key than was meant.
        let set: Set = serde_json::from_str(jwks).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("it is no JSON Web Key Set (line {line}, column {column})")
        })?;
        let keys: Vec<Key> = set.keys.into_iter().filter_map(Key::of).collect();
        if keys.is_empty() {
            return Err("no key in it is a public one for signatures".to_owned());
        }
        Ok(Self { keys, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// Whose call it is: `ISSUER#SUBJECT`. `authorization` is the header of that name, if there is
    /// one.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`]; the caller is not told what is wrong with the token, unless it
    /// is bound to a key, and the token is nowhere in it.
    pub fn owner(&self, authorization: Option<&[u8]>, now: Timestamp) -> Result<Arc<str>, Error> {
        self.login(authorization, now).map(|login| login.owner)
    }

    /// The same, and until when.
    pub(crate) fn login(
        &self,
        authorization: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Login, Error> {
        let Some(credentials) = authorization else {
            return Err(unauthenticated("This agent wants a bearer token."));
        };
        let claims = self.check(credentials, now).map_err(|why| {
            tracing::debug!(why, "a token was refused");
            unauthenticated(if why == BOUND {
                BOUND
            } else {
                "The bearer token is not valid here."
            })
        })?;
        // One that was taken late is not ended at once.
        let late = if claims.exp * 1_000.0 > now.as_millis() as f64 { 0.0 } else { LEEWAY };
        let expires = Some(Timestamp::from_millis(((claims.exp + late) * 1_000.0) as i64));
        Ok(Login { owner: Caller::named(&claims.iss, &claims.sub), expires })
    }

    /// Has a card say that callers bring such tokens (specification section 4.5).
    pub(crate) fn declare(card: &mut AgentCard) {
        let scheme = SecurityScheme::HttpAuth {
            description: None,
            scheme: "Bearer".to_owned(),
            bearer_format: Some("JWT".to_owned()),
        };
        card.security_schemes.insert(SCHEME.to_owned(), scheme);
        let schemes = [(SCHEME.to_owned(), Scopes::default())].into();
        card.security_requirements.push(SecurityRequirement { schemes });
    }

    fn check(&self, credentials: &[u8], now: Timestamp) -> Result<Claims, &'static str> {
        const NOT_JWT: &str = "it is no JSON Web Token";
        if credentials.len() > LONGEST {
            return Err("it is too long");
        }
        let token = token_of(credentials)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(NOT_JWT)?;
        let (header, claims) = signed.split_once('.').ok_or(NOT_JWT)?;
        let header: Header = read(header).ok_or(NOT_JWT)?;
        match header.typ.map(|typ| typ.to_ascii_lowercase()).as_deref().map(short_type) {
            None | Some("jwt" | "at+jwt") => {}
            Some("dpop+jwt") => return Err(BOUND),
            Some(_) => return Err("it is a token of another type"),
        }
        if header.crit.is_some() {
            return Err("it wants something understood that is not");
        }
        let key = self.key(header.kid.as_deref()).ok_or("its key is not known")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| NOT_JWT)?;
        if !key.verifies(&header.alg, signed.as_bytes(), &signature) {
            return Err("its signature is not its key's");
        }
        // Only now is it anybody's word.
        let claims: Claims = read(claims).ok_or("its claims are not all there")?;
        let now = now.as_millis() as f64 / 1_000.0;
        let audience = match &claims.aud {
            Some(Audience::One(audience)) => *audience == self.audience,
            Some(Audience::Many(audiences)) => audiences.contains(&self.audience),
            None => claims.client_id.as_ref() == Some(&self.audience),
        };
        match () {
            () if claims.exp + LEEWAY <= now => Err("it has expired"),
            () if claims.nbf.is_some_and(|from| from - LEEWAY > now) => Err("it is not valid yet"),
            () if claims.iss != self.issuer => Err("its issuer is another"),
            () if !audience => Err("it is for another audience"),
            () if claims.sub.is_empty() => Err("it names nobody"),
            () if claims.cnf.is_some() => Err(BOUND),
            () => Ok(claims),
        }
    }

    /// The key of that id; without one, the only key there is.
    fn key(&self, id: Option<&str>) -> Option<&Key> {
        match (id, &*self.keys) {
            (Some(id), keys) => keys.iter().find(|key| key.id() == Some(id)),
            (None, [key]) => Some(key),
            (None, _) => None,
        }
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { issuer, audience, .. } = self;
        formatter
            .debug_struct("Bearer")
            .field("issuer", issuer)
            .field("audience", audience)
            .finish_non_exhaustive()
    }
}

/// The token in `Bearer TOKEN` (RFC 6750, section 2.1).
fn token_of(credentials: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(credentials).unwrap_or_default().trim();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_start()),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("dpop") => Err(BOUND),
        _ => Err("it is no bearer token"),
    }
}

/// The type without what a header may leave out (RFC 7515, section 4.1.9).
fn short_type(typ: &str) -> &str {
    typ.strip_prefix("application/").unwrap_or(typ)
}

fn read<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn unauthenticated(sentence: &'static str) -> Error {
    Error::new(ErrorKind::Unauthenticated, sentence)
}
