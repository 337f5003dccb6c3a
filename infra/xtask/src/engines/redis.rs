//! Redis, the system's own, or Valkey, which is the same to a client.

use super::probe;
use super::program::{Kind, Running};
use crate::installed;

const KIND: Kind = Kind { name: "Redis", folder: "a2a-redis", signal: "KILL", ready: probe::redis };

/// Starts it with nothing kept on disk.
pub(super) fn start() -> Result<Running, String> {
    let program = installed::find("redis-server").or_else(|| installed::find("valkey-server"));
    let program = program.ok_or(
        "Redis needs `redis-server`, which is not on the PATH: apt-get install redis-server",
    )?;
    Running::start(&KIND, |folder, port| {
        let (program, folder) = (program.display().to_string(), folder.display().to_string());
        let port = port.to_string();
        let bind = ["--bind", "127.0.0.1", "--port", &port, "--dir", &folder];
        let memory = ["--save", "", "--appendonly", "no", "--databases", "16"];
        let all = [&program].map(String::as_str).into_iter().chain(bind).chain(memory);
        Ok(all.map(str::to_owned).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::program::tests::comes_and_goes;

    #[test]
    fn redis_comes_and_goes() {
        comes_and_goes(start, &KIND);
    }
}
