//! The release on disk: what is fetched, by which tool, and how its programs are run.
//!
//! A fetched release is a folder with `libs` (the jars) and `formatted` (an empty data folder as
//! Kafka's own formatter leaves it, so that a start needs one Java process and not two).

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::certificate::Certificate;
use super::settings::{self, Ports};
use super::{PASSWORD, USERNAME, VERSION};
use crate::text::tail;

/// The JVM for a process of a few seconds or minutes: quick to start, content with little memory.
const JVM: [&str; 5] = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
];

/// Any 16 bytes in base64 would do: the cluster lives as long as one run.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

const COPY_PLUGIN: &str =
    "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// The folder's name in the cache. A change of what is in it needs another name: it has had a user
/// since it is called so.
pub(super) fn folder_name() -> String {
    format!("kafka-{VERSION}-scram")
}

/// Says which package to install where Java is missing.
pub(super) fn require_java() -> Result<(), String> {
    require("java", "openjdk-17-jre-headless")
}

/// Fetches the jars with Maven and formats the data folder that every run copies.
pub(super) fn fetch(folder: &Path) -> Result<(), String> {
    require("mvn", "maven")?;
    eprintln!("xtask: fetching Kafka {VERSION} with Maven, once (43 MB)");
    let pom = folder.join("pom.xml");
    fs::write(&pom, pom_text()).map_err(|error| format!("cannot write {pom:?}: {error}"))?;
    let libs = folder.join("libs");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(&pom).arg(COPY_PLUGIN);
    maven.arg(format!("-DoutputDirectory={}", libs.display())).arg("-DincludeScope=runtime");
    finish(maven, "Maven could not fetch Kafka")?;
    format_data(folder)
}

/// Runs Kafka's formatter into `formatted`, with the one user. It wants complete settings, though it
/// keeps no port and no path of them.
fn format_data(folder: &Path) -> Result<(), String> {
    let config = folder.join("format.properties");
    let ports = Ports { clear: 9092, controller: 9093, tls: 9094, scram: 9095 };
    let data = folder.join("formatted");
    let text = settings::properties(&data, &Certificate::of(folder), &ports);
    fs::write(&config, text).map_err(|error| format!("cannot write {config:?}: {error}"))?;
    let mut java = Command::new("java");
    java.args(JVM).arg("-cp").arg(class_path(folder)).arg("kafka.tools.StorageTool");
    java.args(["format", "-t", CLUSTER_ID, "-c"]).arg(&config);
    let user = format!("SCRAM-SHA-512=[name={USERNAME},password={PASSWORD}]");
    java.args(["--add-scram", &user]);
    finish(java, "Kafka's data folder could not be formatted")
}

/// The command line of the broker.
pub(super) fn broker_command(home: &Path, config: &Path) -> Vec<String> {
    let mut command = vec!["java".to_owned(), "-Xms256m".to_owned(), "-Xmx512m".to_owned()];
    command.extend(JVM.iter().map(ToString::to_string));
    command.extend(["-cp".to_owned(), class_path(home), "kafka.Kafka".to_owned()]);
    command.push(config.display().to_string());
    command
}

/// Java itself expands the star to every jar of the folder.
fn class_path(home: &Path) -> String {
    home.join("libs").join("*").display().to_string()
}

/// `slf4j-simple` is what makes the broker's log visible at all.
fn pom_text() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    let kafka = dependency("org.apache.kafka", "kafka_2.13", VERSION);
    let log = dependency("org.slf4j", "slf4j-simple", "1.7.36");
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n\
         <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>\n\
         <packaging>pom</packaging>\n<dependencies>{kafka}{log}</dependencies></project>\n"
    )
}

/// Runs a tool to its end and shows what it printed only when it failed.
pub(super) fn finish(mut command: Command, sentence: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{sentence}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(format!("{sentence}:\n{}", tail(&String::from_utf8_lossy(&printed), super::TAIL)))
}

/// A program on the path, or the sentence that names its Debian package.
pub(super) fn require(program: &str, package: &str) -> Result<(), String> {
    require_in(env::var_os("PATH").as_deref(), program, package)
}

fn require_in(path: Option<&OsStr>, program: &str, package: &str) -> Result<(), String> {
    let found = path
        .into_iter()
        .flat_map(env::split_paths)
        .any(|folder| is_program(&folder.join(program)).unwrap_or(false));
    let sentence =
        || format!("Kafka needs `{program}`, which is not on the PATH: apt-get install {package}");
    if found { Ok(()) } else { Err(sentence()) }
}

fn is_program(file: &PathBuf) -> io::Result<bool> {
    Ok(fs::metadata(file)?.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_one_sentence_with_its_package() {
        let reason = require_in(Some("/nowhere".as_ref()), "java", "openjdk-17-jre-headless");
        let reason = reason.expect_err("it is not there");
        assert!(reason.contains("apt-get install openjdk-17-jre-headless"), "{reason}");
        assert_eq!(reason.lines().count(), 1);
        assert!(require_in(None, "java", "x").is_err());
    }

    #[test]
    fn a_program_is_found_in_any_folder_of_the_path() {
        assert_eq!(require_in(Some("/nowhere:/usr/bin:/bin".as_ref()), "sh", "dash"), Ok(()));
    }

    #[test]
    fn the_broker_gets_the_jars_and_its_settings() {
        let command = broker_command(Path::new("/c/k"), Path::new("/t/server.properties"));
        let end = &command[command.len() - 4..];
        assert_eq!(end, ["-cp", "/c/k/libs/*", "kafka.Kafka", "/t/server.properties"]);
    }
}
