//! The runner's HTTP server over a socket: heads that are judged before their bodies, connections that
//! are slow, idle or many, and who may call a server on loopback.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::process::{PATIENCE, Process, connect, http, respond};

const JSON: &str = "content-type: application/json";
const BODY: &str =
    r#"{"message":{"messageId":"1","role":"ROLE_USER","parts":[{"text":"Terran win rate"}]}}"#;

fn runner(arguments: &[&str]) -> (Process, String) {
    let mut runner = Process::start(&[&["--port", "0", "--no-kafka"], arguments].concat(), &[]);
    let address = runner.address();
    (runner, address)
}

fn rpc() -> String {
    let params: serde_json::Value = serde_json::from_str(BODY).unwrap();
    json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}).to_string()
}

/// What is answered to these lines, and nothing else.
fn raw(address: &str, request: &str) -> crate::process::Response {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    respond(stream)
}

/// Reads one answer of a connection that goes on; its body is as long as it says.
fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap().to_ascii_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let mut body = vec![0; length.split_once("\r\n").unwrap().0.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head
}

/// How long the other end leaves the connection open.
fn open_for(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut sink = [0; 4096];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return began.elapsed(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return began.elapsed(),
            Err(error) => panic!("{error} after {:?}", began.elapsed()),
        }
    }
}

#[test]
fn a_head_is_refused_without_its_body() {
    let (_runner, address) = runner(&[]);
    let head = |path: &str, headers: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nexpect: 100-continue\r\n{headers}\r\n")
    };
    let typed = |length: &str| format!("{JSON}\r\ncontent-length: {length}\r\n");
    for (path, headers, status) in [
        ("/message:send", typed("99999999"), 413),
        ("/", typed("99999999"), 413),
        ("/v1/message:stream", typed("4194305"), 413),
        ("/message:send", "content-length: 10\r\n".to_owned(), 415),
        ("/", "content-length: 10\r\n".to_owned(), 415),
        ("/", "transfer-encoding: chunked\r\n".to_owned(), 415),
        ("/message:send", "content-type: text/plain\r\ncontent-length: 10\r\n".to_owned(), 415),
        ("/message:send", typed("10") + "content-encoding: br\r\n", 415),
        ("/message:send", typed("10") + "content-encoding: gzip, gzip\r\n", 415),
        ("/nowhere/at/all", typed("10"), 404),
        ("/tasks", typed("10"), 405),
        ("/message:send", typed("10") + "origin: https://evil.example\r\n", 403),
    ] {
        let response = raw(&address, &head(path, &headers));
        assert_eq!(response.status, status, "{path} {headers} {response:?}");
        assert!(response.json()["error"]["message"].is_string(), "{response:?}");
    }
}

