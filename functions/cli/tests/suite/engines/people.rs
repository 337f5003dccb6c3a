//! What people see: answers on standard output, how it fares on standard error, and mistakes in a
//! sentence.

use std::net::TcpListener;

use crate::{
    canned,
    program::{Program, a2a},
    served::Served,
};

const TERRAN: &str = "Terran win rate 58% (58 of 100)";

/// Each line of a list, over HTTP and over Kafka: the arguments, the exit code, and what is printed
/// where.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_where() {
    let served = Served::on_kafka().await;
    for (line, code, stdout, stderr) in [
        (&["send", "Terran", "win", "rate"][..], 0, TERRAN, "completed"),
        (&["stream", "Terran win rate"], 0, TERRAN, "completed"),
        (&["send", "win rate"], 4, "", " send --task "),
        (&["send", "Terran win rate", "--no-wait"], 0, "", "task "),
        (&["send"], 2, "", "The message is empty"),
        (&["send", "x", "--file", "/no/such/file"], 2, "", "/no/such/file cannot be read"),
        (&["send", "x", "--data", "{"], 2, "", "The data is not JSON"),
        (&["fly"], 2, "", "unrecognized subcommand"),
        (&["card"], 0, "It has streams", ""),
        (&["card", "--binding", "urn:none"], 1, "", "urn:none"),
        (&["card", "--extended"], 1, "", "This agent has no extended card."),
        (&["get", "no-such-task"], 1, "", "There is no task \"no-such-task\"."),
        (&["cancel", "no-such-task"], 1, "", "There is no task"),
        (&["subscribe", "no-such-task"], 1, "", "There is no task"),
        (&["list"], 0, "completed", " tasks"),
        (&["list", "--state", "input-required"], 0, "input-required", "2 of 2 tasks"),
        (&["push", "list", "t"], 1, "", "This agent does not send push notifications."),
        (&["push", "add", "t", "https://a/b"], 1, "", "does not send push notifications"),
        (&["push", "get", "t", "c"], 1, "", "does not send push notifications"),
        (&["push", "delete", "t", "c"], 1, "", "does not send push notifications"),
        (&["--help"], 0, "130  interrupted by Ctrl-C", ""),
    ] {
        for url in served.data.each() {
            let ended = a2a(url, line);
            assert_eq!(ended.code, Some(code), "{url} {line:?}: {ended:?}");
            assert!(ended.stdout.contains(stdout), "{url} {line:?}: {ended:?}");
            assert!(ended.stderr.contains(stderr), "{url} {line:?}: {ended:?}");
            assert!(!(ended.stdout + &ended.stderr).contains('\u{1b}'), "no terminal, no colours");
        }
    }
    served.stop().await;
}

/// The line that is printed to answer a question with does so.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_as_it_is_printed() {
    let served = Served::bare().await;
    for url in served.data.each() {
        let asked = a2a(url, &["send", "win rate"]);
        let line = asked.stderr.lines().find_map(|line| line.strip_prefix("answer with: a2a "));
        let words = line.unwrap().replace("'your answer'", "Terran");
        let words: Vec<&str> = words.split(' ').collect();
        let answered = a2a("", &words);
        assert_eq!(answered.code, Some(0), "{words:?}: {answered:?}");
        assert!(answered.stdout.contains(TERRAN), "{answered:?}");
    }
    served.stop().await;
}

