//! Public keys of a set (RFC 7517), and signatures by them (RFC 7518, RFC 8037).
//!
//! Owns: which keys can be used, and with which algorithms: that follows from the key and never
//! from the token. Must never know: what is signed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

/// What an RSA key can be used with.
static RSA: [(&str, &RsaParameters); 6] = [
    ("RS256", &RSA_PKCS1_2048_8192_SHA256),
    ("RS384", &RSA_PKCS1_2048_8192_SHA384),
    ("RS512", &RSA_PKCS1_2048_8192_SHA512),
    ("PS256", &RSA_PSS_2048_8192_SHA256),
    ("PS384", &RSA_PSS_2048_8192_SHA384),
    ("PS512", &RSA_PSS_2048_8192_SHA512),
];

/// A key that checks signatures.
pub(super) struct Key {
    id: Option<String>,
    /// The one algorithm it is for, where the set says so.
    only: Option<String>,
    public: Public,
}

enum Public {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    Curve { algorithm: &'static str, verifies: &'static dyn VerificationAlgorithm, point: Vec<u8> },
}

/// A key of a set, as it stands there.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Key {
    /// The key, if it is a public one for signatures of a kind that is known here.
    pub(super) fn of(jwk: serde_json::Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        let other_end = jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig")
            || jwk.key_ops.as_ref().is_some_and(|uses| uses.iter().all(|it| it != "verify"));
        if other_end {
            return None;
        }
        let key = Self { public: Public::of(&jwk)?, id: jwk.kid, only: jwk.alg };
        let fits = key.only.as_deref().is_none_or(|only| key.public.is_for(only));
        fits.then_some(key)
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether this is the key's signature, by an algorithm that it is for.
    pub(super) fn verifies(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
        if self.only.as_deref().is_some_and(|only| only != algorithm) {
            return false;
        }
        match &self.public {
            Public::Rsa(key) => {
                let parameters = RSA.iter().find(|(name, _)| *name == algorithm);
                parameters.is_some_and(|(_, it)| key.verify(it, signed, signature).is_ok())
            }
            Public::Curve { verifies, point, .. } => {
                let key = UnparsedPublicKey::new(*verifies, point);
                self.public.is_for(algorithm) && key.verify(signed, signature).is_ok()
            }
        }
    }
}

impl Public {
    fn of(jwk: &Jwk) -> Option<Self> {
        Some(match (&*jwk.kty, jwk.crv.as_deref()) {
            ("RSA", _) => {
                let [n, e] = [&jwk.n, &jwk.e].map(|part| bytes(part.as_ref()?));
                Self::Rsa(RsaPublicKeyComponents { n: n?, e: e? })
            }
            ("EC", Some("P-256")) => Self::Curve {
                algorithm: "ES256",
                verifies: &ECDSA_P256_SHA256_FIXED,
                point: point(jwk, 32)?,
            },
            ("EC", Some("P-384")) => Self::Curve {
                algorithm: "ES384",
                verifies: &ECDSA_P384_SHA384_FIXED,
                point: point(jwk, 48)?,
            },
            ("OKP", Some("Ed25519")) => Self::Curve {
                algorithm: "EdDSA",
                verifies: &ED25519,
                point: URL_SAFE_NO_PAD.decode(jwk.x.as_ref()?).ok()?,
            },
            // A secret, too: who can read it here could sign with it.
            _ => return None,
        })
    }

    fn is_for(&self, algorithm: &str) -> bool {
        match self {
            Self::Rsa(_) => RSA.iter().any(|(name, _)| *name == algorithm),
            Self::Curve { algorithm: only, .. } => *only == algorithm,
        }
    }
}

/// A number, without zeros before it.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let from = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[from..].to_vec())
}

/// A point of a curve, uncompressed.
fn point(jwk: &Jwk, size: usize) -> Option<Vec<u8>> {
    let mut point = vec![4];
    for half in [&jwk.x, &jwk.y] {
        let half = URL_SAFE_NO_PAD.decode(half.as_ref()?).ok()?;
        if half.len() != size {
            return None;
        }
        point.extend(half);
    }
    Some(point)
}
