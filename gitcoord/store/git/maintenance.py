"""Maintenance of the private store: what many fetches and writes left lying is packed, and unreferenced objects go.

A git that tidies goes on when the process that started it is killed, and takes newly fetched objects for rubbish: no
ref names them yet. A mark stands from before the first git until after the last, so that the next process can wait.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from gitcoord.core.errors import Paused
from gitcoord.store.git import refs as git_refs
from gitcoord.store.git.process import GitResult, works_on
from gitcoord.store.home import sharing

LOOSE_MAX = 4000  # objects; git's own limit is 6,700
PACKS_MAX = 50  # as git's own: each is looked into for what is not in the others
MARK = "tidying"
POLL_S = 0.02
UNFINISHED_S_MAX = 86_400.0  # no fetch takes a day: `timeout_s` ends it long before


def is_due(store: Path, patience: int) -> bool:
    """Return whether packing pays, and no other git is at it. `patience`: wait for so many times as much."""
    loose, packs = git_refs.clutter(store)
    return (loose >= LOOSE_MAX * patience or packs >= PACKS_MAX * patience) and not works_on(store)


def tidy(store: Path, run: Callable[..., GitResult]) -> bool:
    """Pack the store, while nobody else writes there. Return whether it was done."""
    mark = store / MARK
    sharing.touch(mark)
    packed = run("repack", "-a", "-d", "-q").status == 0  # synced BEFORE what it replaces goes
    done = packed and run("prune", "--expire=now").status == 0
    mark.unlink(missing_ok=True)
    return done


def remove_unfinished(store: Path) -> int:
    """Remove the packs that fetches began and did not finish: git leaves them when it is killed. Return how many.

    A pack that is being written stays: files are listed BEFORE the check whether a git is at work. Another user's git
    cannot be seen, so files of others go only when no fetch can have lasted that long.
    """
    unfinished = list((store / "objects" / "pack").glob("tmp_*"))
    if not unfinished or works_on(store):
        return 0
    removed = 0
    for path in unfinished:
        with contextlib.suppress(OSError):
            stat = path.stat()
            if stat.st_uid == _user() or time.time() - stat.st_mtime > UNFINISHED_S_MAX:
                path.unlink()
                removed += 1
    return removed


def _user() -> int:
    return os.getuid() if os.name != "nt" else 0  # where `stat` tells no user either


def outlast(store: Path, timeout_s: float) -> None:
    """Wait for the end of a tidying whose process was killed. Raise Paused if that takes too long."""
    mark = store / MARK
    if not mark.exists():
        return
    deadline = time.monotonic() + timeout_s
    while works_on(store):
        if time.monotonic() >= deadline:
            raise Paused(f"git still tidies {store} up for a process that was killed; it is tried again")
        time.sleep(POLL_S)
    mark.unlink(missing_ok=True)
