"""The doctor: looks at everything that gitcoord stands on, names a cure for each trouble, and mends when asked to."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from gitcoord.node import doctor_home, doctor_remote
from gitcoord.node.findings import FAIL, OK, WARN, Check, Finding, Patient, performed
from gitcoord.node.mending import rebuild_store
from gitcoord.store import git, git_checkup

__all__ = ["FAIL", "OK", "WARN", "Finding", "examine", "exit_code", "rebuild_store"]

PYTHON_MIN = (3, 11)


def examine(path: Path, *, fix: bool = False, more: Mapping[str, Check] | None = None) -> Iterator[Finding]:
    """Every finding as it is made. Without `fix` nothing is changed; the remote sees scratch refs that go again.

    `more`: checks of the layers above, which need no fleet.
    """
    patient = Patient(path.resolve(), fix)
    anywhere = {*OUTSIDE, *(more or ())}
    for name, check in (CHECKS | dict(more or {})).items():
        if name in anywhere or patient.config is not None or (name in doctor_remote.ANYWHERE and patient.url):
            yield from performed(name, check, patient)


def exit_code(findings: list[Finding]) -> int:
    """0 when nothing fails, 5 when credentials do, 1 otherwise."""
    failed = {finding.check for finding in findings if finding.state == FAIL}
    return 5 if "credentials" in failed else 1 if failed else 0


def _git(patient: Patient) -> Iterator[Finding]:
    cure = f"install {git.shown_version(git.LEAST_GIT)} or later"
    if git_checkup.git_path() is None:
        yield Finding("git", FAIL, "git is not installed, or not on PATH", cure)
        return
    version = git.git_version()
    if version < git.LEAST_GIT:
        yield Finding("git", FAIL, f"{git.shown_version(version)} is too old", cure)
    else:
        yield Finding("git", OK, git.shown_version(version))


def _python(patient: Patient) -> Iterator[Finding]:
    shown = f"Python {sys.version.split()[0]}"
    good = sys.version_info >= PYTHON_MIN
    yield Finding("python", OK if good else FAIL, shown, "" if good else "use Python 3.11 or later")


OUTSIDE: dict[str, Check] = {"git": _git, "python": _python, "fleet": Patient.look_around}
CHECKS: dict[str, Check] = OUTSIDE | doctor_home.CHECKS | doctor_remote.CHECKS
