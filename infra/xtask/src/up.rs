//! `cargo xtask up` and `cargo xtask down`: the engines, for as long as somebody works with them.
//!
//! Owns: the choice between Docker, where its engine runs, and the system's own programs, and what
//! is printed. [`state`] owns what is remembered between two commands, [`keeper`] the process that
//! holds the engines without Docker, [`docker`] the containers.

mod docker;
mod exports;
mod keeper;
mod state;

use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;

use state::State;

/// Starts the engines, unless they run, and prints where they are. What it starts outlives it.
pub(crate) fn up(args: &[String]) -> Result<ExitCode, String> {
    let state = State::open()?;
    if let [flag, folder] = args
        && flag == keeper::FLAG
    {
        return keeper::run(&state, Path::new(folder));
    }
    no_arguments("up", args)?;
    let already = if state.is_kept() {
        keeper::wait(&state)?
    } else if docker::is_there() {
        docker::up(&state)?
    } else {
        keeper::up(&state)?
    };
    let text = state.environment()?;
    print!("{text}");
    if already {
        eprintln!("xtask: these were running already");
        tell_of_silent(&text);
    }
    eprintln!("xtask: `cargo xtask down` stops them");
    Ok(ExitCode::SUCCESS)
}

/// Stops what [`up`] started and removes its data, whatever has become of it.
pub(crate) fn down(args: &[String]) -> Result<ExitCode, String> {
    no_arguments("down", args)?;
    let state = State::open()?;
    let kept = keeper::down(&state)?;
    let contained = docker::down(&state)?;
    state.forget()?;
    let what = if kept || contained { "the engines are gone" } else { "no engine was running" };
    eprintln!("xtask: {what}");
    Ok(ExitCode::SUCCESS)
}

fn no_arguments(command: &str, args: &[String]) -> Result<(), String> {
    match args.first() {
        None => Ok(()),
        Some(arg) => Err(format!("`cargo xtask {command}` takes no arguments, as {arg:?} is one")),
    }
}

/// One engine may have crashed while the others run on.
fn tell_of_silent(text: &str) {
    for (name, address) in exports::addresses(text) {
        if TcpStream::connect(address).is_err() {
            eprintln!("xtask: nothing answers at {name}: `cargo xtask down`, then `up`");
        }
    }
}
