"""Maintenance of the private store: the objects of many fetches and writes are packed, unreferenced ones are removed.

If the process that started `git repack` or `git prune` is killed, that git runs on, and would remove newly fetched
objects that no ref names yet. So a mark exists while they run, and the next process waits for their end.
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
PACKS_MAX = 50  # git's own limit: it searches each pack for an object
MARK = "tidying"
POLL_S = 0.02
UNFINISHED_S_MAX = 86_400.0  # `timeout_s` ends a fetch long before


def is_due(store: Path, patience: int) -> bool:
    """Return whether there are `patience` times as many objects or packs as permitted, and no git writes there."""
    loose, packs = git_refs.clutter(store)
    return (loose >= LOOSE_MAX * patience or packs >= PACKS_MAX * patience) and not works_on(store)


def tidy(store: Path, run: Callable[..., GitResult]) -> bool:
    """Pack the store, while no other process writes there. Return whether git succeeded."""
    mark = store / MARK
    sharing.touch(mark)
    packed = run("repack", "-a", "-d", "-q").status == 0  # git syncs the pack BEFORE it removes what that replaces
    done = packed and run("prune", "--expire=now").status == 0
    mark.unlink(missing_ok=True)
    return done


def remove_unfinished(store: Path) -> int:
    """Remove the unfinished packs that a killed git left. Return how many were removed.

    A pack that is being written is kept: the files are listed BEFORE the check whether a git is running. Another user's
    git cannot be seen, so another user's file is removed only if it is older than any fetch can be.
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
    return os.getuid() if os.name != "nt" else 0  # what `stat` has there as well


def wait_for_other(store: Path, timeout_s: float) -> None:
    """Wait for the end of a git that packs the store for a killed process. Raise Paused if it takes `timeout_s`."""
    mark = store / MARK
    if not mark.exists():
        return
    deadline = time.monotonic() + timeout_s
    while works_on(store):
        if time.monotonic() >= deadline:
            raise Paused(f"git still packs {store} for a process that was killed; the round is retried")
        time.sleep(POLL_S)
    mark.unlink(missing_ok=True)
