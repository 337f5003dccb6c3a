//! A real Apache Kafka: one KRaft node on loopback, without Docker and without an installation.
//!
//! Owns: the release from Maven, the broker's settings and certificate, and its life. Must never
//! know: who wants it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::cache;
use crate::process::{Process, free_ports, temp_folder, until_bound};
use crate::tools::output;

/// The fetched release. The newest that runs on Java 17.
const VERSION: &str = "4.4.0";

/// The one user who can log in, as the data folder is formatted: test data, not a secret.
const USERNAME: &str = "agent";
const PASSWORD: &str = "s3cret";

/// The JVM for a process of a few seconds or minutes: quick to start, content with little memory.
const JAVA: &str = "java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
                    -Dorg.slf4j.simpleLogger.showDateTime=true";

/// What a start prints last.
const READY: &str = "Kafka Server started";

const SETTINGS: &str = include_str!("kafka.properties");

const POM: &str = include_str!("kafka-pom.xml");

/// In a folder with a pom and settings: the jars, and an empty data folder as Kafka's own formatter
/// leaves it, so that a start needs one Java process and not two. Any 16 bytes in base64 would do
/// for the cluster's id: it lives as long as one run.
const FETCH: &str = r#"
cd "$1" || exit
mvn -q -B -f pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    "-DoutputDirectory=$1/libs" -DincludeScope=runtime || exit
$2 -cp "libs/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c server.properties \
    --add-scram "SCRAM-SHA-512=[name=$3,password=$4]"
"#;

/// Lays out a run's folder: the formatted data, and who the broker is to its clients over TLS: an
/// authority of its own and a certificate of that authority, as Kafka wants it (key and certificate
/// in one file). P-256 is made in a millisecond, and both Java and OpenSSL take it. Clients compare
/// the alternative name with where they connect to.
const LAY_OUT: &str = r#"
cp -r "$1/data" "$2/data" && cd "$2" || exit
new() { openssl req -x509 -days 30 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@"; }
new -subj "/CN=a2a-serverless test authority" -keyout ca.key -out ca.pem \
    -addext keyUsage=critical,keyCertSign || exit
new -subj "/CN=a2a-serverless test broker" -keyout broker.key -out broker.crt -CA ca.pem \
    -CAkey ca.key -addext basicConstraints=critical,CA:FALSE \
    -addext subjectAltName=IP:127.0.0.1,DNS:localhost || exit
cat broker.key broker.crt >broker.pem
"#;

/// A running broker. Dropping it stops it and removes its data.
pub struct Kafka {
    /// None between two starts.
    process: Option<Process>,
    folder: PathBuf,
    command: Vec<String>,
    /// For clients: in the clear, over TLS, and over TLS with a login; and the controller's.
    ports: [u16; 4],
}

impl Kafka {
    /// Fetches Kafka where it is missing, starts it and waits until it is ready.
    ///
    /// # Errors
    /// In words, with the end of its log.
    pub fn start() -> Result<Self, String> {
        let home = Self::home()?;
        until_bound(|| {
            let mut kafka = Self::laid_out(&home)?;
            kafka.run().map(|()| kafka)
        })
    }

    /// The release's folder, fetched where it is missing.
    pub(crate) fn home() -> Result<PathBuf, String> {
        cache::obtain(&cache::root()?, &format!("kafka-{VERSION}-data"), fetch)
    }

    fn laid_out(home: &Path) -> Result<Self, String> {
        let folder = temp_folder("a2a-kafka")?.keep();
        let ports = free_ports()?;
        write_settings(&folder, &ports)?;
        script(LAY_OUT, [home, &folder], &[], "Kafka's folder could not be laid out")?;
        let words = JAVA.split_whitespace().chain(["-cp"]).map(str::to_owned);
        let (jars, settings) = (home.join("libs/*"), folder.join("server.properties"));
        let words = words.chain([jars.display().to_string(), "kafka.Kafka".to_owned()]);
        let command = words.chain([settings.display().to_string()]).collect();
        Ok(Self { process: None, folder, command, ports })
    }

    /// The bootstrap address, `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.listener(0)
    }

    fn listener(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.ports[index])
    }

    /// What tests find of it in their environment: the bootstrap address in the clear, over TLS and
    /// with a login over TLS, the file that says whom to trust, and who may log in.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("A2A_TEST_KAFKA", self.listener(0)),
            ("A2A_TEST_KAFKA_TLS", self.listener(1)),
            ("A2A_TEST_KAFKA_SCRAM", self.listener(2)),
            ("A2A_TEST_KAFKA_CA", self.folder.join("ca.pem").display().to_string()),
            ("A2A_TEST_KAFKA_USERNAME", USERNAME.to_owned()),
            ("A2A_TEST_KAFKA_PASSWORD", PASSWORD.to_owned()),
        ]
    }

    /// Kills the broker outright. Its data and its ports stay its own.
    ///
    /// # Errors
    /// In words, when its folder cannot be kept.
    pub fn stop(&mut self) -> Result<(), String> {
        self.process.take().map_or(Ok(()), Process::end_keeping)
    }

    /// Starts it with its data, where it was. A client that tries to reach it may for a moment have
    /// the port itself.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub fn restart(&mut self) -> Result<(), String> {
        until_bound(|| {
            self.stop()?;
            self.run()
        })
    }

    /// Starts it in its folder and waits until it is ready.
    fn run(&mut self) -> Result<(), String> {
        let began = Instant::now();
        let process = Process::start(&self.folder, "KILL", &self.command)?;
        let ready = process.wait_until(|log| log.contains(READY));
        self.process = Some(process);
        ready.map_err(|why| format!("Kafka {why}"))?;
        let seconds = began.elapsed().as_secs_f32();
        eprintln!("xtask: Kafka {VERSION} on {}, ready in {seconds:.1} s", self.address());
        Ok(())
    }
}

fn fetch(folder: &Path) -> Result<(), String> {
    eprintln!("xtask: fetching Kafka {VERSION} with Maven, once (43 MB)");
    let pom = folder.join("pom.xml");
    fs::write(&pom, POM.replace("{version}", VERSION))
        .map_err(|error| format!("cannot write {}: {error}", pom.display()))?;
    // It wants complete settings, though it keeps no port and no path of them.
    write_settings(folder, &[9092, 9094, 9095, 9093])?;
    script(FETCH, [folder], &[JAVA, USERNAME, PASSWORD], "Kafka could not be fetched")
}

fn write_settings(folder: &Path, ports: &[u16; 4]) -> Result<(), String> {
    let mut text = SETTINGS.replace("{folder}", &folder.display().to_string());
    for (name, port) in ["{clear}", "{tls}", "{scram}", "{controller}"].iter().zip(ports) {
        text = text.replace(name, &port.to_string());
    }
    let file = folder.join("server.properties");
    fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn script<const N: usize>(
    text: &str,
    folders: [&Path; N],
    words: &[&str],
    sentence: &str,
) -> Result<(), String> {
    let mut sh = Command::new("sh");
    sh.args(["-c", text, "kafka"]).args(folders).args(words);
    output(sh, sentence).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_its_value_and_is_named_once() {
        let folder = temp_folder("xtask").expect("a folder");
        write_settings(folder.path(), &[1, 2, 3, 4]).expect("written");
        let text = fs::read_to_string(folder.path().join("server.properties")).expect("read");
        assert!(!text.contains('{'), "{text}");
        let mut keys: Vec<_> = text
            .lines()
            .filter(|it| !it.starts_with('#'))
            .map(|line| line.split_once('=').expect("key=value").0)
            .collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
