//! What the system must bring: programs and headers, each with its Debian package.
//!
//! Owns: looking for all of it before anything is built, `apt-get` where this process is root, and
//! else the one sentence that names everything that is missing. Must never know: what a program is
//! needed for in detail; what comes from a package registry is [`tools`](crate::tools)' affair.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file by which a package is recognised: a program on the PATH, or a path, `*` standing for one
/// folder's name.
struct Need {
    any_of: &'static [&'static str],
    package: &'static str,
}

const fn need(any_of: &'static [&'static str], package: &'static str) -> Need {
    Need { any_of, package }
}

/// What the build of the workspace takes beside Rust; CMake is brought by `infra/cmake`.
const BUILD: &[Need] = &[
    need(&["g++", "c++"], "g++"),
    need(&["pkg-config"], "pkg-config"),
    need(&["/usr/include/openssl/ssl.h"], "libssl-dev"),
];

/// What the engines take. Where this process is not root, Redis and PostgreSQL come from PyPI.
const ENGINES: &[Need] = &[
    need(&["java"], "default-jre-headless"),
    need(&["mvn"], "maven"),
    need(&["openssl"], "openssl"),
    need(&["wrk"], "wrk"),
    need(&["/usr/lib/python3*/ensurepip/__init__.py", "/usr/local/bin/python3"], "python3-venv"),
];

const FOR_ROOT: &[Need] = &[need(REDIS, "redis-server"), need(POSTGRES, "postgresql")];

/// Programs that serve Redis' protocol.
pub(crate) const REDIS: &[&str] = &["redis-server", "valkey-server"];
/// PostgreSQL refuses to serve as root, so root's must be where another user reaches it.
pub(crate) const POSTGRES: &[&str] = &["/usr/lib/postgresql/*/bin/initdb", "initdb"];

/// What the check of the templates takes.
const TEMPLATES: &[Need] = &[need(&["node"], "nodejs"), need(&["npm"], "npm")];

/// What a command takes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum For {
    /// Building the workspace.
    Build,
    /// That, and running the engines.
    Engines,
    /// All that there is a command for.
    Everything,
}

/// Makes sure that everything is there that a command takes.
///
/// # Errors
/// One sentence that names every missing package, where `apt-get` cannot install them.
pub(crate) fn satisfy(purpose: For) -> Result<(), String> {
    let lists = match purpose {
        For::Build => &[BUILD][..],
        For::Engines => &[BUILD, ENGINES, FOR_ROOT],
        For::Everything => &[BUILD, ENGINES, FOR_ROOT, TEMPLATES],
    };
    let needs = lists.iter().copied().flatten();
    let of_root = |need: &&Need| is_root() || FOR_ROOT.iter().all(|it| it.package != need.package);
    let missing = needs.filter(of_root).filter(|need| find(need.any_of).is_none());
    let packages: Vec<&str> = missing.map(|need| need.package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    if !is_root() || find(&["apt-get"]).is_none() {
        let list = packages.join(" ");
        return Err(format!("this needs programs that are not installed: apt-get install {list}"));
    }
    eprintln!("xtask: apt-get install {}", packages.join(" "));
    apt_get(&["update"])?;
    apt_get(&[&["install", "-y", "--no-install-recommends"][..], &packages].concat())
}

/// The first file that one of these patterns names, the newest release first.
pub(crate) fn find(any_of: &[&str]) -> Option<PathBuf> {
    any_of.iter().find_map(|pattern| match pattern.split_once('*') {
        None if pattern.starts_with('/') => Some(PathBuf::from(pattern)).filter(|it| it.is_file()),
        None => {
            let path = env::var_os("PATH")?;
            env::split_paths(&path).map(|folder| folder.join(pattern)).find(|it| it.is_file())
        }
        Some((before, after)) => newest(before, after.trim_start_matches('/')),
    })
}

/// The newest of the folders whose names begin with `before`, by the number that follows.
fn newest(before: &str, after: &str) -> Option<PathBuf> {
    let (folder, prefix) = before.rsplit_once('/')?;
    let names = Path::new(folder).read_dir().ok()?.flatten();
    let found = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let release: u32 = name.strip_prefix(prefix)?.replace('.', "").parse().ok().or(Some(0))?;
        Some((release, entry.path().join(after))).filter(|(_, path)| path.is_file())
    });
    found.max().map(|(_, path)| path)
}

/// Whether this process may install packages; PostgreSQL asks, too.
pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt_get(args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(args).env("DEBIAN_FRONTEND", "noninteractive");
    // Its own output goes beside ours: a command's output is for its results.
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.map_err(|error| format!("cannot start apt-get: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("apt-get {}: {status}", args.join(" "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_program_is_found_on_the_path_and_a_file_where_it_is() {
        assert!(find(&["no-such-program", "sh"]).is_some_and(|it| it.ends_with("sh")));
        assert_eq!(find(&["no-such-program", "/no/such/file"]), None);
        assert_eq!(find(&["/bin/sh"]), Some("/bin/sh".into()));
    }

    #[test]
    fn the_newest_whole_release_is_taken() {
        let root = tempfile::tempdir().expect("a temp folder");
        let pattern = format!("{}/*/bin/initdb", root.path().display());
        assert_eq!(find(&[&pattern]), None);
        for (release, program) in [("9", "initdb"), ("15", "initdb"), ("16", "psql")] {
            let folder = root.path().join(release).join("bin");
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(program), "").expect("a file");
        }
        assert_eq!(find(&[&pattern]), Some(root.path().join("15/bin/initdb")));
    }
}
