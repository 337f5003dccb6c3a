//! The runner as a process, as a person or a script meets it: its lines can be pasted, its mistakes
//! are one sentence, and a signal costs no caller its answer.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use serde_json::Value;

use crate::{
    kafka_client::KafkaClient,
    process::{Ended, Process, connect, head, http, respond},
};

const TERRAN: &str = "Terran win rate 58% (58 of 100)";
const BODY: &str =
    r#"{"message":{"messageId":"1","role":"ROLE_USER","parts":[{"text":"Terran win rate"}]}}"#;

/// What stands between the first two such quotes after `before`.
fn quoted<'a>(line: &'a str, before: &str) -> &'a str {
    let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("no {before} in {line}"));
    rest.split('\'').nth(1).unwrap()
}

fn result_of(task: &Value) -> &Value {
    &task["artifacts"][1]["parts"][0]["text"]
}

#[test]
fn bare_it_answers_the_curl_line_it_prints() {
    let mut runner = Process::start(&["--port", "0"], &[]);
    let address = runner.address();
    let line = runner.printed("curl -s ");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let path = url.strip_prefix(&format!("http://{address}")).expect("the address that listens");
    let headers: Vec<&str> =
        line.split(" -H ").skip(1).map(|rest| rest.split('\'').nth(1).unwrap()).collect();
    let response = http(&address, "POST", path, &headers, quoted(&line, " -d "));
    assert_eq!(response.status, 200, "{response:?}");
    let task = &response.json()["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED");
    assert_eq!(result_of(task), TERRAN);
}

#[tokio::test]
async fn bare_it_answers_the_kcat_lines_it_prints() {
    let mut runner = Process::start(&["--port", "0", "--name", "win.rates"], &[]);
    let produce = runner.printed(" -P ");
    let consume = runner.printed(" -C ");
    let word_after = |line: &str, flag: &str| {
        line.split_whitespace().skip_while(|word| *word != flag).nth(1).unwrap().to_owned()
    };
    let brokers = word_after(&produce, "-b");
    assert_eq!(word_after(&consume, "-b"), brokers);
    let client = KafkaClient::connect(&brokers, "win.rates");
    assert_eq!(word_after(&produce, "-t"), client.topics().requests);
    assert_eq!(word_after(&consume, "-t"), client.topics().responses);
    let (key, value) = quoted(&produce, "echo ").split_once(quoted(&produce, "-K")).unwrap();
    let card = http(&runner.address(), "GET", "/.well-known/agent-card.json", &[], "").json();
    let over_kafka = format!("kafka://{brokers}/agent.win.rates.requests");
    assert_eq!(card["supportedInterfaces"][2]["url"], over_kafka);
    client.send(Some(key.as_bytes()), Some(value.as_bytes()), &[]).await;
    let answer = client.next().await;
    assert_eq!((answer.key(), result_of(&answer.json())), (key, &Value::from(TERRAN)));
    // Both transports have one store.
    let path = format!("/v1/tasks/{}", answer.json()["id"].as_str().unwrap());
    let seen = http(&runner.address(), "GET", &path, &["A2A-Version: 1.0"], "");
    assert_eq!(seen.json(), answer.json());
}

