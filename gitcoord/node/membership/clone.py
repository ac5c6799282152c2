"""The clone that becomes a node: one process at a time prepares it, even if several begin at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock
import tenacity

from gitcoord.core.errors import Lost, Paused
from gitcoord.store.files import pausing
from gitcoord.store.git import local_repo
from gitcoord.store.home import sharing
from gitcoord.store.home.home import Home

LOCK = "init.lock"
INIT_WAIT_S = 120.0  # for another `init` of the same clone: some round trips to the remote
MAKING_ATTEMPTS = 12  # each after a pause of up to 0.2 s; `git init` needs 0.02 s


def common_dir(path: Path, messages: list[str]) -> Path:
    """Return the common git directory of the clone around `path`. Make a repository at `path` if it is in none.

    Add a message if one was made. Raise Paused if git cannot make it.
    """
    path.mkdir(parents=True, exist_ok=True)
    # If several `git init` run in one folder, all but one may fail: "could not lock config file" (16 at once: 6 of 16).
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(MAKING_ATTEMPTS),
        wait=tenacity.wait_random(0, 0.2),
        reraise=True,
        retry=tenacity.retry_if_exception_type(Paused),
    )(_common_dir, path, messages)


def _common_dir(path: Path, messages: list[str]) -> Path:
    common = local_repo.find_common_dir(path)
    if common is None:
        local_repo.init_repository(path)
        messages.append(f"made {path} a git repository")
        common = local_repo.find_common_dir(path)
    if common is None:
        raise Paused(f"{path} is still no git repository after `git init`: see what `git -C {path} status` says")
    return common


@contextlib.contextmanager
def alone(home: Home) -> Iterator[None]:
    """Hold the clone's lock, because two `init` at once would overwrite each other's home. Raise Lost on a timeout."""
    sharing.check_trusted(home.path.parent, home.store)
    with pausing(home.path):
        sharing.make_home(home.path, local_repo.shared_repository(home.path.parent))
        lock = filelock.FileLock(sharing.touch(home.path / LOCK))
    try:
        with lock.acquire(timeout=INIT_WAIT_S):
            yield
    except filelock.Timeout:
        raise Lost(
            f"another `gitcoord init` has been running in this clone for {INIT_WAIT_S:.0f} s: end it, then try again"
        ) from None
