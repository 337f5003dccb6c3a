//! PostgreSQL, the system's own, with a cluster made for the run.
//!
//! Owns: where its programs are, and which user they run as: they refuse to be root, so for root
//! they are nobody, who must be able to reach the data.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::probe;
use super::program::{Kind, Running};
use crate::installed;

/// With QUIT it ends its own processes at once; killed outright, it would leave them to find out,
/// and a piece of shared memory for good.
const KIND: Kind =
    Kind { name: "PostgreSQL", folder: "a2a-postgres", signal: "QUIT", ready: probe::postgres };

/// Both are needed, from one release.
const PROGRAMS: [&str; 2] = ["initdb", "postgres"];

/// Where Debian keeps releases side by side, none of them on the PATH.
const RELEASES: &str = "/usr/lib/postgresql";

/// Makes the cluster and becomes its server. The working folder may be closed to nobody.
const SCRIPT: &str = r#"
cd / || exit
bin=$1 data=$2; shift 2
"$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --no-locale --no-sync >/dev/null || exit
exec "$bin/postgres" -D "$data" "$@"
"#;

/// Nothing has to outlive a crash of the machine, and the tests open many pools.
const SETTINGS: [&str; 5] = [
    "fsync=off",
    "full_page_writes=off",
    "max_connections=300",
    "synchronous_commit=off",
    "unix_socket_directories=",
];

/// Starts it with the superuser `postgres`, whom it asks for no password.
pub(super) fn start() -> Result<Running, String> {
    let folders = installed::folders().into_iter().chain(releases(Path::new(RELEASES)));
    let programs = find(folders).ok_or_else(|| {
        format!(
            "PostgreSQL needs `initdb` and `postgres`, which are neither on the PATH nor in \
             {RELEASES}: apt-get install postgresql"
        )
    })?;
    Running::start(&KIND, |folder, port| {
        let data = folder.join("data");
        let mut command = user(folder, &data)?;
        command.extend(["sh", "-c", SCRIPT, "postgres"].map(str::to_owned));
        command.extend([&programs, &data].map(|path| path.display().to_string()));
        command.extend(["-h", "127.0.0.1", "-p"].map(str::to_owned));
        command.push(port.to_string());
        command.extend(SETTINGS.iter().flat_map(|setting| ["-c", setting]).map(str::to_owned));
        Ok(command)
    })
}

/// The first folder that has both programs.
fn find(mut folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.find(|folder| installed::has_all(folder, &PROGRAMS))
}

/// Debian's folders of programs, the newest release first.
fn releases(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let number = |name: &str| name.parse::<u32>().ok();
    let mut releases: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path().join("bin"))))
        .collect();
    releases.sort_unstable_by(|one, other| other.cmp(one));
    releases.into_iter().map(|(_, folder)| folder).collect()
}

/// Makes the data folder and answers what a command line begins with to run as its owner: nothing,
/// unless we are root.
fn user(folder: &Path, data: &Path) -> Result<Vec<String>, String> {
    let io = |error| format!("cannot make PostgreSQL's folder {}: {error}", data.display());
    fs::create_dir(data).map_err(io)?;
    if fs::metadata(data).map_err(io)?.uid() != 0 {
        return Ok(Vec::new());
    }
    let (user, group) = (id("-u")?, id("-g")?);
    chown(data, Some(user), Some(group)).map_err(io)?;
    // It may go through, and sees nothing on its way.
    fs::set_permissions(folder, Permissions::from_mode(0o711)).map_err(io)?;
    let ids = [format!("--reuid={user}"), format!("--regid={group}")];
    let command = ["setpriv".to_owned()].into_iter().chain(ids);
    let command: Vec<String> = command.chain(["--clear-groups".to_owned()]).collect();
    let mut reach = Command::new(&command[0]);
    reach.args(&command[1..]).args(["test", "-w"]).arg(data).stderr(Stdio::null());
    match reach.status() {
        Ok(status) if status.success() => Ok(command),
        Ok(_) => Err(format!(
            "PostgreSQL does not run as root, and nobody cannot reach {}: set TMPDIR to a folder \
             that every user may enter",
            folder.display()
        )),
        Err(error) => Err(format!(
            "PostgreSQL does not run as root, and `setpriv` (apt-get install util-linux) does not \
             start: {error}"
        )),
    }
}

/// A number of the user nobody, whose group has another name on each system.
fn id(which: &str) -> Result<u32, String> {
    let output = Command::new("id").args([which, "nobody"]).output();
    let output = output.map_err(|error| format!("cannot start id: {error}"))?;
    let number = String::from_utf8_lossy(&output.stdout).trim().parse();
    number.map_err(|_| "PostgreSQL does not run as root, and there is no user nobody".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::program::tests::comes_and_goes;
    use crate::scratch::Scratch;

    #[test]
    fn postgres_comes_and_goes() {
        comes_and_goes(start, &KIND);
    }

    #[test]
    fn the_newest_whole_release_is_taken() {
        let scratch = Scratch::create("xtask-postgres").expect("a temp folder");
        let root = scratch.path();
        assert_eq!(find(releases(root).into_iter()), None);
        for (release, programs) in [("9", &PROGRAMS[..]), ("15", &PROGRAMS), ("16", &["initdb"])] {
            let folder = root.join(release).join("bin");
            fs::create_dir_all(&folder).expect("a folder");
            for program in programs {
                fs::write(folder.join(program), "").expect("a file");
            }
        }
        fs::create_dir(root.join("common")).expect("a folder");
        assert_eq!(releases(root).len(), 3);
        assert_eq!(find(releases(root).into_iter()), Some(root.join("15").join("bin")));
    }
}
