//! Streams while they last: progress as it comes, Ctrl-C, readers who leave, tasks that are
//! canceled meanwhile.

use serde_json::Value;

use crate::{
    program::{Ended, Program, a2a},
    served::Served,
};

/// Progress is there before the task is done; after Ctrl-C the rest is watched as the line says
/// that is printed then.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_stream_that_can_be_resumed() {
    let served = Served::on_kafka().await;
    for url in served.slow.each() {
        let mut stream = Program::start(url, &["stream", "go"], "");
        assert_eq!(stream.line(), "first");
        stream.interrupt();
        let Ended { code, stdout, stderr } = stream.ended();
        assert_eq!((code, &*stdout), (Some(130), ""), "{url}: {stderr}");
        assert!(stderr.contains("working: I begin."), "{url}: {stderr}");
        let again = stderr.lines().last().and_then(|line| line.split_once(": a2a "));
        let again: Vec<&str> = again.unwrap_or_else(|| panic!("{stderr}")).1.split(' ').collect();
        assert_eq!((again[1], again[2], again[4]), (url, "subscribe", "--after"), "{again:?}");
        served.let_go();
        let rest = a2a("", &again);
        assert_eq!((rest.code, &*rest.stdout), (Some(0), "second\ndone\n"), "{url}: {rest:?}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_interrupted_between_lines_and_leave_quietly() {
    let served = Served::bare().await;
    for url in served.slow.each() {
        let mut stream = Program::start(url, &["--json", "stream", "go"], "");
        while !stream.line().contains("first") {}
        stream.interrupt();
        let Ended { code, stdout, stderr } = stream.ended();
        assert_eq!((code, &*stdout, &*stderr), (Some(130), "", ""), "{url}");
        served.let_go();

        let mut stream = Program::start(url, &["--json", "stream", "go"], "");
        while !stream.line().contains("first") {}
        stream.leave();
        served.let_go();
        let Ended { code, stderr, .. } = stream.ended();
        assert_eq!((code, &*stderr), (Some(0), ""), "{url}");
    }
    served.stop().await;
}

/// Over the transport by which the task came, and over the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_canceled_while_it_is_watched() {
    let served = Served::on_kafka().await;
    let [http, kafka] = served.slow.each();
    for (watched, canceled_over) in [(http, http), (http, kafka), (kafka, http), (kafka, kafka)] {
        let mut stream = Program::start(watched, &["--json", "stream", "go"], "");
        let first: Value = serde_json::from_str(&stream.line()).unwrap();
        let id = first["task"]["id"].as_str().unwrap();
        while !stream.line().contains("first") {}
        let list = a2a(canceled_over, &["list", "--state", "working"]);
        assert!(list.stdout.starts_with(id), "{watched}: {list:?}");
        let canceled = a2a(canceled_over, &["cancel", id]);
        assert_eq!(canceled.code, Some(0), "{canceled:?}");
        assert!(canceled.stderr.ends_with("canceled\n"), "{canceled:?}");
        let ended = stream.ended();
        assert_eq!((ended.code, &*ended.stderr), (Some(1), ""), "{watched}: {ended:?}");
        let last = &ended.json().pop().unwrap()["statusUpdate"]["status"]["state"];
        assert_eq!(last, "TASK_STATE_CANCELED", "{watched}");
    }
    served.stop().await;
}
