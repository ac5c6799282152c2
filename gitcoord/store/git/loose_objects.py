"""Loose objects: written without git, in its format, and synced BEFORE anything durable names them."""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from gitcoord.core.errors import Paused
from gitcoord.core.ports import Oid
from gitcoord.store.files import make_folder, write_quickly
from gitcoord.store.git import refs as git_refs
from gitcoord.store.git.objects import encoded, oid_of

UNSYNCED_MAX = 2000  # objects that are remembered; then all are synced
ZLIB_LEVEL = 1  # git's own for loose objects; a push compresses again

_numbers = itertools.count()


class LooseObjects:
    """Writes objects into the repository at `store`, in 0.1 ms each. GitPython's object database takes 0.3 ms."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._unsynced: dict[Oid, tuple[Oid, ...]] = {}  # written, not yet synced, with the objects that each names

    def put(self, kind: str, data: bytes, names: Sequence[Oid]) -> Oid:
        """Write an object, and return its id. `names` has the ids of the objects that it names.

        Raise Paused if the disk fails.
        """
        oid = oid_of(kind, data)
        if len(self._unsynced) >= UNSYNCED_MAX:
            git_refs.sync_files([git_refs.loose_path(self._store, one) for one in self._unsynced])
            self._unsynced.clear()
        self._unsynced[oid] = tuple(names)
        path = git_refs.loose_path(self._store, oid)
        try:
            # Write a file again that a power loss tore: git would leave it and report success.
            if not (path.exists() and git_refs.is_sound(path, oid)):
                _write(path, zlib.compress(encoded(kind, data), ZLIB_LEVEL))
        except OSError as error:
            raise Paused(f"cannot write to {self._store} ({error}); free or repair the disk, then try again") from error
        return oid

    def sync(self, tip: Oid) -> None:
        """Sync the objects to the disk that `tip` reaches and this writer wrote. Objects of outboxes need no sync,
        because their lines are in the queue."""
        below, found = [tip], dict.fromkeys([tip] if tip in self._unsynced else ())
        while below:
            named = [oid for oid in self._unsynced.get(below.pop(), ()) if oid in self._unsynced and oid not in found]
            found.update(dict.fromkeys(named))
            below += named
        git_refs.sync_files([git_refs.loose_path(self._store, oid) for oid in found])
        for oid in found:
            del self._unsynced[oid]


def _write(path: Path, data: bytes) -> None:
    """Write to a temporary file and rename it, so that the object is never half written."""
    make_folder(path.parent, exist_ok=True)
    temporary = path.with_name(f"tmp_obj_{os.getpid()}_{next(_numbers)}")  # `git prune` removes what a crash left
    write_quickly(path, data, temporary=temporary, read_only=True)