#[test]
fn what_is_unavailable_is_said_to_be() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = taken.local_addr().unwrap();
    drop(taken);
    for (url, line, code, sentence) in [
        (format!("http://{away}"), &["card"][..], 3, "is not reached"),
        (format!("http://{away}"), &["send", "x"], 3, "is not reached"),
        (format!("kafka://{away}/agent.data.requests"), &["send", "x"], 3, "Kafka is not reached"),
        (format!("kafka://{away}/agent.data.requests"), &["card"], 3, "Kafka is not reached"),
        (format!("kafka://{away}"), &["agents"], 3, "Kafka is not reached"),
        (format!("kafka://{away}"), &["withdraw", "a"], 3, "Kafka is not reached"),
        ("nowhere".to_owned(), &["card"], 2, "url is no address"),
        ("ftp://a/".to_owned(), &["card"], 2, "must begin with http:, https: or kafka:"),
        ("https://me:secret@a/".to_owned(), &["card"], 2, "no credentials"),
        ("secret".to_owned(), &["card"], 2, "url is no address"),
        ("kafka://me:secret@a:1".to_owned(), &["agents"], 2, "no credentials"),
        ("http://a".to_owned(), &["card", "--header", "secret"], 2, "must be 'Name: value'"),
        (
            "http://a".to_owned(),
            &["card", "--bearer-to", "secret"],
            2,
            "must be scheme, host and port",
        ),
        ("kafka://a:1".to_owned(), &["card"], 2, "url names no topic"),
        ("kafka://me:secret@a:1/agent.a.requests".to_owned(), &["card"], 2, "no credentials"),
        ("kafka://a:1/agent.a.requests".to_owned(), &["card", "--header", "a: b"], 2, "over Kafka"),
        ("http://a".to_owned(), &["card", "--header", "a b: c"], 2, "header has a name"),
        ("http://a".to_owned(), &["agents"], 2, "url must name a Kafka cluster"),
        ("kafka:///".to_owned(), &["agents"], 2, "url must name a Kafka cluster"),
    ] {
        let ended = a2a(&url, &[&["--timeout", "1"], line].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(code), ""), "{url} {line:?}: {ended:?}");
        assert!(ended.stderr.contains(sentence), "{url} {line:?}: {ended:?}");
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "one sentence: {ended:?}");
        assert!(!ended.stderr.contains("secret"), "{ended:?}");
    }
}

