//! A real Apache Kafka: one KRaft node on loopback, without Docker and without an installation.
//!
//! Owns: the release from Maven, the broker's settings and certificate, its life, and brokers for
//! programs that take one away ([`Brokers`]). Must never know: who wants it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::cache;
use crate::process::{Process, free_ports, temp_folder};
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

/// One node that is broker and controller at once, everything internal down to one copy. The fixed
/// voter makes that the formatted folder holds no address: one made at fetch time serves every run.
const SETTINGS: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners}
advertised.listeners={listeners}
listener.security.protocol.map=\
CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
auto.create.topics.enable=true
num.partitions=3
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
";

const LISTENERS: &str = "PLAINTEXT://127.0.0.1:{clear},SSL://127.0.0.1:{tls},\
                         SASL_SSL://127.0.0.1:{scram},CONTROLLER://127.0.0.1:{controller}";

/// `slf4j-simple` is what makes the broker's log visible at all.
const POM: &str = "\
<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{version}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId>
<version>1.7.36</version></dependency>
</dependencies></project>
";

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
pub(crate) struct Kafka {
    /// None between two starts.
    process: Option<Process>,
    folder: PathBuf,
    command: Vec<String>,
    /// For clients: in the clear, over TLS, and over TLS with a login; and the controller's.
    ports: [u16; 4],
}

impl Kafka {
    /// Fetches Kafka where it is missing, starts it and waits until it is ready.
    pub(crate) fn start() -> Result<Self, String> {
        let home = Self::home()?;
        let mut reason = String::new();
        // A port may be lost before the broker binds it.
        for _ in 0..3 {
            let mut kafka = Self::laid_out(&home)?;
            match kafka.run() {
                Ok(()) => return Ok(kafka),
                Err(why) => reason = why,
            }
            if !kafka.lost_its_port() {
                break;
            }
        }
        Err(reason)
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
    pub(crate) fn address(&self) -> String {
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
    fn stop(&mut self) -> Result<(), String> {
        self.process.take().map_or(Ok(()), Process::end_keeping)
    }

    /// Starts it with its data, where it was. A client that tries to reach it may for a moment have
    /// the port itself, so it tries again.
    fn restart(&mut self) -> Result<(), String> {
        let mut tries = 1..=5;
        loop {
            self.stop()?;
            match self.run() {
                Err(_) if self.lost_its_port() && tries.next().is_some() => {}
                ended => return ended,
            }
        }
    }

    /// Said long before the end of its log: a broker that cannot start says much.
    fn lost_its_port(&self) -> bool {
        let log = self.process.as_ref().map(Process::log);
        log.is_some_and(|log| log.contains("Address already in use"))
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
    let text = SETTINGS.replace("{listeners}", LISTENERS);
    let mut text = text.replace("{folder}", &folder.display().to_string());
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

/// Brokers for programs that take one away and give it back: a port of the loopback interface where
/// every connection has a broker of its own.
///
/// A line asks, a line answers. `start` is answered with the broker's address, `stop`, which kills
/// it outright, with `stopped`; the next `start` is the same broker at the same address, with its
/// data. What fails is answered with `error` and a sentence. The broker ends with its connection.
pub(crate) struct Brokers;

impl Brokers {
    /// Serves on a free port until this process ends, and answers the address.
    pub(crate) fn serve() -> Result<String, String> {
        let failed = |error| format!("nothing listens for brokers: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?.to_string();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                thread::spawn(move || Self::answer_all(&connection));
            }
        });
        Ok(address)
    }

    fn answer_all(mut connection: &TcpStream) {
        let mut kafka = None;
        for line in BufReader::new(connection).lines().map_while(Result::ok) {
            let answer = Self::answer(&mut kafka, &line).unwrap_or_else(|reason| {
                // One line, whatever it says.
                format!("error {}", reason.replace('\n', " | "))
            });
            if writeln!(connection, "{answer}").is_err() {
                return;
            }
        }
    }

    fn answer(kafka: &mut Option<Kafka>, line: &str) -> Result<String, String> {
        match (line, &mut *kafka) {
            ("start", None) => Ok(kafka.insert(Kafka::start()?).address()),
            ("start", Some(kafka)) => kafka.restart().map(|()| kafka.address()),
            ("stop", Some(kafka)) => kafka.stop().map(|()| "stopped".to_owned()),
            ("stop", None) => Err("there is no broker to stop".to_owned()),
            _ => Err(format!("{line:?} is neither `start` nor `stop`")),
        }
    }
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
        let mut keys: Vec<_> =
            text.lines().map(|line| line.split_once('=').expect("key=value").0).collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }

    #[test]
    fn what_cannot_be_done_is_said_on_one_line() {
        let address = Brokers::serve().expect("a port");
        let mut connection = TcpStream::connect(address).expect("it listens");
        connection.write_all(b"stop\ngo\n").expect("sent");
        let mut lines = BufReader::new(connection).lines();
        let mut next = || lines.next().expect("an answer").expect("text");
        assert_eq!(next(), "error there is no broker to stop");
        assert_eq!(next(), r#"error "go" is neither `start` nor `stop`"#);
    }
}
