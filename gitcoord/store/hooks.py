"""The user's hooks: what a commit is about to change, and the folder in which git looks for hooks."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gitcoord.core.errors import Refused
from gitcoord.store import program

NAME = "pre-commit"
GIT_S = 30.0  # a first look at a large index on a slow disk


def staged_paths(folder: Path) -> list[str]:
    """Return the paths that the commit in progress in `folder`'s work tree changes, relative to its top.

    A rename gives both paths. A merge gives only paths that differ from both sides. Raise Refused if git fails.
    """
    diff = ("diff", "--cached", "--name-only", "--no-renames", "-z")
    paths = _git(folder, *diff)
    if _run(folder, "rev-parse", "-q", "--verify", "MERGE_HEAD").returncode == 0:
        theirs = set(_git(folder, *diff, "MERGE_HEAD").split("\0"))
        return [path for path in paths.split("\0") if path and path in theirs]
    return [path for path in paths.split("\0") if path]


@dataclass(frozen=True, slots=True)
class HooksFolder:
    """The folder in which git looks for the clone's hooks."""

    top: Path  # of the work tree
    folder: Path
    shared: bool  # with other clones, by the configuration of the user or the machine
    own: bool  # in the clone's git directory

    @property
    def file(self) -> Path:
        return self.folder / NAME


def hooks_folder(folder: Path) -> HooksFolder:
    """Return the hooks' folder of the clone around `folder`. Raise Refused outside of any work tree."""
    top = Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
    named = Path(os.path.abspath(top / _git(top, "rev-parse", "--git-path", "hooks").rstrip("\n")))
    hooks = named.resolve()
    if named.is_relative_to(top) and not hooks.is_relative_to(top.resolve()) and ".git" not in named.parts:
        raise Refused(f"core.hooksPath is {named}, a link of this checkout that leads out of it, to {hooks}: remove it")
    common = (top / _git(top, "rev-parse", "--git-common-dir").rstrip("\n")).resolve()
    configured = _git(top, "config", "--show-scope", "--default", "", "--get", "core.hooksPath").split("\t")[0]
    return HooksFolder(top, hooks, configured in ("global", "system", "command"), hooks.is_relative_to(common))


def _git(folder: Path, *args: str) -> str:
    """Return git's output. The environment is passed on: there git tells its hooks from which index it commits."""
    done = _run(folder, *args)
    if done.returncode:
        raise Refused(f"git {args[0]}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "replace")


def _run(folder: Path, *args: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *program.IN_CHECKOUT, *args],
            executable=program.git(),
            cwd=folder,
            capture_output=True,
            timeout=GIT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise Refused(f"git could not be run: {wrong}") from None