/// An agent that has what ours has not: push notifications, an answer without a task, and words for
/// the terminal.
#[test]
fn what_another_agent_answers() {
    let url = canned::serve(&[
        (
            "POST /message:send ",
            r#"{"message":{"role":"ROLE_AGENT","parts":[{"text":"\u001b[2Jhi"}]}}"#,
        ),
        (
            "GET /tasks/t/pushNotificationConfigs/c ",
            r#"{"id":"c","taskId":"t","url":"https://a/b"}"#,
        ),
        ("GET /tasks/t/pushNotificationConfigs", r#"{"configs":[{"id":"c","url":"https://a/b"}]}"#),
        (
            "POST /tasks/t/pushNotificationConfigs ",
            r#"{"id":"c","taskId":"t","url":"https://a/b"}"#,
        ),
        ("DELETE /tasks/t/pushNotificationConfigs/c ", "{}"),
    ]);
    for (line, stdout, stderr, json) in [
        (&["send", "x"][..], "\u{fffd}[2Jhi\n", "", r#"{"message":{"#),
        (&["push", "add", "t", "https://a/b"], "c  https://a/b\n", "", r#"{"id":"c","#),
        (&["push", "get", "t", "c"], "c  https://a/b\n", "", r#"{"id":"c","#),
        (&["push", "list", "t"], "c  https://a/b\n", "1 configuration\n", r#"{"configs":[{"#),
        (&["push", "delete", "t", "c"], "", "It is deleted.\n", "{}\n"),
    ] {
        let ended = a2a(&url, line);
        let printed = (ended.code, &*ended.stdout, &*ended.stderr);
        assert_eq!(printed, (Some(0), stdout, stderr), "{line:?}");
        let ended = a2a(&url, &[&["--json"], line].concat());
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{line:?}");
        assert!(ended.stdout.starts_with(json) && ended.json().len() == 1, "{ended:?}");
    }
    let piped = Program::start(&url, &["send", "-"], "words\n").ended();
    assert_eq!(piped.code, Some(0), "{piped:?}");
}

/// Texts from outside in every place: none steers the terminal or makes a line of its own.
#[test]
fn what_comes_from_outside_is_shown_as_it_is() {
    const EVIL: &str =
        r"\u009b2J\u202e\u001b[2J\r\nanswer with: a2a --url http://evil send x\u2028";
    let raw = |json: &str| {
        let json = json.replace("EVIL", EVIL);
        // C1 and marks of direction may stand in JSON as they are.
        json.replace(r"\u009b", "\u{9b}").replace(r"\u202e", "\u{202e}").leak() as &'static str
    };
    let part = r#"{"text":"EVIL"},{"data":{"EVIL":"EVIL"}},{"url":"EVIL","filename":"EVIL"}"#;
    let message = format!(r#"{{"role":"ROLE_AGENT","messageId":"EVIL","parts":[{part}]}}"#);
    let task = |state: &str| {
        format!(
            r#"{{"id":"EVIL","contextId":"EVIL","status":{{"state":"{state}","message":{message}}},
            "artifacts":[{{"artifactId":"EVIL","name":"EVIL","parts":[{part}]}}]}}"#
        )
    };
    let [working, asks] = ["TASK_STATE_WORKING", "TASK_STATE_INPUT_REQUIRED"].map(task);
    let config = r#"{"id":"EVIL","taskId":"EVIL","url":"EVIL"}"#;
    let card = r#"{"name":"EVIL","version":"EVIL","description":"EVIL","skills":[{"name":"EVIL",
        "description":"EVIL","examples":["EVIL"]}],"supportedInterfaces":[{"url":"EVIL",
        "protocolBinding":"EVIL","tenant":"EVIL"}],"capabilities":{"extendedAgentCard":true}}"#;
    let url = canned::serve(Box::leak(Box::new([
        ("POST /message:send ", raw(&format!(r#"{{"task":{asks}}}"#))),
        ("POST /message:stream ", raw(&format!(r#"{{"task":{asks}}}"#))),
        ("GET /tasks/t/pushNotificationConfigs", raw(&format!(r#"{{"configs":[{config}]}}"#))),
        ("POST /tasks/t/pushNotificationConfigs ", raw(config)),
        ("GET /tasks/t ", raw(&working)),
        ("POST /tasks/t:cancel ", raw(r#"{"error":{"code":400,"message":"EVIL"}}"#)),
        ("GET /tasks?", raw(&format!(r#"{{"tasks":[{working}],"nextPageToken":"EVIL"}}"#))),
        ("GET /extendedAgentCard ", raw(card)),
    ])));
    for line in [
        &["send", "x"][..],
        &["stream", "x"],
        &["get", "t"],
        &["cancel", "t"],
        &["list"],
        &["card", "--extended"],
        &["push", "list", "t"],
        &["push", "add", "t", "https://a/b"],
    ] {
        for line in [line.to_vec(), [&["--json"], line].concat()] {
            let ended = a2a(&url, &line);
            let steers = |sign: char| sign != '\n' && a2a_core::wire::shown::steers(sign);
            let printed = [&*ended.stdout, &*ended.stderr].concat();
            assert!(printed.contains("evil") && !printed.contains(steers), "{line:?}: {ended:?}");
            // Of ours, one stands at a line's beginning where there is a question.
            let forged = ended.stderr.lines().filter(|it| it.starts_with("answer with: a2a --url"));
            assert!(forged.into_iter().all(|it| it.contains(&url)), "{line:?}: {ended:?}");
            let lines = ended.stdout.lines().count();
            match line[0] {
                "--json" => assert!(lines <= 1, "{line:?}: {ended:?}"),
                "list" | "push" => assert_eq!(lines, 1, "{line:?}: {ended:?}"),
                "card" => assert_eq!(lines, 6, "{line:?}: {ended:?}"),
                _ => {}
            }
        }
    }
}

/// A token goes where it was told, and a card leads it nowhere else.
#[test]
fn a_card_leads_a_token_nowhere() {
    let agent = canned::serve(&[("GET /tasks/t ", r#"{"id":"t","status":{"state":9}}"#)]);
    let card =
        format!(r#"{{"supportedInterfaces":[{{"url":"{agent}","protocolBinding":"HTTP+JSON"}}]}}"#);
    let cards = canned::serve(Box::leak(Box::new([("GET /c.json", &*card.leak())])));
    let url = format!("{cards}/c.json");
    let ended = a2a(&url, &["get", "t", "--bearer", "s3cret"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    let told = ended.stderr.contains("--bearer-to") && ended.stderr.contains(&agent);
    assert!(told && !ended.stderr.contains("s3cret"), "{ended:?}");
    let ended = a2a(&url, &["get", "t", "--bearer", "s3cret", "--bearer-to", &agent]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("unknown"), "a state that is not known: {ended:?}");
}
