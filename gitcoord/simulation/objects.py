"""Object stores of simulated machines: each has its own objects, and all share how an object is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitcoord.core.errors import Corrupt
from gitcoord.core.ports import CommitInfo, Oid, TreeEntry
from gitcoord.store.memory import MemoryServer, MemoryStore, ObjectDict


@dataclass(slots=True)
class Decoded:
    """Decoded objects. An object's id follows from its content, so it reads the same in every store."""

    commits: dict[Oid, CommitInfo] = field(default_factory=dict)
    trees: dict[Oid, dict[str, TreeEntry]] = field(default_factory=dict)
    links: dict[Oid, tuple[Oid, ...]] = field(default_factory=dict)


class SimStore(MemoryStore):
    """A store that shares what is decoded with all others of its world."""

    def __init__(self, server: MemoryServer, decoded: Decoded, *, ledger_ref: str, outbox_prefix: str) -> None:
        super().__init__(server, ledger_ref=ledger_ref, outbox_prefix=outbox_prefix)
        self.decoded = decoded

    def put_tree(self, entries: Mapping[str, TreeEntry]) -> Oid:
        oid = super().put_tree(entries)
        if oid not in self.decoded.trees:
            self.decoded.trees[oid] = dict(entries)
            self.decoded.links[oid] = tuple([entry.oid for entry in entries.values()])
        return oid

    def put_commit(self, *, tree: Oid, parents: Sequence[Oid], message: str, author: str, time_s: int) -> Oid:
        oid = super().put_commit(tree=tree, parents=parents, message=message, author=author, time_s=time_s)
        self.decoded.commits[oid] = CommitInfo(oid, tree, tuple(parents), message)
        self.decoded.links[oid] = (tree, *parents)
        return oid

    def commit(self, oid: Oid) -> CommitInfo:
        info = self.decoded.commits.get(oid)
        if info is None or oid not in self.objects:
            info = self.decoded.commits[oid] = super().commit(oid)
        return info

    def tree(self, oid: Oid) -> dict[str, TreeEntry]:
        tree = self.decoded.trees.get(oid)
        if tree is None or oid not in self.objects:
            tree = self.decoded.trees[oid] = super().tree(oid)
        return dict(tree)

    def become(self, other: SimStore) -> None:
        """Replace all objects and refs by those of `other`."""
        self.objects, self._kept = dict(other.objects), other.kept()

    def forget_unkept(self) -> None:
        """Drop objects that no kept ref reaches: they were never synced."""
        self.objects = self.reach(self.objects, self.kept().values(), known={})

    def reach(self, source: ObjectDict, tips: Iterable[Oid], *, known: Mapping[Oid, object]) -> ObjectDict:
        """Return the objects that `tips` reach in `source`, without those that `known` has already."""
        found: ObjectDict = {}
        links = self.decoded.links
        waiting = [oid for oid in tips if oid not in known]
        while waiting:
            oid = waiting.pop()
            if oid not in found:
                if oid not in source:
                    raise Corrupt(f"object {oid} is missing from what is sent")
                found[oid] = source[oid]
                for one in links.get(oid, ()):  # a blob has none
                    if one not in known:
                        waiting.append(one)
        return found
