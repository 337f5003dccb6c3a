//! The process that holds the engines where there is no Docker: this program once more, in the
//! background.
//!
//! Owns: its start, its wait and its end. Every engine ends with it, however it ends
//! ([`guard`](crate::guard)). It is told to by a file, so that nobody has to know its process id.

use std::env;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::exports;
use super::state::{DATA_PREFIX, State};
use crate::engines::Engines;
use crate::scratch::Scratch;

/// Makes `cargo xtask up` the keeper; the temp folder for the data follows.
pub(super) const FLAG: &str = "--keep";

/// How often a file is looked for.
const PAUSE: Duration = Duration::from_millis(50);

/// PostgreSQL has 10 seconds to end.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Starts a keeper and waits until its engines are up. Answers whether they were up already, as
/// they are when another start was faster.
pub(super) fn up(state: &State) -> Result<bool, String> {
    // All that the engines write goes there, so one name is all that must be remembered.
    let data = Scratch::create(DATA_PREFIX)?;
    // PostgreSQL may run as another user, who has to come through.
    fs::set_permissions(data.path(), Permissions::from_mode(0o711))
        .map_err(|error| format!("cannot open {} to others: {error}", data.path().display()))?;
    let mut keeper = spawn(state, data.path())?;
    let mut told = Told::default();
    let ended = loop {
        told.more(&state.log());
        if state.is_up_in(data.path()) {
            data.keep();
            return Ok(false);
        }
        match keeper.try_wait() {
            Ok(None) => thread::sleep(PAUSE),
            ended => break ended,
        }
    };
    told.more(&state.log());
    if state.is_kept() {
        return wait(state);
    }
    match ended {
        Ok(Some(status)) => Err(format!("the engines did not start: {status}")),
        _ => Err("the engines did not start".to_owned()),
    }
}

/// Waits for the engines of a keeper that lives already.
pub(super) fn wait(state: &State) -> Result<bool, String> {
    while !state.is_up() {
        if !state.is_kept() {
            return Err("the engines did not start for another `cargo xtask up`".to_owned());
        }
        thread::sleep(PAUSE);
    }
    Ok(true)
}

/// Starts it apart from our terminal: no Ctrl-C and no hang-up reaches it, and nobody waits for it
/// to close our output.
fn spawn(state: &State, data: &Path) -> Result<Child, String> {
    let failed = |error: std::io::Error| format!("cannot start the engines' keeper: {error}");
    let log = File::create(state.log()).map_err(failed)?;
    let program = env::current_exe().map_err(failed)?;
    let mut keeper = Command::new("nohup");
    keeper.arg(program).args(["up", FLAG]).arg(data).env("TMPDIR", data).process_group(0);
    keeper.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
    keeper.spawn().map_err(failed)
}

/// What the keeper does: starts the engines, says where they are, and holds them until it is asked
/// to stop.
pub(super) fn run(state: &State, data: &Path) -> Result<ExitCode, String> {
    keep(state, data, || {
        let engines = Engines::start()?;
        let text = exports::text(&engines.variables());
        Ok((engines, text))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn keep<T>(
    state: &State,
    data: &Path,
    start: impl FnOnce() -> Result<(T, String), String>,
) -> Result<(), String> {
    let Some(lock) = state.keep()? else { return Ok(()) };
    state.forget()?;
    let data = Scratch::adopt(data);
    state.set_data(data.path())?;
    let (engines, text) = start()?;
    state.set_environment(&text)?;
    while !state.is_asked_to_stop() {
        thread::sleep(PAUSE);
    }
    drop(engines);
    drop(data);
    state.forget()?;
    drop(lock);
    Ok(())
}

/// Asks the keeper to end and waits until it has. Answers whether there was one.
pub(super) fn down(state: &State) -> Result<bool, String> {
    if !state.is_kept() {
        return Ok(false);
    }
    let began = Instant::now();
    // Said again and again: one that is just starting may take the first word for an old one.
    while state.is_kept() {
        if began.elapsed() > STOP_LIMIT {
            let limit = STOP_LIMIT.as_secs();
            let why = if state.is_up() { "" } else { ": they are starting, and will stop then" };
            return Err(format!("the engines did not stop within {limit} s{why}"));
        }
        state.ask_to_stop()?;
        thread::sleep(PAUSE);
    }
    Ok(true)
}

/// How much of the keeper's words has been passed on.
#[derive(Default)]
struct Told(usize);

impl Told {
    fn more(&mut self, log: &Path) {
        // They are for the eye only: what cannot be read now will be read with the next.
        let words = fs::read_to_string(log).unwrap_or_default();
        eprint!("{}", words.get(self.0..).unwrap_or_default());
        self.0 = words.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// A keeper of a listening socket, once it is up.
    fn kept(state: &State, data: &Path) -> (JoinHandle<Result<(), String>>, u16) {
        let (folder, path) = (state.folder().to_owned(), data.to_owned());
        let keeper = thread::spawn(move || {
            let state = State::at(folder)?;
            keep(&state, &path, || {
                let socket = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
                let port = socket.local_addr().map_err(|e| e.to_string())?.port();
                Ok((socket, port.to_string()))
            })
        });
        assert_eq!(wait_for(state), Ok(true));
        let port = state.environment().expect("it is up").parse().expect("a port");
        (keeper, port)
    }

    fn wait_for(state: &State) -> Result<bool, String> {
        while !state.is_kept() {
            thread::sleep(PAUSE);
        }
        wait(state)
    }

    #[test]
    fn it_holds_them_until_it_is_asked() {
        let scratch = Scratch::create("xtask-keeper").expect("a temp folder");
        let state = State::at(scratch.path().join("up")).expect("a folder");
        assert_eq!(down(&state), Ok(false));
        // As one that lost its power would have left it.
        state.set_environment("1").expect("written");
        state.ask_to_stop().expect("written");
        let data = scratch.path().join("a2a-up-1-1");
        fs::create_dir(&data).expect("a folder");
        let (keeper, port) = kept(&state, &data);
        assert!(state.is_up_in(&data));
        assert!(TcpListener::bind(("127.0.0.1", port)).is_err());
        assert_eq!(down(&state), Ok(true));
        assert_eq!(keeper.join().expect("no panic"), Ok(()));
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
        assert!(!data.exists() && !state.is_kept() && !state.is_up());
    }

    #[test]
    fn a_second_keeper_gives_way() {
        let scratch = Scratch::create("xtask-keeper").expect("a temp folder");
        let state = State::at(scratch.path().join("up")).expect("a folder");
        let [one, two] = ["a2a-up-1-1", "a2a-up-1-2"].map(|name| scratch.path().join(name));
        fs::create_dir(&one).expect("a folder");
        let (keeper, _) = kept(&state, &one);
        assert_eq!(keep(&state, &two, || Ok(((), "other".to_owned()))), Ok(()));
        assert!(state.is_up_in(&one) && !state.is_up_in(&two));
        assert_eq!(down(&state), Ok(true));
        assert_eq!(keeper.join().expect("no panic"), Ok(()));
    }

    #[test]
    fn what_does_not_start_leaves_nothing() {
        let scratch = Scratch::create("xtask-keeper").expect("a temp folder");
        let state = State::at(scratch.path().join("up")).expect("a folder");
        let data = scratch.path().join("a2a-up-1-1");
        fs::create_dir(&data).expect("a folder");
        let failed = keep::<()>(&state, &data, || Err("no Redis".to_owned()));
        assert_eq!(failed, Err("no Redis".to_owned()));
        assert!(!data.exists() && !state.is_kept() && !state.is_up());
    }
}
