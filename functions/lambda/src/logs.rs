//! Where logs go: to standard error, coloured for a person, JSON for a machine.
//!
//! Owns: the subscriber, and that an event is one line. Must never know: what is logged.

use std::{
    env,
    io::{self, IsTerminal, Write, stderr},
};

use a2a_core::wire::shown;

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Starts logging. `RUST_LOG` chooses what is logged, as `info` or `warn,a2a_core=debug`, or
/// `AWS_LAMBDA_LOG_LEVEL`, which is how Lambda's own setting arrives.
pub fn init() {
    // Not an `EnvFilter`: its regular expressions are a tenth of a function's size.
    let chosen =
        ["RUST_LOG", "AWS_LAMBDA_LOG_LEVEL"].into_iter().filter_map(|it| env::var(it).ok());
    let targets = chosen.filter(|text| !text.is_empty()).find_map(|text| text.parse().ok());
    // Without a choice, what a user wants to know.
    let targets = targets.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Lines(stderr()));
    let logs = tracing_subscriber::registry().with(targets);
    // A panic repeats what an agent was told.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a task panicked")));
    // A second call would be a mistake of the program's; the first one stands.
    let _ = if stderr().is_terminal() {
        logs.with(lines.compact().with_target(false)).try_init()
    } else {
        logs.with(lines.json().flatten_event(true)).try_init()
    };
}

/// Takes an event at a time. What came from outside steers no terminal and makes no line of its own;
/// the colours are the subscriber's, which escapes those of others.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        writeln!(self.0, "{}", shown::escaped(line, Some('\u{1b}')))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let mut written = Vec::new();
        Lines(&mut written).write_all("\u{1b}[2mINFO a\nb\u{9b}\u{202e}c\n".as_bytes()).unwrap();
        let expected = "\u{1b}[2mINFO a\\u000ab\\u009b\\u202ec\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