#[test]
fn with_tokens_a_body_that_never_ends_is_not_waited_for() {
    // The example of RFC 7517, appendix A.1.
    let jwks = r#"{"keys":[{"kty":"EC","crv":"P-256","use":"sig","kid":"1","alg":"ES256",
        "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
    let more = ["--jwks", jwks, "--jwt-issuer", "https://i", "--jwt-audience", "a"];
    let (_runner, address) = runner(&more);
    for path in ["/", "/message:send"] {
        let began = Instant::now();
        let response = raw(
            &address,
            &format!(
                "POST {path} HTTP/1.1\r\nhost: any\r\n{JSON}\r\ncontent-length: 4000000\r\n\r\n"
            ),
        );
        assert_eq!(response.status, 401, "{response:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[test]
fn a_request_names_one_host() {
    let (_runner, address) = runner(&[]);
    let port = address.rsplit_once(':').unwrap().1;
    let get = |path: &str, hosts: &str| {
        raw(&address, &format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n")).status
    };
    for path in ["/health", "/tasks", "/.well-known/agent-card.json"] {
        assert_eq!(get(path, ""), 400, "{path}");
        assert_eq!(get(path, &format!("host: {address}\r\nhost: {address}\r\n")), 400, "{path}");
        for own in ["localhost", "LocalHost", "127.0.0.1", "[::1]"] {
            assert_eq!(get(path, &format!("host: {own}:{port}\r\n")), 200, "{path} {own}");
        }
    }
    for foreign in ["evil.example", &format!("evil.example:{port}"), "localhost:1", "", "127.0.0.1"]
    {
        assert_eq!(get("/tasks", &format!("host: {foreign}\r\n")), 403, "{foreign}");
    }
}

#[test]
fn further_hosts_and_the_public_one_are_named_by_options() {
    let (_runner, address) =
        runner(&["--allowed-hosts", "a.test,b.test:81", "--public-url", "https://h.test/data/"]);
    for (host, status) in [("a.test", 200), ("b.test:81", 200), ("h.test", 200), ("b.test", 403)] {
        let request = format!("GET /tasks HTTP/1.1\r\nconnection: close\r\nhost: {host}\r\n\r\n");
        assert_eq!(raw(&address, &request).status, status, "{host}");
    }
}

#[test]
fn pages_of_other_origins_need_leave() {
    let (_runner, address) = runner(&[]);
    let from = |origin: &str| format!("origin: {origin}");
    let asks = "access-control-request-method: POST";
    for origin in ["https://evil.example", "null", "http://localhost:1"] {
        let sent = http(&address, "POST", "/message:send", &[JSON, &from(origin)], BODY);
        assert_eq!(sent.status, 403, "{origin} {sent:?}");
        assert_eq!(http(&address, "OPTIONS", "/", &[&from(origin), asks], "").status, 403);
    }
    let own = from(&format!("http://{address}"));
    assert_eq!(http(&address, "POST", "/message:send", &[JSON, &own], BODY).status, 200);

    let page = from("https://app.example");
    let (_runner, address) = runner(&["--cors", "https://app.example,https://other.example"]);
    for path in ["/", "/message:send", "/tasks", "/.well-known/agent-card.json"] {
        let wants = "access-control-request-headers: content-type, a2a-version";
        let preflight = http(&address, "OPTIONS", path, &[&page, asks, wants], "");
        assert_eq!(preflight.status, 204, "{path} {preflight:?}");
        for line in [
            "access-control-allow-origin: https://app.example\r\n",
            "access-control-allow-methods: get, head, post, delete\r\n",
            "access-control-allow-headers: content-type, a2a-version\r\n",
        ] {
            assert!((preflight.head.clone() + "\r\n").contains(line), "{line} {preflight:?}");
        }
        assert_eq!(
            http(&address, "OPTIONS", path, &[&from("https://evil.example"), asks], "").status,
            403
        );
    }
    for (path, body) in
        [("/", rpc()), ("/message:send", BODY.to_owned()), ("/message:send", "{".into())]
    {
        let sent = http(&address, "POST", path, &[JSON, &page], &body);
        assert!(sent.head.contains("access-control-allow-origin: https://app.example"), "{sent:?}");
        assert!(sent.head.contains("access-control-expose-headers: "), "{sent:?}");
    }
}

#[test]
fn a_head_is_answered_as_its_get_without_the_body() {
    let (_runner, address) = runner(&[]);
    for path in ["/health", "/tasks", "/.well-known/agent-card.json", "/tasks/none"] {
        let (get, head) =
            (http(&address, "GET", path, &[], ""), http(&address, "HEAD", path, &[], ""));
        assert_eq!((head.status, &*head.body), (get.status, ""), "{path}");
        let length = format!("content-length: {}", get.body.len());
        assert!(head.head.contains(&length), "{path} {head:?} {get:?}");
        for response in [&get, &head] {
            assert!(response.head.contains("content-type: application/"), "{path} {response:?}");
        }
    }
    assert_eq!(http(&address, "HEAD", "/tasks/none:subscribe", &[], "").status, 405);
}

#[test]
fn the_public_addresss_path_is_the_base_path() {
    let (_runner, address) = runner(&["--public-url", "https://h.test/data/"]);
    for path in ["/data", "/data/", "/", "/data/v1"] {
        let sent = http(&address, "POST", path, &[JSON], &rpc());
        assert_eq!(sent.status, 200, "{path}");
        assert!(sent.json()["result"]["task"]["id"].is_string(), "{path} {sent:?}");
    }
    let sent = http(&address, "POST", "/data/message:send", &[JSON], BODY).json();
    let task = format!("/tasks/{}", sent["task"]["id"].as_str().unwrap());
    for (path, status) in [
        (task.clone(), 200),
        (format!("/data{task}"), 200),
        (format!("/other{task}"), 404),
        (format!("/data/other{task}"), 404),
        ("/data/.well-known/agent-card.json".to_owned(), 200),
        ("/database/tasks".to_owned(), 200),
    ] {
        assert_eq!(http(&address, "GET", &path, &[], "").status, status, "{path}");
    }
}

#[test]
fn an_idle_connection_lives_longer_than_a_load_balancers_and_no_request_is_lost() {
    let (_runner, address) = runner(&["--idle-seconds", "2"]);
    let get = format!("GET /tasks HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut stream = connect(&address);
    for _ in 0..3 {
        stream.write_all(get.as_bytes()).unwrap();
        assert!(answer(&mut stream).starts_with("http/1.1 200"));
        std::thread::sleep(Duration::from_millis(1200));
    }
    // It was used again and again for longer than it may be idle, and is closed once it is not.
    let open = open_for(&mut stream);
    assert!(open < Duration::from_secs(5), "{open:?}");
}

#[test]
fn a_head_that_is_sent_by_halves_is_cut() {
    let (_runner, address) = runner(&[]);
    let mut stream = connect(&address);
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: ").unwrap();
    let open = open_for(&mut stream);
    assert!(open > Duration::from_secs(8) && open < PATIENCE, "{open:?}");
}

#[test]
fn past_the_bound_the_oldest_idle_connection_makes_room() {
    let (_runner, address) = runner(&["--connections", "4"]);
    let mut half = Vec::from_iter((0..8).map(|_| {
        let mut stream = connect(&address);
        stream.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
        stream
    }));
    assert_eq!(http(&address, "GET", "/health", &[], "").status, 200);
    assert!(open_for(&mut half[0]) < Duration::from_secs(5));
}

#[test]
fn runs_beyond_their_bound_are_to_come_again() {
    for bound in ["--runs", "--runs-per-caller"] {
        let arguments = ["--port", "0", "--no-kafka", bound, "1"];
        let mut runner = Process::start_example("steps", &arguments, &[]);
        let address = runner.address();
        let send = |text: &str| {
            let message =
                json!({"messageId": text, "role": "ROLE_USER", "parts": [{"text": text}]});
            let configuration = json!({"returnImmediately": true});
            let body = json!({"message": message, "configuration": configuration}).to_string();
            http(&address, "POST", "/message:send", &[JSON], &body)
        };
        let first = send("silent 60");
        assert_eq!(first.status, 200, "{first:?}");
        let second = send("1");
        assert_eq!(second.status, 503, "{second:?}");
        assert!(second.head.contains("retry-after: "), "{second:?}");
        let id = first.json()["task"]["id"].as_str().unwrap().to_owned();
        assert_eq!(http(&address, "GET", &format!("/tasks/{id}"), &[], "").status, 200);
        assert_eq!(http(&address, "POST", &format!("/tasks/{id}:cancel"), &[], "").status, 200);
        let began = Instant::now();
        while send("2").status != 200 {
            assert!(began.elapsed() < PATIENCE, "there is never room again");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn http2_is_spoken_by_prior_knowledge() {
    let (_runner, address) = runner(&[]);
    let mut stream = connect(&address);
    // The preface, and empty settings.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "settings come first: {frame:?}");
}