#[test]
fn without_kafka_it_serves_http_and_says_nothing_of_kcat() {
    let mut runner = Process::start(&["--port", "0", "--no-kafka", "--name", "other"], &[]);
    let address = runner.address();
    let card = http(&address, "GET", "/.well-known/agent-card.json", &[], "").json();
    assert_eq!(card["name"], "other");
    let url = format!("http://{address}/");
    assert_eq!(card["supportedInterfaces"][0]["url"], url);
    assert_eq!(card["supportedInterfaces"].as_array().unwrap().len(), 2, "HTTP only");
    let health = http(&address, "GET", "/health", &[], "");
    assert_eq!((health.status, &*health.body), (200, r#"{"status":"ok"}"#));
    runner.signal("INT");
    let ended = runner.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.iter().any(|line| line.to_lowercase().contains("kafka")), "{ended:?}");
}

#[test]
fn sigterm_ends_it_as_sigint_does() {
    for signal in ["INT", "TERM"] {
        let mut runner = Process::start(&["--port", "0"], &[]);
        runner.printed(" -C ");
        runner.signal(signal);
        let ended = runner.ended();
        assert_eq!(ended.code, Some(0), "{signal}: {ended:?}");
    }
}

/// A request whose head has been read, and whose body is still to come.
fn half_a_request(address: &str) -> TcpStream {
    let mut stream = connect(address);
    let headers = ["content-type: application/json", "expect: 100-continue"];
    stream
        .write_all(head(address, "POST", "/message:send", &headers, BODY.len()).as_bytes())
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn sigint_finishes_what_is_in_flight() {
    let mut runner = Process::start(&["--port", "0"], &[]);
    let address = runner.address();
    let mut stream = half_a_request(&address);
    runner.signal("INT");
    runner.logged("Finishing what is in flight");
    // Nothing new is taken.
    let began = Instant::now();
    while TcpStream::connect(&address).is_ok() {
        assert!(began.elapsed().as_secs() < 5, "it still listens");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(runner.is_running());
    stream.write_all(BODY.as_bytes()).unwrap();
    let response = respond(stream);
    assert_eq!(result_of(&response.json()["task"]), TERRAN);
    let ended = runner.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn sigint_does_not_wait_for_a_client_that_never_finishes() {
    let mut runner = Process::start(&["--port", "0", "--no-kafka"], &[]);
    let _stream = half_a_request(&runner.address());
    runner.signal("INT");
    let began = Instant::now();
    let ended = runner.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn flags_may_come_from_the_environment() {
    for (value, kafka) in [("1", false), ("true", false), ("0", true), ("", true)] {
        let mut runner = Process::start(&["--port", "0"], &[("A2A_NO_KAFKA", value)]);
        runner.address();
        runner.signal("INT");
        let printed = runner.ended().stdout.join("\n");
        assert_eq!(printed.contains("kcat"), kafka, "{value:?}: {printed}");
    }
}

#[test]
fn a_second_sigint_ends_it_at_once() {
    let mut runner = Process::start(&["--port", "0"], &[]);
    let _stream = half_a_request(&runner.address());
    runner.signal("INT");
    runner.logged("Finishing what is in flight");
    let began = Instant::now();
    runner.signal("INT");
    let ended = runner.ended();
    // As a shell reports a program that SIGINT ended.
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(began.elapsed().as_secs() < 3, "{:?}", began.elapsed());
    let said = ended.stderr.last().map(String::as_str);
    assert_eq!(said, Some("Stopped with work in flight."));
}

/// The one line that is no log.
fn sentence(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    let (logs, other): (Vec<_>, Vec<_>) =
        ended.stderr.iter().partition(|line| serde_json::from_str::<Value>(line).is_ok());
    let troubled = logs.iter().any(|line| line.contains("ERROR") || line.contains("WARN"));
    assert!(!troubled, "it is said once: {ended:?}");
    let [sentence] = other[..] else { panic!("one sentence: {ended:?}") };
    sentence
}

#[test]
fn a_busy_port_is_one_sentence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = listener.local_addr().unwrap().port().to_string();
    let ended = Process::start(&["--port", &busy], &[]).ended();
    let said = sentence(&ended);
    assert!(said.contains(&busy) && said.contains("--port") && said.ends_with('.'), "{said}");
}

#[test]
fn an_unreachable_broker_is_one_sentence() {
    let ended = Process::start(&["--port", "0", "--kafka", "127.0.0.1:1"], &[]).ended();
    let said = sentence(&ended);
    assert!(said.contains("127.0.0.1:1") && said.ends_with('.'), "{said}");
}

#[test]
fn a_bad_table_of_matches_is_one_sentence() {
    let missing = "/nowhere/matches.csv";
    let ended = Process::start(&["--port", "0"], &[("MATCHES_CSV", missing)]).ended();
    assert!(sentence(&ended).contains(missing), "{ended:?}");

    let table = std::env::temp_dir().join(format!("a2a-matches-{}.csv", std::process::id()));
    fs::write(&table, "game_id,race,result,duration_minutes\n1,Zerg,draw,8\n").unwrap();
    let file = table.to_str().unwrap();
    let ended = Process::start(&["--port", "0"], &[("MATCHES_CSV", file)]).ended();
    fs::remove_file(&table).unwrap();
    let said = sentence(&ended);
    assert!(said.contains(file) && said.contains("line 2") && said.contains("draw"), "{said}");
}

#[test]
fn help_names_every_option() {
    let ended = Process::start(&["--help"], &[]).ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let help = ended.stdout.join("\n");
    for option in
        ["--name", "--host", "--port", "--kafka", "--no-kafka", "--partitions", "A2A_KAFKA", "9003"]
    {
        assert!(help.contains(option), "no {option} in {help}");
    }
    assert!(ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn a_mistyped_option_is_refused_by_name() {
    let ended = Process::start(&["--prot", "0"], &[]).ended();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr[0].contains("--prot"), "{ended:?}");
}

#[test]
fn logs_are_json_without_a_terminal() {
    let mut runner = Process::start(&["--port", "0"], &[("RUST_LOG", "debug,hyper=off")]);
    let address = runner.address();
    let headers = ["content-type: application/json"];
    assert_eq!(http(&address, "POST", "/message:send", &headers, BODY).status, 200);
    runner.logged("a call was served");
    for line in runner.log() {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    // What is printed for a person is no log.
    assert!(runner.output().iter().all(|line| !line.starts_with('{')));
}
