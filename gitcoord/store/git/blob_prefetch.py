"""Prefetch of blobs: many objects whose order is known are streamed by one child of git, without a request for each.

On a busy machine, a request takes 0.2 ms, nearly all of it for the other process to wake up. The three thousand files
of a log took half of a newcomer's time that way.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from gitcoord.core.ports import Oid
from gitcoord.store import program


class BlobPrefetch:
    """Blobs of the repository at `store`, read in the order of `oids`. It answers for blobs only."""

    def __init__(self, store: Path, oids: Iterable[Oid]) -> None:
        self._next = deque(oids)
        with tempfile.TemporaryFile() as names:
            names.write("".join(f"{oid}\n" for oid in self._next).encode("ascii"))
            names.seek(0)
            command = ["git", "cat-file", "--batch", "--buffer"]
            self._child = subprocess.Popen(
                command,
                executable=program.git(),
                stdin=names,
                env={**os.environ, "GIT_DIR": str(store)},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )

    def close(self) -> None:
        """End the child. `blob` then returns None."""
        self._next.clear()
        if self._child.returncode is None:
            self._child.kill()
            self._child.communicate()

    def blob(self, oid: Oid, bytes_max: int) -> bytes | None:
        """Return the bytes of the blob, if it is the next one. Return None for any other object, and for all objects
        after one that is no blob or has more than `bytes_max`."""
        if not self._next or self._next[0] != oid:
            return None
        assert self._child.stdout is not None
        self._next.popleft()
        name, _, rest = self._child.stdout.readline().partition(b" blob ")
        if name.decode("ascii", "replace") != oid or not rest.strip().isdigit() or int(rest) > bytes_max:
            self.close()
            return None
        data = self._child.stdout.read(int(rest))
        if len(data) != int(rest) or self._child.stdout.read(1) != b"\n":
            self.close()
            return None
        if not self._next:
            self.close()
        return data
