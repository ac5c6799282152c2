"""Children `git cat-file`: one that is asked for one object after the other, and one that streams many blobs.

GitPython has the first; but its import takes 60 ms of processor time, and nearly every command reads an object.

The second is for many objects whose order is known. On a busy machine, a request takes 0.2 ms, nearly all of it for the
other process to wake up. The three thousand files of a log took half of a newcomer's time that way.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from gitcoord.core.errors import Oversized
from gitcoord.core.ports import Oid
from gitcoord.store import program


class Missing(Exception):
    """Git has no such object, or an empty file in its place."""


class CatFile:
    """A child that reads the repository at `store`. After any error but Missing, it must be closed."""

    def __init__(self, store: Path) -> None:
        self._child = subprocess.Popen(
            ["git", "cat-file", "--batch"],
            executable=program.git(),
            env={**os.environ, "GIT_DIR": str(store)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def read(self, oid: Oid, bytes_max: int) -> tuple[str, bytes]:
        """Return the kind and the bytes of an object.

        Raise Missing, Oversized before its bytes are read, EOFError if the object is damaged, or OSError.
        """
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(f"{oid}\n".encode("ascii"))
        self._child.stdin.flush()
        _, *header = self._child.stdout.readline().decode("ascii", "replace").split() or [""]
        if header == ["missing"]:
            raise Missing(oid)
        if len(header) != 2 or not header[1].isdigit():
            raise EOFError(oid)
        kind, size = header[0], int(header[1])
        if size > bytes_max:
            raise oversized(oid, size, bytes_max)
        data = self._child.stdout.read(size + 1)  # a newline follows
        if len(data) != size + 1:
            raise EOFError(oid)
        return kind, data[:size]

    def close(self) -> None:
        """End the child."""
        if self._child.returncode is None:
            self._child.kill()
            self._child.communicate()


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


def oversized(oid: Oid, size: int, bytes_max: int) -> Oversized:
    """Return the error about an object that is larger than any that gitcoord writes for its purpose."""
    return Oversized(f"object {oid} has {size} bytes, more than {bytes_max}: not gitcoord's")
