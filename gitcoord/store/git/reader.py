"""The reader of objects: from memory if they were written or read just now, otherwise through one long-lived git.

GitPython takes 0.1 s to import, as long as a whole command may take, so it is imported at the first read from the disk.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitcoord.core.errors import Corrupt, Oversized
from gitcoord.core.ports import Oid
from gitcoord.store import program
from gitcoord.store.git import refs as git_refs
from gitcoord.store.git.blob_prefetch import BlobPrefetch
from gitcoord.store.git.objects import OID

if TYPE_CHECKING:
    from git import Git

RECENT_BYTES_MAX = 1024 * 1024  # a round reads several times what it wrote, and files of the tip
RECENT_OBJECT_BYTES_MAX = 64 * 1024


class Reader:
    """Reads objects of the repository at `store`, whose copy of the remote's refs is under `mirror`."""

    def __init__(self, store: Path, mirror: str) -> None:
        self._store = store
        self._mirror = mirror
        self._recent: dict[Oid, tuple[str, bytes]] = {}
        self._recent_bytes = 0
        self._prefetch: BlobPrefetch | None = None

    @cached_property
    def _git(self) -> Git:
        from git import Git

        reader = Git(str(self._store))
        reader.update_environment(GIT_DIR=str(self._store), PATH=program.search_path(os.environ))
        return reader

    def close(self) -> None:
        """End the child processes, and forget all objects in memory. The reader may still be used."""
        self._recent.clear()
        self._recent_bytes = 0
        if self._prefetch is not None:
            self._prefetch.close()
        if "_git" in self.__dict__:
            self._git.clear_cache()

    def ahead(self, oids: Sequence[Oid]) -> None:
        """Prefetch these blobs, which are read next and in this order."""
        if self._prefetch is not None:
            self._prefetch.close()
        self._prefetch = BlobPrefetch(self._store, oids) if all(map(OID.match, oids)) else None

    def remember(self, oid: Oid, kind: str, data: bytes) -> None:
        """Remember an object that was just written."""
        if oid in self._recent or len(data) > RECENT_OBJECT_BYTES_MAX:
            return
        self._recent[oid] = (kind, data)
        self._recent_bytes += len(data)
        while self._recent_bytes > RECENT_BYTES_MAX:
            _, oldest = self._recent.pop(next(iter(self._recent)))
            self._recent_bytes -= len(oldest)

    def read(self, oid: Oid, kind: str, bytes_max: int) -> bytes:
        """Return the object's bytes. Raise Oversized, before it is read, if it has more than `bytes_max`.

        Raise Corrupt for an object that is missing, damaged, or of another kind.
        """
        if not OID.match(oid):
            raise Corrupt(f"{oid!r} does not name a git object")
        if oid in self._recent:
            found, data = self._recent[oid]
            return _checked(oid, found, kind, data, bytes_max)
        if self._prefetch is not None and kind == "blob":
            prefetched = self._prefetch.blob(oid, bytes_max)
            if prefetched is not None:
                return prefetched
        try:
            found, data = self._cat(oid, bytes_max)
        except (EOFError, OSError):  # the child was killed, or the object is torn: ask a new child, once
            self.close()
            found, data = self._cat_again(oid, bytes_max)
        self.remember(oid, found, data)
        return _checked(oid, found, kind, data, bytes_max)

    def _cat_again(self, oid: Oid, bytes_max: int) -> tuple[str, bytes]:
        try:
            return self._cat(oid, bytes_max)
        except (EOFError, OSError) as error:
            self.close()
            git_refs.heal(self._store, self._mirror)  # otherwise the next fetch would assume that the object is here
            raise Corrupt(
                f"object {oid} in {self._store} was damaged: run `gitcoord sync` again. If that does not help, "
                "delete the folder: its content is fetched again"
            ) from error

    def _cat(self, oid: Oid, bytes_max: int) -> tuple[str, bytes]:
        stream: Any = None
        try:
            _, found, size, stream = self._git.stream_object_data(oid)
            if size > bytes_max:
                raise _oversized(oid, size, bytes_max)
            data: bytes = stream.read(size)
        except ValueError as error:
            # Git also reports an empty object file, which a power loss may leave, as missing.
            if "could not be resolved" in str(error) and not git_refs.loose_path(self._store, oid).exists():
                raise Corrupt(
                    f"object {oid} is not in {self._store}; run `gitcoord sync`, which may fetch it"
                ) from error
            raise EOFError(oid) from error
        except BaseException:
            _detach(stream)
            self.close()  # the stream is somewhere inside this object
            raise
        if len(data) != size:
            _detach(stream)
            raise EOFError(oid)
        name: object = found  # GitPython 3.2 declares str and returns bytes
        return (name.decode() if isinstance(name, bytes) else str(name)), data


def _checked(oid: Oid, found: str, kind: str, data: bytes, bytes_max: int) -> bytes:
    if len(data) > bytes_max:
        raise _oversized(oid, len(data), bytes_max)
    if found != kind:
        raise Corrupt(f"object {oid} is a {found}, not a {kind}")
    return data


def _oversized(oid: Oid, size: int, bytes_max: int) -> Oversized:
    return Oversized(f"object {oid} has {size} bytes, more than {bytes_max}: not gitcoord's")


def _detach(stream: Any) -> None:
    """Detach a stream. Otherwise GitPython reads the rest of it at its collection, though it is too large or closed."""
    if stream is not None:
        stream._nbr = stream._size
