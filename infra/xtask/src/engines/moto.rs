//! moto: AWS in Python, of which the tests use DynamoDB. A second reading of the service beside
//! dynoxide's: what both accept is less likely to be an engine's own idea.

use super::probe;
use super::program::{Kind, Running};
use crate::python;

/// The fetched release.
const VERSION: &str = "5.2.5";

const KIND: Kind =
    Kind { name: "moto", folder: "a2a-moto", signal: "KILL", ready: probe::dynamodb };

/// Serves it one request at a time; why is said there.
const SERVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../serve_moto.py");

/// Starts it; all it knows is in memory.
pub(super) fn start() -> Result<Running, String> {
    let packages = [format!("moto[server,dynamodb]=={VERSION}")];
    let environment = python::environment(&format!("moto-{VERSION}"), &packages)?;
    let python = python::program(&environment).display().to_string();
    Running::start(&KIND, |_, port| {
        let port = port.to_string();
        let command = [&python, SERVE, "127.0.0.1", &port];
        Ok(command.map(str::to_owned).to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::program::tests::comes_and_goes;

    #[test]
    fn moto_comes_and_goes() {
        comes_and_goes(start, &KIND);
    }
}
