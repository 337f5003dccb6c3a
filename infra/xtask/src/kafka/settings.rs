//! The broker's settings: one node that is broker and controller at once, everything internal down
//! to one copy. Clients find it in the clear, over TLS, and over TLS with a login.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::certificate::Certificate;

/// What does not depend on the run.
const FIXED: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    (
        "listener.security.protocol.map",
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
    ),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("ssl.keystore.type", "PEM"),
    ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
    (
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
        "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    ),
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

/// Where the broker listens, all on 127.0.0.1.
pub(super) struct Ports {
    /// For clients, in the clear and without a login.
    pub(super) clear: u16,
    /// For clients, over TLS without a login.
    pub(super) tls: u16,
    /// For clients, over TLS and logged in by SCRAM.
    pub(super) scram: u16,
    /// For the broker itself.
    pub(super) controller: u16,
}

/// The text of `server.properties`.
pub(super) fn properties(data: &Path, certificate: &Certificate, ports: &Ports) -> String {
    let Ports { clear, tls, scram, controller } = ports;
    let listeners = format!(
        "PLAINTEXT://127.0.0.1:{clear},SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{scram},\
         CONTROLLER://127.0.0.1:{controller}"
    );
    let data = data.display().to_string();
    let keystore = certificate.keystore.display().to_string();
    // A fixed voter rather than a bootstrap server: then the formatted folder holds no address, and
    // one made at fetch time serves every run.
    let voters = format!("1@127.0.0.1:{controller}");
    let own = [
        ("controller.quorum.voters", voters.as_str()),
        ("listeners", &listeners),
        ("advertised.listeners", &listeners),
        ("log.dirs", &data),
        ("ssl.keystore.location", &keystore),
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
    certificate: &Certificate,
    ports: &Ports,
) -> Result<PathBuf, String> {
    let io = |error| format!("cannot write Kafka's settings to {}: {error}", folder.display());
    let data = folder.join("data");
    copy_folder(&home.join("formatted"), &data).map_err(io)?;
    let file = folder.join("server.properties");
    fs::write(&file, properties(&data, certificate, ports)).map_err(io)?;
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

    const PORTS: Ports = Ports { clear: 1, tls: 2, scram: 3, controller: 4 };

    #[test]
    fn every_listener_is_on_loopback_and_advertised() {
        let text = properties(Path::new("/tmp/x"), &Certificate::of(Path::new("/tmp/c")), &PORTS);
        let has = |line: &str| text.lines().any(|found| found == line);
        let listeners = concat!(
            "listeners=PLAINTEXT://127.0.0.1:1,SSL://127.0.0.1:2,SASL_SSL://127.0.0.1:3,",
            "CONTROLLER://127.0.0.1:4"
        );
        assert!(has(listeners));
        assert!(has(&format!("advertised.{listeners}")));
        assert!(has("controller.quorum.voters=1@127.0.0.1:4"));
        assert!(has("ssl.keystore.location=/tmp/c/broker.pem"));
        assert!(has("log.dirs=/tmp/x"));
        assert!(has("num.partitions=3"));
    }

    #[test]
    fn every_setting_is_one_line_and_named_once() {
        let text = properties(Path::new("/tmp/x"), &Certificate::of(Path::new("/tmp/c")), &PORTS);
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
        let config = write(&home, &run, &Certificate::of(&run), &PORTS).expect("written");
        assert_eq!(config, run.join("server.properties"));
        assert_eq!(fs::read_to_string(run.join("data/inner/file")).expect("copied"), "1");
    }
}
