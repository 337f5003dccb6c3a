//! Agents of a cluster, found over Kafka alone.

use std::time::{Duration, Instant};

use crate::{
    program::{Ended, Program, a2a},
    served::{Served, brokers},
};

/// Runs a command until it ends so: a runner enters its agents in the background.
fn until(url: &str, line: &[&str], ended_so: impl Fn(&Ended) -> bool) -> Ended {
    let began = Instant::now();
    loop {
        let ended = a2a(url, line);
        if ended_so(&ended) {
            return ended;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{line:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_found_and_called_over_kafka_alone() {
    let served = Served::on_kafka().await;
    let (cluster, slow) = (served.cluster(), &served.slow);
    let line = format!("{}  {}  It waits.", slow.name, slow.kafka);
    let shown = |ended: &Ended| ended.stdout.lines().any(|printed| printed == line);
    let listed = until(&cluster, &["agents"], shown);
    assert!(listed.code == Some(0) && listed.stderr.contains(" agents"), "{listed:?}");
    let cards = a2a(&cluster, &["agents", "--json"]);
    assert_eq!((cards.code, &*cards.stderr), (Some(0), ""));
    let cards = cards.json();
    let card = cards.iter().find(|card| card["name"] == *slow.name).unwrap();
    assert_eq!(card["description"], "It waits.");
    let over_kafka = card["supportedInterfaces"].as_array().unwrap().last().unwrap();
    // What is shown can be called.
    let url = over_kafka["url"].as_str().unwrap();
    served.let_go();
    let sent = a2a(url, &["send", "go"]);
    assert!(sent.code == Some(0) && sent.stdout.ends_with("done\n"), "{sent:?}");
    let address = slow.kafka.clone();
    let shown = a2a(&address, &["card"]);
    assert!(shown.stdout.starts_with(&*slow.name), "{shown:?}");
    // It withdraws its agents as it ends.
    served.stop().await;
    let gone = a2a(&address, &["card"]);
    assert_eq!((gone.code, &*gone.stdout), (Some(3), ""), "{gone:?}");
    assert!(gone.stderr.starts_with("There is no agent \"slow-"), "{gone:?}");
    assert!(gone.stderr.contains("in the registry of"), "{gone:?}");
    assert!(!shown_in(&cluster, &line));
}

fn shown_in(cluster: &str, line: &str) -> bool {
    a2a(cluster, &["agents"]).stdout.lines().any(|printed| printed == line)
}

/// Before the deadline: a request is retried after a quarter of the time until it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_topic_that_is_refused_is_told() {
    let served = Served::on_kafka().await;
    // A topic that is there, but another agent's.
    let url = format!("{}?reply-to=agent.{}.responses", served.data.kafka, served.slow.name);
    let began = Instant::now();
    for line in [&["send", "Terran win rate"][..], &["stream", "Terran win rate"], &["list"]] {
        let ended = a2a(&url, &[&["--timeout", "80"], line].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{line:?}: {ended:?}");
        assert!(ended.stderr.starts_with("This agent does not answer on the topic"), "{ended:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    served.stop().await;
}

/// An agent that has no runner of ours: its card is entered, found by its name, and taken out.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_entered_and_taken_out_by_hand() {
    let cluster = format!("kafka://{}", brokers());
    let name = format!("foreign-{}", uuid::Uuid::new_v4().simple());
    let card = format!(
        r#"{{"name":"{name}","description":"Served\nelsewhere.","supportedInterfaces":[
            {{"url":"https://a.example","protocolBinding":"JSONRPC"}}]}}"#
    );
    let entered = Program::start(&cluster, &["register", "-"], &card).ended();
    assert_eq!((entered.code, &*entered.stdout), (Some(0), ""), "{entered:?}");
    assert_eq!(entered.stderr, format!("{name}/registered is entered.\n"));
    let line = format!("{name}  https://a.example  Served elsewhere.");
    assert!(shown_in(&cluster, &line));
    let address = format!("{cluster}/agent.{name}.requests");
    assert_eq!(a2a(&address, &["--json", "card"]).json()[0]["description"], "Served\nelsewhere.");
    let taken = a2a(&cluster, &["--json", "withdraw", &name]);
    assert_eq!((taken.code, &*taken.stdout, &*taken.stderr), (Some(0), "{}\n", ""));
    assert!(!shown_in(&cluster, &line));
    for (line, stdin, sentence) in [
        (&["register", "-"][..], "{}", "must not be empty"),
        (&["register", "-"], "Terran", "The card is no agent's card"),
        (&["register", "/no/such/card"], "", "/no/such/card cannot be read"),
        (&["withdraw", "a/b"], "", "must hold no `/`"),
    ] {
        let ended = Program::start(&cluster, line, stdin).ended();
        assert_eq!(ended.code, Some(2), "{line:?}: {ended:?}");
        assert!(ended.stderr.contains(sentence), "{line:?}: {ended:?}");
    }
}
