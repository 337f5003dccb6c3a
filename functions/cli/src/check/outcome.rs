//! What a check comes to.
//!
//! Owns: the three outcomes. Must never know: what is checked.

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Pass,
    /// And what was seen instead.
    Fail(String),
    /// And why it could not be.
    NotSeen(String),
}

/// What a check answers; the error is what was seen in place of what must be.
pub(super) type Checked = Result<Outcome, String>;

/// Passes, if all of it held.
pub(super) async fn held(all: impl Future<Output = Result<(), String>>) -> Checked {
    all.await.map(|()| Outcome::Pass)
}

/// That it is so.
pub(super) fn must(holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(seen()) }
}
