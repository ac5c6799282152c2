"""Users: what another user of this machine may do, tried by a child of the test that becomes that user."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ALICE, BOB, GROUP = 60001, 60002, 60123  # no such users need be known here

needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root becomes other users")


def as_user(user: int, do: Callable[[], object], *, umask: int = 0o022) -> str:
    """What `do` answers (or raises) as that user, as text. Modules that it imports must be loaded: theirs may not be
    readable."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(read)
            os.setgroups([])
            os.setresgid(GROUP, GROUP, GROUP)
            os.setresuid(user, user, user)
            os.umask(umask)
            try:
                said = str(do())
            except BaseException as wrong:
                said = f"{type(wrong).__name__}: {wrong}"
                if os.environ.get("GITCOORD_DEBUG"):
                    traceback.print_exc()
            os.write(write, said.encode("utf-8", "replace")[:60_000])
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    return said


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that all users reach, which pytest's own is not; it belongs to alice and the group."""
    path = Path(tempfile.mkdtemp(prefix="gitcoord-users-"))
    path.chmod(0o755)
    os.chown(path, ALICE, GROUP)
    yield path
    shutil.rmtree(path, ignore_errors=True)
