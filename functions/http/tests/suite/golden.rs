//! The function on whole events: exactly what it answers, and what it takes from each kind of
//! gateway. The files of `events/` are compared as they are: the clock stands still and ids are
//! counted.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Value, json};

use crate::support::{
    Answer, DOMAIN, Function,
    Gateway::{self, Http, Rest},
    message, rpc,
};

const CARD: &str = "/.well-known/agent-card.json";

/// Every event of `events/` that is HTTP; those in one row go to one function, in that order.
const DIALOGUES: [&[&str]; 13] = [
    &["function-url-card"],
    &["function-url-error"],
    &["function-url-send"],
    &["function-url-stream"],
    &["http-v1-card"],
    &["http-v1-error"],
    &["http-v1-send"],
    &["http-v1-stream"],
    &["http-v1-turn-1", "http-v1-turn-2"],
    &["http-v2-card"],
    &["http-v2-error"],
    &["http-v2-send"],
    &["http-v2-stream"],
];

fn folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../events").into()
}

/// An answer as its file has it: a stream as the lines of each event.
fn written(answer: &Answer) -> Value {
    let is_stream = answer.header("content-type") == "text/event-stream";
    let names = answer.headers.keys();
    let headers = names.map(|name| (name.as_str(), answer.header(name.as_str())));
    json!({
        "status": answer.status,
        "headers": BTreeMap::from_iter(headers),
        "body": if is_stream { json!(answer.events()) } else { answer.json() },
    })
}

#[tokio::test(start_paused = true)]
async fn every_event_is_answered_exactly_so() {
    for dialogue in DIALOGUES {
        let function = Function::data();
        for name in dialogue {
            let event = std::fs::read(folder().join(format!("{name}.json"))).unwrap();
            let answer = function.ask(&serde_json::from_slice(&event).unwrap()).await;
            let actual = written(&answer);
            let file = folder().join(format!("{name}.expected.json"));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&file, format!("{actual:#}\n")).unwrap();
            }
            let expected: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            assert_eq!(actual, expected, "{name}: {actual:#}");
        }
    }
}

#[test]
fn no_event_is_left_out() {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name());
    let names =
        files.filter_map(|name| name.to_str().unwrap().strip_suffix(".json").map(str::to_owned));
    let is_event = |name: &String| !name.ends_with(".expected") && !name.starts_with("kafka-");
    let mut names: Vec<String> = names.filter(is_event).collect();
    names.sort();
    assert_eq!(names, DIALOGUES.concat());
}

/// The event, changed where the patch says something else; what it says is null is absent.
fn patched(mut event: Value, patch: &Value) -> Value {
    for (name, change) in patch.as_object().unwrap() {
        event[name] = match change {
            Value::Object(_) => patched(event[name].take(), change),
            change => change.clone(),
        };
    }
    event
}

/// A path of a custom domain's base path `data`, as a REST API says it.
fn below_data(path: &str) -> Value {
    let path = format!("/data{path}");
    json!({ "path": path, "requestContext": { "path": path, "domainName": "api.example.com" } })
}

/// A named stage of an HTTP API.
fn on_stage(stage: &str, path: &str) -> Value {
    let path = format!("/{stage}{path}");
    json!({ "rawPath": path, "requestContext": { "stage": stage, "http": { "path": path } } })
}

/// What the template's REST API says of a path that has a resource of its own.
fn own_resource(path: &str) -> Value {
    let context = json!({ "resourcePath": path });
    json!({ "resource": path, "pathParameters": null, "requestContext": context })
}

