//! What is told of a run of the kit.
//!
//! Owns: counts, reasons, and which failures were expected. Must never know: how the kit was run.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;

use crate::tools;

/// A JUnit report as lines; Python brings the XML reader that we do not have.
const SCRIPT: &str = include_str!("../../../conformance/report.py");

/// A failure that is no fault.
pub(super) struct Expected {
    /// The test, as JUnit names it without the kit's folder.
    pub(super) test: &'static str,
    /// Why it fails.
    pub(super) reason: &'static str,
}

/// The outcomes in a JUnit file: a line per test, with tabs between outcome, test and reason.
pub(super) fn outcomes(junit: &OsStr) -> Result<String, String> {
    tools::script(SCRIPT, junit)
}

/// The outcomes, sorted.
#[derive(Debug, Default)]
pub(super) struct Report<'a> {
    passed: usize,
    /// Tests and why they failed.
    failed: Vec<(&'a str, &'a str)>,
    /// Tests of what the kit only recommends, which it never counts as failed.
    missed: Vec<(&'a str, &'a str)>,
    /// How often each reason was given.
    skipped: BTreeMap<&'a str, usize>,
}

impl<'a> Report<'a> {
    pub(super) fn read(outcomes: &'a str) -> Self {
        let mut report = Self::default();
        for line in outcomes.lines() {
            let mut fields = line.splitn(3, '\t').map(str::trim);
            let mut field = || fields.next().unwrap_or_default();
            match (field(), field(), field()) {
                ("passed", ..) => report.passed += 1,
                ("failed", test, reason) => report.failed.push((test, reason)),
                ("missed", test, reason) => report.missed.push((test, reason)),
                (_, _, reason) => *report.skipped.entry(reason).or_default() += 1,
            }
        }
        report
    }

    /// Whether tests passed, and nothing failed but what was expected to.
    pub(super) fn is_good(&self, expected: &[Expected]) -> bool {
        let known = |test: &str| expected.iter().any(|it| it.test == test);
        self.passed > 0 && self.failed.iter().all(|(test, _)| known(test))
    }

    /// For people.
    pub(super) fn text(&self, target: &str, expected: &[Expected]) -> String {
        let mut text = String::new();
        let skipped: usize = self.skipped.values().sum();
        let (passed, failed, missed) = (self.passed, self.failed.len(), self.missed.len());
        let mut line = |line: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{line}");
        };
        line(format!("\nThe kit against {target}:"));
        line(format!("  {passed} passed, {failed} failed, {} skipped", skipped + missed));
        for (test, reason) in &self.failed {
            let known = expected.iter().find(|it| it.test == *test);
            let kind = if known.is_some() { "expected" } else { "FAILED" };
            line(format!("  {kind}: {test}\n    {reason}"));
            if let Some(known) = known {
                line(format!("    {}", known.reason));
            }
        }
        for (test, reason) in &self.missed {
            line(format!("  recommended, not done: {test}\n    {reason}"));
        }
        for (reason, count) in &self.skipped {
            line(format!("  skipped {count:3}: {reason}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const XML: &str = r#"<?xml version="1.0"?><testsuites><testsuite tests="6">
        <testcase classname="tests.compatibility.a.T" name="one"/>
        <testcase classname="tests.compatibility.a.T" name="two[x]">
          <failure message="no &quot;y&quot;&#10;but z">trace</failure></testcase>
        <testcase classname="tests.compatibility.b" name="three"><error message="boom"/></testcase>
        <testcase classname="tests.compatibility.b" name="four">
          <skipped type="pytest.skip" message="no gRPC"/></testcase>
        <testcase classname="tests.compatibility.b" name="five">
          <skipped type="pytest.skip" message="no gRPC"/></testcase>
        <testcase classname="tests.compatibility.b" name="six">
          <skipped type="pytest.xfail" message="no header"/></testcase>
        </testsuite></testsuites>"#;

    const EXPECTED: &[Expected] = &[Expected { test: "a.T.two[x]", reason: "z is newer" }];

    #[test]
    fn a_junit_file_becomes_counts_and_reasons() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let junit = folder.path().join("junit.xml");
        fs::write(&junit, XML).expect("a file");
        let outcomes = outcomes(junit.as_os_str()).expect("read");
        let report = Report::read(&outcomes);
        let expected = "\nThe kit against us:\n  1 passed, 2 failed, 3 skipped\n  \
             expected: a.T.two[x]\n    no \"y\" but z\n    z is newer\n  \
             FAILED: b.three\n    boom\n  \
             recommended, not done: b.six\n    no header\n  \
             skipped   2: no gRPC\n";
        assert_eq!(report.text("us", EXPECTED), expected);
    }

    #[test]
    fn only_what_is_expected_may_fail_and_something_must_pass() {
        let good = |outcomes| Report::read(outcomes).is_good(EXPECTED);
        assert!(good("passed\ta.T.one\t\nfailed\ta.T.two[x]\tno\n"));
        assert!(!good("passed\ta.T.one\t\nfailed\ta.T.two\tno\n"));
        assert!(!good("skipped\ta.T.one\tno server\n") && !good(""));
    }
}
