"""The reader of objects: from memory if they were written or read just now, otherwise through one long-lived git."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gitcoord.core.errors import Corrupt
from gitcoord.core.ports import Oid
from gitcoord.store.git import refs as git_refs
from gitcoord.store.git.cat_file import BlobPrefetch, CatFile, Missing, oversized
from gitcoord.store.git.objects import OID

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
        self._child: CatFile | None = None

    def close(self) -> None:
        """End the child processes, and forget all objects in memory. The reader may still be used."""
        self._recent.clear()
        self._recent_bytes = 0
        if self._prefetch is not None:
            self._prefetch.close()
        if self._child is not None:
            self._child.close()
            self._child = None

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
        if self._child is None:
            self._child = CatFile(self._store)
        try:
            return self._child.read(oid, bytes_max)
        except Missing as error:
            # Git also reports an empty object file, which a power loss may leave, as missing.
            if not git_refs.loose_path(self._store, oid).exists():
                raise Corrupt(
                    f"object {oid} is not in {self._store}; run `gitcoord sync`, which may fetch it"
                ) from error
            raise EOFError(oid) from error
        except BaseException:
            self.close()  # the stream is somewhere inside this object
            raise


def _checked(oid: Oid, found: str, kind: str, data: bytes, bytes_max: int) -> bytes:
    if len(data) > bytes_max:
        raise oversized(oid, len(data), bytes_max)
    if found != kind:
        raise Corrupt(f"object {oid} is a {found}, not a {kind}")
    return data
