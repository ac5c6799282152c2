"""Foreign ledgers: commits that somebody with push access may put on the ledger branch instead of the fleet's own."""

from __future__ import annotations

import random
from collections.abc import Callable

from gitcoord.core.ledger.log_files import open_path
from gitcoord.core.ports import Objects, Oid, TreeEntry

Commit = Callable[..., Oid]
"""A function that makes a commit of a tree and its parents."""


class ForeignLedgers:
    """Makes commits that are no ledger of this fleet. `founding` makes the first line of another fleet."""

    def __init__(self, objects: Objects, rng: random.Random, founding: Callable[[], bytes], commit: Commit) -> None:
        self.objects, self.rng, self._founding, self._commit = objects, rng, founding, commit
        self.ways: dict[str, Callable[[Oid], Oid]] = {
            "another fleet's": lambda tip: self._commit(self._another()),
            "another fleet's, merged with ours": lambda tip: self._commit(
                self._another(), self._commit(self._another()), tip
            ),
            "ours, on another fleet's first commit": lambda tip: self._commit(
                self.objects.commit(tip).tree, self._commit(self._another())
            ),
            "ours, on no ledger": lambda tip: self._commit(
                self.objects.commit(tip).tree, self._commit(self._files(**{"main.py": b"print()"}))
            ),
            "lines that are none": lambda tip: self._commit(self._files(**{open_path(0): b"{}\n\xff\n"})),
            "a later version's": lambda tip: self._commit(self._files(**{"events.v9": b"{}"})),
            "source code": lambda tip: self._commit(self._files(**{"main.py": b"print()"})),
            "an empty tree": lambda tip: self._commit(self._files()),
        }

    def made(self, tip: Oid) -> tuple[Oid, str]:
        """Return a foreign commit to replace `tip`, and its kind in words."""
        way = self.rng.choice(sorted(self.ways))
        return self.ways[way](tip), way

    def _another(self) -> Oid:
        return self._files(**{open_path(0): self._founding() + b"\n"})

    def _files(self, **files: bytes) -> Oid:
        return self.objects.put_tree({name: TreeEntry(self.objects.put_blob(data)) for name, data in files.items()})
