"""Locks between the processes of a node: the system frees them when their process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from gitcoord.core.errors import GitcoordError
from gitcoord.store.home import sharing

LOCK_ATTEMPTS = 3
POLL_S = 0.002  # between two attempts to take a lock whose holder needs milliseconds
ROUND_POLL_S = 0.01  # if its holder talks to the remote: 2 ms would cost each waiter 4 % of a processor, not 2


class LockHeld(GitcoordError):
    """Another process holds the lock for longer than its work takes."""


def acquire(lock: filelock.FileLock, *, guards: str, wait_s: float) -> None:
    """Take a lock that is held for whole rounds, in three attempts of at most `wait_s`.

    `guards` is what the lock is for. Raise LockHeld with its holder.
    """
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        _retry(lambda: lock.acquire(timeout=wait_s, poll_interval=ROUND_POLL_S), Path(lock.lock_file), guards)


@contextlib.contextmanager
def holding(path: Path, *, guards: str, wait_s: float) -> Iterator[None]:
    """Hold the lock file at `path` for a short time, for which a FileLock with its 60 µs would be too slow.

    It is not reentrant. Raise LockHeld as `acquire` does.
    """
    file = sharing.opened(path, os.O_RDWR)
    try:
        if not filelock.lock_descriptor(file, blocking=False):
            _retry(lambda: _wait(file, path, wait_s), path, guards)
        try:
            yield
        finally:
            filelock.unlock_descriptor(file)
    finally:
        os.close(file)


def _wait(file: int, path: Path, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while not filelock.lock_descriptor(file, blocking=False):
        if time.monotonic() >= until:
            raise filelock.Timeout(str(path))
        time.sleep(POLL_S)


def _retry(attempt: Callable[[], object], path: Path, guards: str) -> None:
    import tenacity  # imported late: most locks are free, and a process that waits has the time

    try:
        tenacity.Retrying(
            stop=tenacity.stop_after_attempt(LOCK_ATTEMPTS),
            wait=tenacity.wait_random(0, 0.2),
            reraise=True,
            retry=tenacity.retry_if_exception_type(filelock.Timeout),
        )(attempt)
    except filelock.Timeout:
        raise LockHeld(
            f"Failed to acquire lock on {guards} in {LOCK_ATTEMPTS} attempts: {holder(path)} holds "
            f"{path}; end that process, then try again"
        ) from None


def is_held(path: Path) -> bool:
    """Return whether any process holds the lock file at `path` now. That the file exists means nothing."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        if not filelock.lock_descriptor(file, blocking=False):
            return True
        filelock.unlock_descriptor(file)
        return False
    finally:
        os.close(file)


def holder(path: Path) -> str:
    """Return a description of the holder of the lock file at `path`: its process id and command, if they are known."""
    pid = _pid_of(path)
    if pid is None:
        return "another process"
    import psutil

    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        words = []
    shown = " ".join(Path(word).name if number == 0 else word for number, word in enumerate(words[:4]))
    return f"process {pid}" + (f" ({shown[:60]})" if shown else "")


def _pid_of(path: Path) -> int | None:
    try:
        inode = os.stat(path).st_ino
        table = Path("/proc/locks").read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    for line in table.splitlines():
        words = line.split()  # 1: FLOCK ADVISORY WRITE 4711 08:02:1234 0 EOF
        if len(words) >= 6 and words[1] == "FLOCK" and words[5].rsplit(":", 1)[-1] == str(inode):
            return int(words[4]) if int(words[4]) > 0 else None
    return None