#[tokio::test]
async fn the_card_says_where_its_reader_found_it() {
    let none = json!({});
    let greedy = json!({ "pathParameters": { "proxy": &CARD[1..] } });
    let custom = json!({ "requestContext": { "domainName": "api.example.com" } });
    // Mapped without a stage, a custom domain leaves the stage in the path.
    let unmapped = format!("/prod{CARD}");
    let unmapped = patched(custom.clone(), &json!({ "path": unmapped }));
    for (gateway, patches, expected) in [
        (Rest, [&none, &none], "https://agents.example.com/prod"),
        (Rest, [&own_resource(CARD), &none], "https://agents.example.com/prod"),
        (Rest, [&below_data(CARD), &none], "https://api.example.com/data"),
        (Rest, [&below_data(CARD), &own_resource(CARD)], "https://api.example.com/data"),
        (Rest, [&unmapped, &none], "https://api.example.com/prod"),
        (Http, [&none, &none], "https://agents.example.com"),
        (Http, [&none, &greedy], "https://agents.example.com"),
        (Http, [&on_stage("prod", CARD), &none], "https://agents.example.com/prod"),
        (Http, [&on_stage("prod", CARD), &greedy], "https://agents.example.com/prod"),
        // Its name may be the beginning of what follows.
        (Http, [&on_stage(".well", CARD), &none], "https://agents.example.com/.well"),
        (Http, [&custom, &none], "https://api.example.com"),
    ] {
        let event = patches.into_iter().fold(gateway.get(CARD), patched);
        let urls = async |function: Function| {
            let card = function.ask(&event).await.json();
            let interfaces = card["supportedInterfaces"].as_array().unwrap().clone();
            Vec::from_iter(interfaces.iter().map(|it| it["url"].as_str().unwrap().to_owned()))
        };
        let found = urls(Function::data()).await;
        assert_eq!(found, [format!("{expected}/"), expected.to_owned()], "{event:#}");
        let set = "https://agents.example.org/data/";
        let found = urls(Function::at(set)).await;
        assert_eq!(found, [set, &set[..set.len() - 1]], "{event:#}");
    }
}

#[tokio::test]
async fn the_card_does_not_change_with_the_paths_asked_for() {
    let function = Function::hourly();
    let card = function.ask(&Rest.get(CARD)).await;
    for (gateway, patch) in
        [(Rest, json!({ "requestContext": { "path": "/prod" } })), (Http, on_stage("prod", "/"))]
    {
        let send = patched(gateway.post("/", &rpc("SendMessage", &message("complete"))), &patch);
        assert_eq!(function.ask(&send).await.json()["error"], Value::Null, "{send:#}");
    }
    let again = function.ask(&Rest.get(CARD)).await;
    assert_eq!((again.headers, again.body), (card.headers, card.body));
}

#[tokio::test]
async fn json_rpc_is_at_the_root_of_every_gateway() {
    let below = |path| patched(below_data(path), &json!({ "resource": "/" }));
    for (gateway, patch) in [
        (Rest, json!({})),
        (Rest, below("")),
        (Rest, below("/")),
        (Http, json!({})),
        (Http, on_stage("prod", "")),
        (Http, on_stage("prod", "/")),
    ] {
        let event = patched(gateway.post("/", &rpc("SendMessage", &message("complete"))), &patch);
        let answer = Function::obedient().ask(&event).await;
        let state = answer.json()["result"]["task"]["status"]["state"].clone();
        assert_eq!(state, "TASK_STATE_COMPLETED", "{event:#}");
    }
}

