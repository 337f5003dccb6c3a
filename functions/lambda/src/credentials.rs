//! How callers are known: three settings, the same for functions and for the local runner.
//!
//! Owns: their names, and that none of them is forgotten. Must never know: how a token is checked.

use a2a_core::{DefaultRequestHandler, auth::bearer::Bearer};

/// The issuer's public keys: a JSON Web Key Set, or the file it is in.
pub const JWKS: &str = "A2A_JWKS";
/// Who issues the tokens: their claim `iss`.
pub const ISSUER: &str = "A2A_JWT_ISSUER";
/// For whom they are: their claim `aud`.
pub const AUDIENCE: &str = "A2A_JWT_AUDIENCE";

/// The handler, authenticating its callers by these settings where they are set.
///
/// # Errors
/// One sentence when some are missing, or the keys cannot be read: an agent that was to be guarded
/// is not to be left open.
pub fn with_bearer(
    handler: DefaultRequestHandler,
    jwks: Option<&str>,
    issuer: Option<&str>,
    audience: Option<&str>,
) -> Result<DefaultRequestHandler, String> {
    Ok(match bearer(jwks, issuer, audience)? {
        Some(bearer) => handler.with_bearer(bearer),
        None => handler,
    })
}

fn bearer(
    jwks: Option<&str>,
    issuer: Option<&str>,
    audience: Option<&str>,
) -> Result<Option<Bearer>, String> {
    let settings = [jwks, issuer, audience];
    let (jwks, issuer, audience) = match settings.map(|it| it.map_or("", str::trim)) {
        ["", "", ""] => return Ok(None),
        [jwks, issuer, audience]
            if !jwks.is_empty() && !issuer.is_empty() && !audience.is_empty() =>
        {
            (jwks, issuer, audience)
        }
        _ => return Err(format!("{JWKS}, {ISSUER} and {AUDIENCE} are set together, or none.")),
    };
    let read;
    let keys = if jwks.starts_with('{') {
        jwks
    } else {
        read = std::fs::read_to_string(jwks).map_err(|error| {
            format!("{JWKS} is no JSON, and no file that can be read: {error}.")
        })?;
        &read
    };
    let bearer = Bearer::new(keys, issuer, audience);
    bearer.map(Some).map_err(|why| format!("{JWKS} cannot be used: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_set_or_nothing() {
        assert!(bearer(None, None, None).unwrap().is_none());
        assert!(bearer(Some(""), Some(" "), None).unwrap().is_none(), "empty is unset");
        for part in
            [(Some("{}"), None, None), (None, Some("i"), Some("a")), (None, None, Some("a"))]
        {
            let refused = bearer(part.0, part.1, part.2).unwrap_err();
            assert!(refused.contains("are set together"), "{refused}");
        }
        let refused = |jwks| bearer(Some(jwks), Some("i"), Some("a")).unwrap_err();
        assert!(refused("{}").contains("no JSON Web Key Set"));
        let secret = r#"{"keys": "s3cret", "s3cret": 1}"#;
        for wrong in ["s3cret", "/no/such/s3cret", secret, &secret[..20], r#"{"keys":["s3cret"]}"#]
        {
            assert!(!refused(wrong).contains("s3cret"), "{wrong}");
        }
        assert!(refused("s3cret").contains("no file that can be read: "));
    }

    #[test]
    fn keys_may_be_in_a_file() {
        let path = std::env::temp_dir().join(format!("a2a-jwks-{}", std::process::id()));
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let jwks = format!(r#"{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "x": "{x}"}}]}}"#);
        std::fs::write(&path, &jwks).unwrap();
        for jwks in [&*jwks, path.to_str().unwrap()] {
            assert!(bearer(Some(jwks), Some("i"), Some("a")).unwrap().is_some());
        }
        std::fs::remove_file(&path).unwrap();
    }
}
