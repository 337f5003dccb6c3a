//! What Redis runs itself, each in one atomic step.
//!
//! Owns: the scripts. Every one is bounded: it never does more than a page, or a few hundred
//! expired rows, at once, since nothing else runs on the server meanwhile. Must never know: over
//! which connection they are sent.
//!
//! They reach keys that are not given by name: the lists of a task, known by the server alone, and
//! the heads of a page. All of those have the tag of the keys that are given, so they are in the
//! same slot.

use redis::{Cmd, Script, cmd};

/// `#!lua`: Redis 7 begins such a script only where all its writes would be allowed, so that it
/// does not end half-way when memory is full.
macro_rules! script {
    ($head:literal, $($file:literal),+) => {
        Code::new(concat!($head, "\n", $(include_str!($file)),+))
    };
}

#[derive(Debug)]
pub(super) struct Code {
    source: &'static str,
    hash: String,
}

impl Code {
    fn new(source: &'static str) -> Self {
        Self { source, hash: Script::new(source).get_hash().to_owned() }
    }

    /// By its source, or by its hash for a server that has it already.
    pub(super) fn call(&self, by_hash: bool, keys: &[String], arguments: &[Vec<u8>]) -> Cmd {
        let (name, code) = if by_hash { ("EVALSHA", &*self.hash) } else { ("EVAL", self.source) };
        let mut call = cmd(name);
        call.arg(code).arg(keys.len()).arg(keys).arg(arguments);
        call
    }
}

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) append: Code,
    pub(super) list: Code,
    pub(super) read: Code,
    pub(super) forget: Code,
    pub(super) allowed: Code,
}

impl Scripts {
    pub(super) fn new() -> Self {
        // The tenant's tag and its expiring rows are named for what follows.
        Self {
            append: script!(
                "#!lua\nlocal tag, expiring = ARGV[1], KEYS[3]",
                "rows.lua",
                "append.lua"
            ),
            list: script!("#!lua\nlocal tag, expiring = ARGV[1], KEYS[2]", "rows.lua", "list.lua"),
            read: script!("#!lua flags=no-writes", "read.lua"),
            forget: script!("#!lua", "forget.lua"),
            allowed: script!("#!lua flags=no-writes", "allowed.lua"),
        }
    }
}