/// REST APIs and Function URLs hand a path over as it was sent, HTTP APIs decoded.
#[tokio::test]
async fn odd_characters_in_a_path_arrive() {
    let function = Function::obedient();
    for (gateway, sent, id) in [
        (Rest, "a%20b", "a b"),
        (Rest, "%EC%8A%B9", "승"),
        (Rest, "a%2Fb%3Ac", "a/b:c"),
        (Rest, "50%", "50%"),
        (Http, "a%20b%2Fc", "a b/c"),
        (Http, "a b", "a b"),
        (Http, "승", "승"),
        (Http, "a+b", "a+b"),
        (Http, "\"<>`{}[]|\\^", "\"<>`{}[]|\\^"),
        (Http, "50%", "50%"),
        (Http, "a\tb", "a\tb"),
        (Http, "a#b", "a#b"),
        (Http, "..", ".."),
    ] {
        let mut event = gateway.get("/tasks/none?historyLength=1");
        let path = format!("/tasks/{sent}");
        match gateway {
            Rest => {
                event["path"] = path.into();
                event["pathParameters"]["proxy"] = format!("tasks/{sent}").into();
            }
            Http => event["rawPath"] = path.into(),
        }
        let answer = function.ask(&event).await;
        assert_eq!((answer.status, &*answer.reason()), (404, "TASK_NOT_FOUND"), "{sent}");
        let found = &answer.json()["error"]["details"][0]["metadata"]["taskId"];
        assert_eq!(found, id, "{sent}");
        // What stands in the path must not swallow the query.
        match gateway {
            Rest => event["multiValueQueryStringParameters"]["historyLength"] = json!(["x"]),
            Http => event["rawQueryString"] = json!("historyLength=x"),
        }
        assert_eq!(function.ask(&event).await.reason(), "INVALID_PARAMS", "{sent}");
    }
}

#[tokio::test]
async fn a_query_arrives_as_it_was_sent() {
    let odd = "a b&c=d%승";
    for gateway in [Rest, Http] {
        let function = Function::obedient();
        for context in [odd, odd, "another"] {
            let mut asked = message("complete");
            asked["message"]["contextId"] = context.into();
            assert_eq!(function.ask(&gateway.post("/message:send", &asked)).await.status, 200);
        }
        let event = match gateway {
            // Taken apart and decoded; of a repeated name the single-valued map has the last.
            Rest => patched(
                gateway.get("/tasks"),
                &json!({
                    "queryStringParameters": { "contextId": odd, "pageSize": "1" },
                    "multiValueQueryStringParameters":
                        { "contextId": ["another", odd], "pageSize": ["1"] },
                }),
            ),
            Http => {
                gateway.get("/tasks?contextId=another&contextId=a+b%26c%3Dd%25%EC%8A%B9&pageSize=1")
            }
        };
        let page = function.ask(&event).await.json();
        assert_eq!((&page["totalSize"], &page["pageSize"]), (&json!(2), &json!(1)), "{gateway:?}");
        assert_eq!(page["tasks"][0]["contextId"], odd, "{gateway:?}");
    }
}

/// A caller as a REST API's authorization describes it.
fn in_v1(caller: &str) -> Value {
    let (kind, name) = caller.split_once(' ').unwrap_or((caller, ""));
    let identity = |field: &str, value: String| json!({ "identity": { field: value } });
    match kind {
        "nobody" => json!({ "identity": { "userArn": null, "sourceIp": "203.0.113.24" } }),
        "iam" => identity("userArn", arn(name)),
        // All users of an identity pool have the same ARN.
        "pool" => json!({ "identity": { "cognitoIdentityId": name, "userArn": arn("pool") } }),
        "key" => identity("apiKeyId", name.to_owned()),
        "token" => json!({ "authorizer": { "claims": claims(name) } }),
        _ => json!({ "authorizer": { "principalId": name, "integrationLatency": 7 } }),
    }
}

