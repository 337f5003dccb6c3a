//! Tokens that are bound to a key.

use super::*;

/// A stolen one would be worth nothing to who checks the key.
#[test]
fn a_token_that_is_bound_to_a_key_is_refused_in_a_sentence() {
    let signer = Signer::new("one", "ES256");
    let bearer = bearer(&keys(&[&signer]));
    let typed = |typ: &str| json!({ "alg": "ES256", "kid": "one", "typ": typ });
    let bound = claims(json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }));
    let certified =
        claims(json!({ "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" } }));
    let good = signer.sign(Some("one"), &claims(json!({})));
    for token in [
        signer.sign(Some("one"), &bound),
        signer.sign(Some("one"), &certified),
        signer.sign(Some("one"), &claims(json!({ "cnf": 5 }))),
        signer.sign_under(&typed("dpop+jwt"), &claims(json!({}))),
        signer.sign_under(&typed("application/DPoP+JWT"), &claims(json!({}))),
        good.replace("Bearer", "DPoP"),
    ] {
        let error = bearer.owner(Some(token.as_bytes()), at_now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(error.message().contains("bound to a key"), "{token}: {error}");
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        let token = signer.sign_under(&typed(typ), &claims(json!({})));
        assert!(bearer.owner(Some(token.as_bytes()), at_now()).is_ok(), "{typ}");
    }
}
