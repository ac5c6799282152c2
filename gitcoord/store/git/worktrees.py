"""Work trees of the user's repository, made for a task and removed: the only writes to it, on request."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gitcoord.core.errors import GitcoordError
from gitcoord.store import program

GIT_S = 120.0  # a checkout of a large repository
OPTIONS = (*program.IN_CHECKOUT, *program.WITHOUT_HOOKS)


def tip(top: Path, name: str) -> str:
    """Return the commit that a branch, or HEAD, is at; "" if there is none."""
    found = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False)
    return found.strip()


def add(top: Path, folder: Path, branch: str, base: str) -> None:
    """Make a work tree in `folder` on the new `branch` at `base`. Raise GitcoordError with git's reason."""
    _git(top, "worktree", "add", "--quiet", "-b", branch, str(folder), base)


def is_dirty(folder: Path) -> bool:
    """Return whether something in the work tree is not committed."""
    return bool(_git(folder, "status", "--porcelain", check=False).strip())


def remove(top: Path, folder: Path) -> None:
    _git(top, "worktree", "remove", "--force", str(folder), check=False)


def delete_branch(top: Path, branch: str) -> None:
    """Delete the branch; for one without commits of its own."""
    _git(top, "branch", "--quiet", "-D", "--", branch, check=False)


def _git(folder: Path, *words: str, check: bool = True) -> str:
    try:
        done = subprocess.run(
            ["git", *OPTIONS, "-C", str(folder), *words],
            executable=program.git(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise GitcoordError(f"git {words[0]}: {wrong}") from None
    if done.returncode and check:
        raise GitcoordError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout if not done.returncode else ""
