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
