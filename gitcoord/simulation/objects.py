"""Object stores of simulated machines: what each one has is its own, how an object reads is worked out once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gitcoord.core.ports import CommitInfo, Entry, Oid, Update
from gitcoord.store.memory import MemoryServer, MemoryStore, ObjectDict


@dataclass(slots=True)
class Decoded:
    """Objects by name: their names are their contents, so no machine can read them otherwise than another."""

    commits: dict[Oid, CommitInfo] = field(default_factory=dict)
    trees: dict[Oid, dict[str, Entry]] = field(default_factory=dict)
    links: dict[Oid, tuple[Oid, ...]] = field(default_factory=dict)


class SimStore(MemoryStore):
    """A store that shares what is decoded with all others of its world."""

    def __init__(self, server: MemoryServer, decoded: Decoded, *, ledger_ref: str, outbox_prefix: str) -> None:
        super().__init__(server, ledger_ref=ledger_ref, outbox_prefix=outbox_prefix)
        self.decoded = decoded

    def commit(self, oid: Oid) -> CommitInfo:
        info = self.decoded.commits.get(oid)
        if info is None or oid not in self.objects:
            info = self.decoded.commits[oid] = super().commit(oid)
        return info

    def tree(self, oid: Oid) -> dict[str, Entry]:
        tree = self.decoded.trees.get(oid)
        if tree is None or oid not in self.objects:
            tree = self.decoded.trees[oid] = super().tree(oid)
        return dict(tree)

    def take(self, advertised: Mapping[str, Oid]) -> dict[str, Oid]:
        refs = {ref: oid for ref, oid in advertised.items()
                if ref == self._ledger_ref or ref.startswith(self._outboxes)}
        self.objects |= self.reach(self.server.objects, refs.values(), beside=self.objects)
        return refs

    def to_send(self, update: Update) -> ObjectDict:
        tips = [] if update.new is None else [update.new]
        return self.reach(self.objects, tips, beside=self.server.objects)

    def forget_unkept(self) -> None:
        """Objects that no kept ref reaches were never synced."""
        self.objects = self.reach(self.objects, self.kept().values(), beside={})

    def reach(self, source: ObjectDict, tips: Iterable[Oid], *, beside: Mapping[Oid, object]) -> ObjectDict:
        """What `tips` reach in `source`, stopping at what `beside` has already."""
        found: ObjectDict = {}
        known = self.decoded.links
        waiting = [oid for oid in tips if oid not in beside]
        while waiting:
            oid = waiting.pop()
            if oid not in found:
                kind, _ = found[oid] = source[oid]
                if kind != "blob":
                    links = known.get(oid) or self._read_links(oid, kind, source)
                    waiting += [one for one in links if one not in beside]
        return found

    def _read_links(self, oid: Oid, kind: str, source: ObjectDict) -> tuple[Oid, ...]:
        there = SimStore(self.server, self.decoded, ledger_ref=self._ledger_ref, outbox_prefix=self._outboxes)
        there.objects = source
        if kind == "commit":
            commit = there.commit(oid)
            links = (commit.tree, *commit.parents)
        else:
            links = tuple(entry.oid for entry in there.tree(oid).values())
        self.decoded.links[oid] = links
        return links
