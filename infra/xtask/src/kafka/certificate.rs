//! Who the broker is to its clients over TLS: an authority of its own and a certificate of that
//! authority, made by the `openssl` command for one run.
//!
//! It owns the files of that; it must never know what listens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::dist;

/// A key that is made in a millisecond and that both Java and OpenSSL take, left in the clear:
/// Java reads it as it is, and it guards nothing.
const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/// Longer than any run, and also for a clock that is a little behind.
const DAYS: &str = "30";

/// The files, all in the run's folder.
#[derive(Debug)]
pub(super) struct Certificate {
    /// The authority's certificate: whoever trusts it trusts the broker.
    pub(super) authority: PathBuf,
    /// The broker's key and certificate in one file, as Kafka wants them.
    pub(super) keystore: PathBuf,
}

impl Certificate {
    /// Where the files of a folder are.
    pub(super) fn of(folder: &Path) -> Self {
        Self { authority: folder.join("ca.pem"), keystore: folder.join("broker.pem") }
    }

    /// Makes them.
    pub(super) fn make(folder: &Path) -> Result<Self, String> {
        dist::require("openssl", "openssl")?;
        let made = Self::of(folder);
        let (ca_key, key) = (folder.join("ca.key"), folder.join("broker.key"));
        let mut authority = openssl(&ca_key, &made.authority, "/CN=a2a-serverless test authority");
        authority.args(["-addext", "keyUsage=critical,keyCertSign"]);
        finish(authority)?;
        let certificate = folder.join("broker.crt");
        let mut broker = openssl(&key, &certificate, "/CN=a2a-serverless test broker");
        broker.arg("-CA").arg(&made.authority).arg("-CAkey").arg(&ca_key);
        broker.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        // Clients compare this, and not the name above, with where they connect to.
        broker.args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
        finish(broker)?;
        let join =
            || fs::write(&made.keystore, [fs::read(&key)?, fs::read(&certificate)?].concat());
        join().map_err(|error| format!("cannot write {}: {error}", made.keystore.display()))?;
        Ok(made)
    }
}

/// A certificate for a new key.
fn openssl(key: &Path, certificate: &Path, subject: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-days", DAYS, "-subj", subject]).args(KEY);
    command.arg("-keyout").arg(key).arg("-out").arg(certificate);
    command
}

fn finish(command: Command) -> Result<(), String> {
    dist::finish(command, "openssl (3.0 or newer) could not make a certificate for Kafka")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_authority_vouches_for_the_broker_on_loopback() {
        let scratch = Scratch::create("xtask-certificate").expect("a temp folder");
        let made = Certificate::make(scratch.path()).expect("made");
        let mut verify = Command::new("openssl");
        verify.args(["verify", "-purpose", "sslserver", "-verify_ip", "127.0.0.1"]);
        verify.arg("-CAfile").arg(&made.authority).arg(&made.keystore);
        assert_eq!(finish(verify), Ok(()));
        let keystore = fs::read_to_string(&made.keystore).expect("the keystore");
        for part in ["-----BEGIN PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"] {
            assert_eq!(keystore.matches(part).count(), 1, "{part}");
        }
    }

    #[test]
    fn what_openssl_refuses_is_told_with_its_words() {
        let reason = Certificate::make(Path::new("/nowhere")).expect_err("no such folder");
        assert!(reason.contains("could not make a certificate"), "{reason}");
        assert!(reason.contains("/nowhere/"), "{reason}");
    }
}
