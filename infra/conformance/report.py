"""Prints a JUnit report, a line per test: its outcome, its name and the reason, with tabs between.

Run by `cargo xtask conformance`, which has no XML reader of its own.
"""

import sys
import xml.etree.ElementTree


def outcome(case):
    for result in case:
        words = " ".join(result.get("message", "").split())
        if result.tag in ("failure", "error"):
            return "failed", words
        if result.tag == "skipped":
            # What the kit recommends and the agent does not do is an expected failure to it.
            missed = result.get("type") == "pytest.xfail"
            return ("missed" if missed else "skipped"), words
    return "passed", ""


for case in xml.etree.ElementTree.parse(sys.argv[1]).iter("testcase"):
    kind, reason = outcome(case)
    module = case.get("classname", "").removeprefix("tests.compatibility.")
    print(kind, f"{module}.{case.get('name')}", reason, sep="\t")
