"""The doctor: examines everything that gitcoord depends on, and names a fix for each problem, or applies it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from gitcoord.node.diagnostics import fleet_checks, host_checks, local_checks, remote_checks
from gitcoord.node.diagnostics.finding import FAIL, OK, WARN, Check, DoctorContext, DoctorFinding, perform
from gitcoord.node.store_repair import rebuild_store
from gitcoord.store.git import repo_health, repo_location, spawn

__all__ = ["FAIL", "OK", "WARN", "DoctorFinding", "examine", "exit_code", "rebuild_store"]

PYTHON_MIN = (3, 11)
PYTHON_READS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")  # variables with paths of code that Python runs


def examine(path: Path, *, fix: bool = False, more: Mapping[str, Check] | None = None) -> Iterator[DoctorFinding]:
    """Yield every finding as it is made. Without `fix` nothing is changed, except for scratch refs on the remote that
    are removed again.

    `more` has checks of the layers above, by name; they need no fleet.
    """
    ctx = DoctorContext(path.resolve(), fix)
    anywhere = {*OUTSIDE, *(more or ())}
    for name, check in (CHECKS | dict(more or {})).items():
        if name in anywhere or ctx.config is not None or (name in remote_checks.ANYWHERE and ctx.url):
            yield from perform(name, check, ctx)


def exit_code(findings: list[DoctorFinding]) -> int:
    """Return 0 if nothing fails, 5 if credentials do, 1 otherwise."""
    failed = {finding.check for finding in findings if finding.state == FAIL}
    return 5 if "credentials" in failed else 1 if failed else 0


def _git(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    fix = f"install {spawn.shown_version(spawn.LEAST_GIT)} or later"
    if repo_health.git_path() is None:
        yield DoctorFinding("git", FAIL, "git is not installed, or not on PATH", fix)
        return
    version = spawn.git_version()
    if version < spawn.LEAST_GIT:
        yield DoctorFinding("git", FAIL, f"{spawn.shown_version(version)} is too old", fix)
    else:
        yield DoctorFinding("git", OK, spawn.shown_version(version))


def _python(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    shown = f"Python {sys.version.split()[0]}"
    good = sys.version_info >= PYTHON_MIN
    yield DoctorFinding("python", OK if good else FAIL, shown, "" if good else "use Python 3.11 or later")


def _environment(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Find variables by which every Python started here reads files of the checkout, which a branch may bring."""
    top = repo_location.work_tree(ctx.path)
    wrong = []
    for name in PYTHON_READS:
        places = os.environ.get(name, "").split(os.pathsep) if os.environ.get(name) else []
        wrong += [f"{name} names {place or 'the working folder'}" for place in places if _is_in_checkout(place, top)]
    if wrong:
        yield DoctorFinding(
            "environment",
            WARN,
            f"{'; '.join(wrong)}: each Python that is started here runs what a branch "
            "puts there, gitcoord too, unless it was started with -I",
            f"unset {' '.join(PYTHON_READS)}, or name "
            "absolute paths outside of the checkout; install what you need in an environment of its own",
        )
    else:
        yield DoctorFinding("environment", OK, "no variable makes Python read files of the checkout")


def _is_in_checkout(place: str, top: Path | None) -> bool:
    """Return whether a path of a variable is relative to the working folder, or in the checkout."""
    path = Path(place)
    return not path.is_absolute() or (top is not None and path.resolve().is_relative_to(top))


OUTSIDE: dict[str, Check] = {
    "git": _git,
    "python": _python,
    "environment": _environment,
    "fleet": DoctorContext.find_fleet,
}
CHECKS: dict[str, Check] = (
    OUTSIDE | local_checks.CHECKS | remote_checks.CHECKS | host_checks.CHECKS | fleet_checks.CHECKS
)
