//! Bearer tokens of one issuer.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key that signs them.
pub(crate) struct Issuer(Ed25519KeyPair);

impl Issuer {
    pub(crate) fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    /// The set of keys that checks them.
    pub(crate) fn jwks(&self) -> String {
        let x = base64(self.0.public_key().as_ref());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x }] }).to_string()
    }

    /// A token of that subject, which ends in the year 2100.
    pub(crate) fn token(&self, subject: &str) -> String {
        let end = 4_102_444_800_u64;
        self.sign(&json!({ "iss": "issuer", "sub": subject, "aud": "data", "exp": end }))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let claims = base64(claims.to_string().as_bytes());
        let signed = format!("{}.{claims}", base64(br#"{"alg":"EdDSA"}"#));
        let signature = base64(self.0.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }

    /// The options of a runner that wants them.
    pub(crate) fn guards(&self) -> [String; 6] {
        let jwks = self.jwks();
        ["--jwks", &jwks, "--jwt-issuer", "issuer", "--jwt-audience", "data"].map(str::to_owned)
    }
}
