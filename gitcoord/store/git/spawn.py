"""Spawning git: with an environment of its own, within bounds, and in a group that can be killed as a whole."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence

from gitcoord.core.errors import GitcoordError
from gitcoord.store import program
from gitcoord.store.git.process import Bounds, GitResult, finish

LEAST_GIT = (2, 38)  # the first with `merge-tree --write-tree`; README and scripts/env.sh say so too
LOCAL_S = 30.0  # git without a network; only a hung disk takes longer


def spawn(
    args: Sequence[str],
    environment: Mapping[str, str],
    timeout_s: float,
    meanwhile: Callable[[], None] = lambda: None,
    bounds: Bounds | None = None,
) -> GitResult:
    """Run git with `args` and these additional variables, and return its result. `meanwhile` is called beside it.

    After `timeout_s` it is killed. Raise GitcoordError if git is not installed.
    """
    command = [program.git(), *args]
    command = bounds.applied(command) if bounds is not None else command
    whole = {**os.environ, "PATH": program.search_path(os.environ), "LANGUAGE": "C", "LC_ALL": "C", **environment}
    try:
        with subprocess.Popen(
            command,
            env=whole,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            return finish(child, timeout_s, meanwhile)
    except FileNotFoundError as error:
        least = shown_version(LEAST_GIT)
        raise GitcoordError(f"git is not installed, or not on PATH: install {least} or later") from error


def git_version() -> tuple[int, ...]:
    """Return the version of git, such as (2, 39, 5)."""
    found = re.search(r"(\d+(?:\.\d+)*)", spawn(["version"], {}, LOCAL_S).stdout)
    return tuple(map(int, found[1].split("."))) if found else (0,)


def shown_version(version: Sequence[int]) -> str:
    """Return a version as text, such as `git 2.39.5`."""
    return f"git {'.'.join(map(str, version))}"
