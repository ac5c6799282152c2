"""The end of a branch, as a clone knows it: deleted, or merged into what the others begin at."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gitcoord.store import program
from gitcoord.store.git import repo_location

GIT_S = 30.0
BASES = ("refs/remotes/origin/HEAD", "refs/heads/main", "refs/heads/master")
FIRST_PARENTS_MAX = 10_000  # commits of a base that are looked at: older branches count as merged


def why(common: Path, name: str) -> str:
    """Return why the branch is over; "" if it goes on, or that cannot be told.

    A branch without a commit of its own is in every base and goes on. So one whose commits were only fast-forwarded to
    is over when it is deleted.
    """
    if not repo_location.has_branch(common, name):
        return f"the branch {name} was deleted"
    tip = _git(common, "rev-parse", "--verify", "--quiet", f"refs/heads/{name}")
    tip = tip or _git(common, "rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{name}")
    for base in BASES if tip else ():
        if base == f"refs/heads/{name}" or _git(common, "merge-base", tip, base) != tip:
            continue
        if tip not in _git(common, "rev-list", "--first-parent", f"--max-count={FIRST_PARENTS_MAX}", base).split("\n"):
            return f"the branch {name} was merged into {base.split('/', 2)[2]}"
    return ""


def _git(common: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *program.IN_CHECKOUT, "--git-dir", str(common), *words],
            executable=program.git(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
