//! Bearer tokens: which are believed, over HTTP and over Kafka alike, and that callers who are told
//! apart by them never see each other's tasks.

use a2a_core::{
    Caller, Env, ErrorKind, Timestamp,
    auth::bearer::Bearer,
    http::{Body, HttpEndpoint},
    kafka::KafkaEndpoint,
    wire::kafka::Record,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair,
    },
};
use serde_json::{Value, json};

use crate::world::*;

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "agent";
/// In seconds since 1970.
const NOW: i64 = 1_800_000_000;

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A key that signs, and its public half.
struct Signer {
    algorithm: &'static str,
    sign: Sign,
    jwk: Value,
}

impl Signer {
    fn new(id: &str, algorithm: &'static str) -> Self {
        let random = SystemRandom::new();
        let (sign, mut jwk): (Sign, Value) = match algorithm {
            "ES256" | "ES384" => {
                let (curve, signing) = match algorithm {
                    "ES256" => ("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
                    _ => ("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
                };
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
                let key = EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref(), &random).unwrap();
                let point = key.public_key().as_ref()[1..].to_vec();
                let (x, y) = point.split_at(point.len() / 2);
                let jwk = json!({ "kty": "EC", "crv": curve, "x": base64(x), "y": base64(y) });
                let sign = move |text: &[u8]| key.sign(&random, text).unwrap().as_ref().to_vec();
                (Box::new(sign), jwk)
            }
            _ => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
                let x = base64(key.public_key());
                let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
                (Box::new(move |text| key.sign(text).as_ref().to_vec()), jwk)
            }
        };
        jwk["kid"] = id.into();
        Self { algorithm, sign, jwk }
    }

    fn sign(&self, id: Option<&str>, claims: &Value) -> String {
        let mut header = json!({ "alg": self.algorithm, "typ": "JWT" });
        if let Some(id) = id {
            header["kid"] = id.into();
        }
        self.sign_under(&header, claims)
    }

    fn sign_under(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
        let signature = (self.sign)(signed.as_bytes());
        format!("Bearer {signed}.{}", base64(signature))
    }
}

fn at_now() -> Timestamp {
    Timestamp::from_millis(NOW * 1_000)
}

