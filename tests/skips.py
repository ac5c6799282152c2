"""A skipped test proves nothing: in CI it fails the run unless tests/skips.txt says why it may be skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

SKIPS = Path(__file__).with_name("skips.txt")


class SkipJudge:
    """A pytest plugin. With xdist it sits in the controller, which sees the reports of all workers."""

    def __init__(self, skips: Path = SKIPS) -> None:
        self.allowed = allowed(skips.read_text(encoding="utf-8"))
        self.offending: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.judge(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.judge(report)

    def judge(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.nodeid.startswith(self.allowed):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.offending[report.nodeid] = reason

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.offending and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.offending:
            terminalreporter.section("skipped, and not allowed in tests/skips.txt", red=True)
            for nodeid, reason in sorted(self.offending.items()):
                terminalreporter.line(f"{nodeid}  # {reason}", red=True)


def allowed(text: str) -> tuple[str, ...]:
    """The prefixes of the lines `nodeid-prefix  # reason`; a line without a reason allows nothing."""
    lines = (line.partition("  #") for line in text.splitlines() if not line.startswith("#"))
    return tuple(prefix.strip() for prefix, _, reason in lines if prefix.strip() and reason.strip())