/// A caller as an HTTP API's or a Function URL's authorization describes it.
fn in_v2(caller: &str) -> Value {
    let (kind, name) = caller.split_once(' ').unwrap_or((caller, ""));
    match kind {
        "nobody" => json!({}),
        "iam" => json!({ "authorizer": { "iam": { "userArn": arn(name) } } }),
        "pool" => json!({ "authorizer": { "iam": {
            "userArn": arn("pool"), "cognitoIdentity": { "amr": [], "identityId": name },
        } } }),
        "token" => json!({ "authorizer": { "jwt": { "claims": claims(name), "scopes": null } } }),
        _ => json!({ "authorizer": { "lambda": { "principalId": name } } }),
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:iam::123456789012:user/{name}")
}

/// `subject@issuer`.
fn claims(name: &str) -> Value {
    let (subject, issuer) = name.split_once('@').unwrap();
    json!({ "sub": subject, "iss": format!("https://{issuer}.example.com"), "exp": "1767229200" })
}

#[tokio::test]
async fn callers_see_their_own_tasks_only() {
    const KNOWN: [&str; 10] = [
        "nobody",
        "iam ann",
        "iam bob",
        "pool ann",
        "pool bob",
        "token ann@one",
        "token bob@one",
        "token ann@two",
        "function ann",
        "function bob",
    ];
    let of_v1 = KNOWN.iter().chain(&["key ann", "key bob"]).map(|it| (Rest, *it, in_v1(it)));
    let of_v2 = KNOWN.iter().map(|it| (Http, *it, in_v2(it)));
    let callers: Vec<(Gateway, &str, Value)> = of_v1.chain(of_v2).collect();
    let function = Function::obedient();
    let mut tasks = Vec::new();
    for (gateway, name, caller) in &callers {
        let event = gateway.post("/message:send", &message("complete"));
        let sent = function.ask(&gateway.of(caller, event)).await.json();
        tasks.push((*name, sent["task"]["id"].as_str().unwrap().to_owned()));
    }
    for (gateway, name, caller) in &callers {
        let mut seen = 0;
        for (of, id) in &tasks {
            let event = gateway.of(caller, gateway.get(&format!("/tasks/{id}")));
            let status = function.ask(&event).await.status;
            // One caller is the same one at both kinds of gateway.
            assert_eq!(status, if of == name { 200 } else { 404 }, "{gateway:?} {name}: of {of}");
            seen += u32::from(status == 200);
        }
        let page = function.ask(&gateway.of(caller, gateway.get("/tasks"))).await.json();
        assert_eq!(page["totalSize"], seen, "{gateway:?} {name}");
    }
}

#[tokio::test]
async fn callers_whom_their_authorizer_does_not_name_are_refused() {
    let named = json!({ "team": "one", "principalId": 5 });
    let no_subject = json!({ "iss": "https://one.example.com", "client": "ann" });
    for (gateway, authorizer) in [
        (Rest, named.clone()),
        (Rest, json!({ "claims": no_subject })),
        (Http, json!({ "lambda": named })),
        (Http, json!({ "jwt": { "claims": no_subject, "scopes": null } })),
        (Http, json!({ "iam": { "userArn": null, "accountId": "123456789012" } })),
        (Http, json!({})),
        (Rest, json!({ "principalId": "" })),
        (Http, json!({ "jwt": { "claims": { "sub": "" }, "scopes": null } })),
    ] {
        let function = Function::obedient();
        for (path, code) in [("/message:send", 403), ("/", -32051), ("/tasks", 403)] {
            let event = match path {
                "/" => gateway.post(path, &rpc("SendMessage", &message("complete"))),
                "/tasks" => gateway.get(path),
                _ => gateway.post(path, &message("complete")),
            };
            let event = gateway.of(&json!({ "authorizer": authorizer }), event);
            let answer = function.ask(&event).await;
            assert_eq!(answer.json()["error"]["code"], code, "{authorizer} at {path}");
        }
        let page = function.ask(&gateway.get("/tasks")).await.json();
        assert_eq!(page["totalSize"], 0, "{authorizer}: nobody's tasks are not theirs");
    }
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_not_who_it_is() {
    let function = Function::obedient();
    let ann = Rest.of(&in_v1("iam ann"), Rest.post("/message:send", &message("complete")));
    let id = function.ask(&ann).await.json()["task"]["id"].as_str().unwrap().to_owned();
    for gateway in [Rest, Http] {
        let headers = json!({
            "authorization": "Bearer ann", "x-amzn-request-context": in_v1("iam ann").to_string(),
            "x-api-key": "ann", "host": DOMAIN,
        });
        let target = format!("/tasks/{id}?owner={}", arn("ann"));
        let event = gateway.event("GET", &target, headers, Value::Null);
        assert_eq!(function.ask(&event).await.status, 404, "{gateway:?}");
    }
}
