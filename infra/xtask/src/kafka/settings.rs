//! The broker's settings: one node that is broker and controller at once, everything internal down
//! to one copy.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What does not depend on the run.
const FIXED: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    // Topics that tests name come into being with three partitions.
    ("auto.create.topics.enable", "true"),
    ("num.partitions", "3"),
    // A group's first member gets its partitions at once, not after the wait for more members.
    ("group.initial.rebalance.delay.ms", "0"),
    ("offsets.topic.num.partitions", "1"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.num.partitions", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

/// The text of `server.properties`.
pub(super) fn properties(data: &Path, port: u16, controller: u16) -> String {
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
    let data = data.display().to_string();
    // A fixed voter rather than a bootstrap server: then the formatted folder holds no address, and
    // one made at fetch time serves every run.
    let voters = format!("1@127.0.0.1:{controller}");
    let own = [
        ("controller.quorum.voters", voters.as_str()),
        ("listeners", &listeners),
        ("advertised.listeners", &listeners),
        ("log.dirs", &data),
    ];
    let mut text = String::new();
    for (key, value) in FIXED.iter().copied().chain(own) {
        // Java's format takes a backslash for an escape. Writing to a String cannot fail.
        let _ = writeln!(text, "{key}={}", value.replace('\\', "\\\\"));
    }
    text
}

/// Lays out a run's folder: the settings, and the data folder as the release formatted it.
pub(super) fn write(
    home: &Path,
    folder: &Path,
    port: u16,
    controller: u16,
) -> Result<PathBuf, String> {
    let io = |error| format!("cannot write Kafka's settings to {}: {error}", folder.display());
    let data = folder.join("data");
    copy_folder(&home.join("formatted"), &data).map_err(io)?;
    let file = folder.join("server.properties");
    fs::write(&file, properties(&data, port, controller)).map_err(io)?;
    Ok(file)
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn both_listeners_are_on_loopback_and_advertised() {
        let text = properties(Path::new("/tmp/x"), 9092, 9093);
        let has = |line: &str| text.lines().any(|found| found == line);
        assert!(has("listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"));
        assert!(has("advertised.listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"));
        assert!(has("controller.quorum.voters=1@127.0.0.1:9093"));
        assert!(has("log.dirs=/tmp/x"));
        assert!(has("num.partitions=3"));
    }

    #[test]
    fn every_setting_is_one_line_and_named_once() {
        let text = properties(Path::new("/tmp/x"), 1, 2);
        let mut keys: Vec<&str> =
            text.lines().map(|line| line.split_once('=').expect("key=value").0).collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }

    #[test]
    fn a_run_gets_its_own_copy_of_the_formatted_folder() {
        let scratch = Scratch::create("xtask-settings").expect("a temp folder");
        let home = scratch.path().join("home");
        fs::create_dir_all(home.join("formatted/inner")).expect("a folder");
        fs::write(home.join("formatted/inner/file"), "1").expect("a file");
        let run = scratch.path().join("run");
        let config = write(&home, &run, 1, 2).expect("written");
        assert_eq!(config, run.join("server.properties"));
        assert_eq!(fs::read_to_string(run.join("data/inner/file")).expect("copied"), "1");
    }
}