fn claims(change: Value) -> Value {
    let mut claims =
        json!({ "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 600, "nbf": NOW });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn keys(signers: &[&Signer]) -> String {
    let keys: Vec<&Value> = signers.iter().map(|signer| &signer.jwk).collect();
    json!({ "keys": keys }).to_string()
}

fn bearer(jwks: &str) -> Bearer {
    Bearer::new(jwks, ISSUER, AUDIENCE).unwrap()
}

/// Unsigned, or signed by the public key as if it were a secret.
fn forged(header: &Value, secret: Option<&[u8]>) -> String {
    let signed =
        format!("{}.{}", base64(header.to_string()), base64(claims(json!({})).to_string()));
    let signature = secret.map_or_else(String::new, |secret| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        base64(ring::hmac::sign(&key, signed.as_bytes()))
    });
    format!("Bearer {signed}.{signature}")
}

/// What is not believed, each with its reason.
fn refused(signer: &Signer) -> Vec<(&'static str, String)> {
    let good = signer.sign(Some("one"), &claims(json!({})));
    let signed = |change| signer.sign(Some("one"), &claims(change));
    let (body, signature) = good.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let public = signer.jwk["x"].as_str().unwrap().as_bytes();
    let other = Signer::new("one", "ES256");
    vec![
        ("expired", signed(json!({ "exp": NOW - 60 }))),
        ("without an end", signed(json!({ "exp": null }))),
        ("not yet", signed(json!({ "nbf": NOW + 60 }))),
        ("another issuer", signed(json!({ "iss": "https://else.example" }))),
        ("several issuers", signed(json!({ "iss": [ISSUER, "https://else.example"] }))),
        ("no issuer", signed(json!({ "iss": null }))),
        ("another audience", signed(json!({ "aud": "else" }))),
        ("other audiences", signed(json!({ "aud": ["else", "agents"] }))),
        ("no audience", signed(json!({ "aud": null }))),
        ("another client", signed(json!({ "aud": null, "client_id": "else" }))),
        ("another audience of our client", {
            signed(json!({ "aud": "else", "client_id": AUDIENCE }))
        }),
        ("nobody", signed(json!({ "sub": "" }))),
        ("no subject", signed(json!({ "sub": null }))),
        ("a changed signature", format!("{body}.{turned}")),
        ("no signature", format!("{body}.")),
        ("another key under the same id", other.sign(Some("one"), &claims(json!({})))),
        ("an unknown key", signer.sign(Some("two"), &claims(json!({})))),
        ("no key of several", signer.sign(None, &claims(json!({})))),
        ("no algorithm", forged(&json!({ "alg": "none", "kid": "one" }), None)),
        ("a secret", forged(&json!({ "alg": "HS256", "kid": "one" }), Some(public))),
        ("another algorithm", forged(&json!({ "alg": "ES384", "kid": "one" }), Some(public))),
        ("what must be understood", {
            let header = json!({ "alg": signer.algorithm, "kid": "one", "crit": ["exp"] });
            signer.sign_under(&header, &claims(json!({})))
        }),
        ("an unsigned head", good.replace("Bearer ", "Bearer e30.")),
        ("not JWT", "Bearer abc".to_owned()),
        ("nothing", "Bearer ".to_owned()),
        ("another scheme", good.replace("Bearer", "Basic")),
        ("no scheme", good.replace("Bearer ", "")),
        ("very long", format!("{good}{}", "A".repeat(20_000))),
    ]
}

#[test]
fn tokens_of_every_kind_of_key_are_believed() {
    let kinds = ["ES256", "ES384", "EdDSA"];
    let signers = kinds.map(|kind| Signer::new(kind, kind));
    let bearer = bearer(&keys(&signers.each_ref()));
    for (signer, id) in signers.iter().zip(kinds) {
        let owner = |change| {
            let token = signer.sign(Some(id), &claims(change));
            bearer.owner(Some(token.as_bytes()), at_now())
        };
        assert_eq!(&*owner(json!({})).unwrap(), "https://issuer.example#alice");
        for change in [
            json!({ "aud": ["else", AUDIENCE] }),
            json!({ "aud": null, "client_id": AUDIENCE }),
            json!({ "nbf": null }),
            // Clocks differ a little.
            json!({ "exp": NOW - 10, "nbf": NOW + 10 }),
        ] {
            assert!(owner(change.clone()).is_ok(), "{id}: {change}");
        }
    }
    // Its one key needs no name, and the scheme's case does not matter.
    let alone = self::bearer(&keys(&[&signers[0]]));
    let token = signers[0].sign(None, &claims(json!({}))).replace("Bearer", "bEARER");
    assert!(alone.owner(Some(token.as_bytes()), at_now()).is_ok());
}

/// Signed by OpenSSL, with a key that was destroyed since.
#[test]
fn tokens_of_an_rsa_key_are_believed() {
    let claims = r#"{"iss":"https://issuer.example","sub":"alice","aud":"agent","exp":1800000600}"#;
    let token = |algorithm: &str, signature: &str| {
        let header = base64(format!(r#"{{"alg":"{algorithm}","kid":"rsa"}}"#));
        format!("Bearer {header}.{}.{signature}", base64(claims))
    };
    let jwk = json!({ "kty": "RSA", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB" });
    let bearer = bearer(&json!({ "keys": [jwk] }).to_string());
    let owner = |token: String| bearer.owner(Some(token.as_bytes()), at_now());
    for (algorithm, signature) in [("RS256", RS256), ("PS512", PS512)] {
        let owner = owner(token(algorithm, signature));
        assert_eq!(&*owner.unwrap(), "https://issuer.example#alice", "{algorithm}");
    }
    for (algorithm, signature) in [("RS256", PS512), ("PS512", RS256), ("RS384", RS256)] {
        assert!(owner(token(algorithm, signature)).is_err(), "{algorithm}");
    }
    assert!(
        owner(forged(&json!({ "alg": "HS256", "kid": "rsa" }), Some(RSA_MODULUS.as_bytes())))
            .is_err()
    );
}

/// Its public half.
const RSA_MODULUS: &str = "\
    5IZuuHB_HL_0vPqGIJLLXbax9mSrqxb4X7kcUAHI30oAv5b1s6DMrqxmfFc61uPQFwTrZ_GZLYvKy_t2\
    y9jneEBD2kI7tnwWVxZh_P0x4Nc33rCPKwwDktXGofOW4E85lMmzexrTR14NLCPTjktlXgx65xoHqi1o\
    9TBlDmiK1Lzzp5Ox2cy-rt-gYGcIbj7OBDXmOWkmfhXDDE5PlI6eCwV6oT1LdX5hLcf3r9ItbRUMXVaw\
    W4aSWL8QBNIkvz8556w2CbHfWgnjxTIh99uYox-lAIcUvDVkLYcHN3OpOdi7G4O6S9S0Tke1zvTaIbrj\
    pwaslwkvUKRnSXJKGFQ-6w";
/// Its signature by PKCS #1.
const RS256: &str = "\
    cX0iMR0ZNspY6DT8_BUx627BNrl0kHldGT0lf4XJGjJrmfXGu03Mp0sItz5Ynz8oHnykoxnCH6TD7Vs_\
    ooZiQmgSKfkWdGeJdmoBbFbI_aYWdIEBkNlcfODnB0qfPdXZ8T57By5JXXdZUxz10hswWwyqCvazP_C2\
    eSJEPIiSuohWxZFlek8vAa17kayvHjGWHW_OKSaqvBwjActCPT5kl82Jqg5RuzFUsS6RJjHFxarK7R40\
    c_tDo00KKXv9WnnophcFFK0njflyUoMAL5sTlXpX8fSXj1bZ4AKYP8SXEI3wRU4uZxRYY_LFUctPpu8b\
    W1VJfTPvhn2fMUMf7U-XaQ";
/// And by PSS.
const PS512: &str = "\
    19ih3ZFI01sMhSdPb7Qu9vu_08QMbIK3aaQBgHHA4gvj26kePM3bNVAG2UdrE9wSZk3xqZTj0p2buiv3\
    U8QrJ6BrIzdG5tnUVpxOf4OaA6ZWw_vvPSRd4IP_J6xjOatY8dSg1AcLsEwFzruo2yTKHM-EIl2a5_OQ\
    L87YyMH1iHQV7dYAkrMej6LNygVAOz1MiYqPIk3SmndhD1ztCzJqzphlQrYf3blEUbw3KXomjZ4wgPBW\
    qdRQGo5V1QvJ2-GAu2T1rFw9_aqcpBWx0ttHc2K5BL9ltVNp5mQCT-tT3rsEN1LQBet0XmUBOsM602QF\
    iWUvNWc3lXznnUk44ozpiA";

#[test]
fn keys_that_sign_nothing_here_are_passed_over() {
    let signer = Signer::new("one", "ES256");
    let with = |name: &str, value: Value| {
        let mut jwk = signer.jwk.clone();
        jwk[name] = value;
        json!({ "keys": [jwk] }).to_string()
    };
    let good = signer.sign(Some("one"), &claims(json!({})));
    for jwks in [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("kty", json!("new")),
        with("alg", json!("RS256")),
        json!({ "keys": [{ "kty": "oct", "kid": "one", "k": "c2VjcmV0" }] }).to_string(),
        json!({ "keys": [] }).to_string(),
        "{}".to_owned(),
        "https://issuer.example/jwks".to_owned(),
    ] {
        let refused = Bearer::new(&jwks, ISSUER, AUDIENCE).unwrap_err();
        assert!(refused.contains("key") || refused.contains("Key"), "{jwks}: {refused}");
    }
    for jwks in [with("use", json!("sig")), with("alg", json!("ES256")), with("x5t", json!("x"))] {
        assert!(bearer(&jwks).owner(Some(good.as_bytes()), at_now()).is_ok(), "{jwks}");
    }
}

#[test]
fn invalid_tokens_are_refused_without_a_reason() {
    let (signer, other) = (Signer::new("one", "ES256"), Signer::new("x", "EdDSA"));
    let bearer = bearer(&keys(&[&signer, &other]));
    for (why, credentials) in refused(&signer) {
        let error = bearer.owner(Some(credentials.as_bytes()), at_now()).expect_err(why);
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{why}");
        assert!(!format!("{error:?}").contains("ey"), "{why}: {error:?}");
    }
    assert!(bearer.owner(None, at_now()).is_err());
    assert!(!format!("{bearer:?}").contains(signer.jwk["x"].as_str().unwrap()));
}

/// An agent that wants tokens, over both transports.
struct Guarded {
    world: World,
    signers: [Signer; 2],
    http: HttpEndpoint,
    kafka: KafkaEndpoint,
}

impl Guarded {
    fn new() -> Self {
        let mut world = World::new();
        let signers = [Signer::new("one", "ES256"), Signer::new("x", "EdDSA")];
        let bearer = bearer(&keys(&signers.each_ref()));
        let env = Env::new(at_now, uuid::Uuid::new_v4);
        world.handler = world.handler.with_bearer(bearer).with_env(env);
        let http = HttpEndpoint::new(world.handler.clone()).unwrap();
        let kafka = KafkaEndpoint::new(world.handler.clone(), "script", "scope");
        Self { world, signers, http, kafka }
    }

    fn token(&self, subject: &str) -> String {
        self.signers[0].sign(Some("one"), &claims(json!({ "sub": subject })))
    }

    async fn ask(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: Value,
    ) -> (Response<()>, Value) {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.body(Bytes::from(body)).unwrap();
        let response: Response<Body> = self.http.serve(Caller::default(), request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(parts, ()), serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn produce(&self, token: Option<&str>, offset: i64, value: Value) -> Value {
        let mut headers = vec![("a2a-idempotency-key".to_owned(), Bytes::from_static(b"k"))];
        headers.extend(
            token.map(|token| {
                ("Authorization".to_owned(), Bytes::copy_from_slice(token.as_bytes()))
            }),
        );
        let record = Record {
            topic: "agent.script.requests".to_owned(),
            partition: 0,
            offset,
            timestamp: 1,
            broker_time: false,
            key: Some(Bytes::from_static(b"corr")),
            value: Some(Bytes::from(value.to_string())),
            headers,
        };
        let mut answers = Vec::new();
        let emit = |answer| answers.push(answer);
        let mut incoming = self.kafka.read(&std::sync::Arc::default(), record);
        self.kafka.serve(&mut incoming, None, emit).await.unwrap();
        assert_eq!(answers.len(), 1);
        serde_json::from_slice(&answers[0].value).unwrap()
    }
}

fn message() -> Value {
    json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "complete done" }] } })
}

fn rpc(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

#[tokio::test]
async fn over_http_who_is_not_believed_is_told_what_to_bring() {
    let guarded = Guarded::new();
    let (_, card) = guarded.ask(None, "GET", "/.well-known/agent-card.json", Value::Null).await;
    assert_eq!(card["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"], "Bearer");
    assert!(card["securityRequirements"][0]["schemes"]["bearer"].is_object(), "{card}");
    let wrong = refused(&guarded.signers[0]);
    let wrong = wrong.iter().map(|(_, token)| Some(&**token));
    let sends = [("/message:send", message()), ("/", rpc("SendMessage", message()))];
    for token in wrong.chain([None]) {
        for (path, body) in &sends {
            let (response, told) = guarded.ask(token, "POST", path, body.clone()).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}: {told}");
            let challenge = response.headers()["www-authenticate"].to_str().unwrap();
            let expected =
                if token.is_none() { "Bearer" } else { "Bearer error=\"invalid_token\"" };
            assert_eq!(challenge, expected);
            assert!(told["error"]["message"].is_string(), "{told}");
        }
    }
    for (method, path) in [("GET", "/tasks"), ("GET", "/nowhere"), ("GET", "/")] {
        let (response, _) = guarded.ask(None, method, path, Value::Null).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(guarded.world.script.runs(), 0);
}

#[tokio::test]
async fn over_kafka_who_is_not_believed_is_answered_and_neighbours_are_unharmed() {
    let guarded = Guarded::new();
    let brief = || json!({ "message": { "text": "complete done" } });
    for (at, (why, token)) in (0..).zip(refused(&guarded.signers[0])) {
        let told = guarded.produce(Some(&token), at, rpc("SendMessage", message())).await;
        assert_eq!((&told["error"]["code"], &told["id"]), (&json!(-32050), &json!(7)), "{why}");
    }
    let told = guarded.produce(None, 100, brief()).await;
    assert_eq!(told["error"]["code"], -32050, "{told}");
    let done = guarded.produce(Some(&guarded.token("alice")), 101, brief()).await;
    assert_eq!(done["status"]["state"], "TASK_STATE_COMPLETED");
    assert_eq!(guarded.world.script.runs(), 1);
}

#[tokio::test]
async fn callers_never_see_each_others_tasks_over_either_transport() {
    let guarded = Guarded::new();
    let [alice, bob] = ["alice", "bob"].map(|name| guarded.token(name));
    let (_, sent) = guarded.ask(Some(&alice), "POST", "/message:send", message()).await;
    let id = sent["task"]["id"].as_str().unwrap();
    let by_kafka = rpc("GetTask", json!({ "id": id }));
    let path = format!("/tasks/{id}");
    assert_eq!(guarded.ask(Some(&alice), "GET", &path, Value::Null).await.1["id"], id);
    assert_eq!(guarded.produce(Some(&alice), 1, by_kafka.clone()).await["result"]["id"], id);
    assert_eq!(guarded.produce(Some(&bob), 2, by_kafka).await["error"]["code"], -32001);
    let (response, _) = guarded.ask(Some(&bob), "GET", &path, Value::Null).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    // Each one's keys are their own, too: the same key, sent by both.
    let send = || json!({ "message": { "text": "complete done" } });
    let mine = guarded.produce(Some(&alice), 3, send()).await["id"].clone();
    assert_ne!(guarded.produce(Some(&bob), 4, send()).await["id"], mine);
    assert_eq!(guarded.produce(Some(&alice), 5, send()).await["id"], mine);
    for (token, total) in [(&alice, 2), (&bob, 1)] {
        let (_, page) = guarded.ask(Some(token), "GET", "/tasks", Value::Null).await;
        assert_eq!(page["totalSize"], total);
    }
}
