"""A plugin of pytest's: which of the kit's failures are expected, and that something has to pass.

Loaded by `cargo xtask conformance`. What is expected is shown with its reason, as an XFAIL.
"""

import pytest

EXPECTED = {
    "http_json/test_http_status.py::TestHttpJsonStatusCodes::test_content_type_not_supported_returns_415": (
        "the kit checks specification 1.0.0; since 1.0.1 this error is a 400, which we answer"
    ),
}


def pytest_collection_modifyitems(items):
    for item in items:
        reason = EXPECTED.get(item.nodeid.removeprefix("tests/compatibility/"))
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason))


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not reporter.stats.get("passed"):
        session.exitstatus = session.exitstatus or pytest.ExitCode.NO_TESTS_COLLECTED
