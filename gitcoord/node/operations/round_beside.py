"""A round in a process of its own, for a caller that waits only a little: the hooks of git and of AI clients."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

from gitcoord.core.errors import GitcoordError
from gitcoord.store import program
from gitcoord.store.home import locks
from gitcoord.store.home.home import Home

POLL_S = 0.02


def start(home: Home, folder: Path, *, wait_s: float) -> bool:
    """Start a round and wait until it ended, for `wait_s` at most; it goes on beside the caller.

    If another process of this node does a round now, wait for that one instead. Without waiting, one is always
    started, because the caller has something to send. Return whether one was started. Raise GitcoordError.
    """
    until_s = time.monotonic() + wait_s
    if wait_s and locks.is_held(home.path / "lock"):
        while locks.is_held(home.path / "lock") and time.monotonic() < until_s:
            time.sleep(POLL_S)
        return False
    try:
        process = subprocess.Popen(
            program.gitcoord_argv("sync"),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ},
        )
    except OSError as wrong:
        raise GitcoordError(f"the remote was not asked: {wrong}") from None
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=wait_s)
    process.returncode = process.returncode or 0  # it may go on: nobody is to be warned of that
    return True
