"""The shared remote in memory: refs, objects, and git's rules about which update of a ref is accepted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from gitcoord.core.errors import Corrupt, Oversized, Unreachable
from gitcoord.core.ledger.outbox import chosen
from gitcoord.core.ports import (
    ALREADY_THERE,
    NAME_TAKEN,
    CommitInfo,
    Fetched,
    Oid,
    Pushed,
    PushOutcome,
    TreeEntry,
    Update,
)
from gitcoord.store.git.objects import OID, decode_commit, decode_tree, encode_commit, encode_tree, oid_of
from gitcoord.store.git.refs import NAME

ObjectDict = dict[Oid, tuple[str, bytes]]
"""Objects by name: kind and bytes."""


class MemoryServer:
    """A remote that several stores share. `reachable` and `deny` simulate its network and its hook."""

    def __init__(self) -> None:
        self.refs: dict[str, Oid] = {}
        self.objects: ObjectDict = {}
        self.reachable = True
        self.deny: Callable[[Update], str | None] = lambda update: None

    def advertise(self) -> dict[str, Oid]:
        """Return all refs as they are now, as at the beginning of a fetch or a push."""
        return dict(self.refs)

    def apply(self, update: Update, objects: Mapping[Oid, tuple[str, bytes]]) -> Pushed:
        """Apply one update of a push. `update.old` is the value that was advertised, and must still be the ref's."""
        self.objects.update(objects)
        refusal = self.deny(update)
        if refusal is not None:
            return Pushed(PushOutcome.DENIED, refusal)
        if self.refs.get(update.ref) != update.old:
            return Pushed(PushOutcome.STALE, "failed to update ref")
        is_new = update.ref not in self.refs and update.new is not None
        if is_new and any(_is_folder_of(update.ref, ref) for ref in self.refs):
            return Pushed(PushOutcome.DENIED, f"{NAME_TAKEN} cannot create '{update.ref}'")
        if update.new is None:
            self.refs.pop(update.ref, None)
        else:
            self.refs[update.ref] = update.new
        return Pushed(PushOutcome.ACCEPTED)


def check_leases(advertised: Mapping[str, Oid], updates: Sequence[Update]) -> tuple[list[Update], dict[str, Pushed]]:
    """Return the updates that a client sends after the advertisement, and those that it answers itself.

    As in git: a value that is there already is not compared with anything, and counts as pushed.
    """
    send: list[Update] = []
    answered: dict[str, Pushed] = {}
    for update in updates:
        current = advertised.get(update.ref)
        if update.new is not None and current == update.new:
            answered[update.ref] = Pushed(PushOutcome.ACCEPTED, ALREADY_THERE)
        elif current != update.old:
            answered[update.ref] = Pushed(PushOutcome.STALE, "stale info")
        else:
            send.append(update)
    return send, answered


def reachable_objects(source: ObjectDict, tips: Iterable[Oid], *, known: Mapping[Oid, object]) -> ObjectDict:
    """Return the objects that `tips` reach in `source`, stopping at `known` ones. Raise Corrupt if one is missing."""
    found: ObjectDict = {}
    waiting = list(tips)
    while waiting:
        oid = waiting.pop()
        if oid in known or oid in found:
            continue
        if oid not in source:
            raise Corrupt(f"object {oid} is missing from the objects that are sent")
        kind, data = found[oid] = source[oid]
        if kind == "commit":
            commit = decode_commit(oid, data)
            waiting += [commit.tree, *commit.parents]
        elif kind == "tree":
            waiting += [entry.oid for entry in decode_tree(oid, data).values()]
    return found


class MemoryStore:
    """An implementation of Objects and Remote with a database of its own: it has what it wrote and what it fetched."""

    def __init__(self, server: MemoryServer, *, ledger_ref: str, outbox_prefix: str) -> None:
        self.server = server
        self.objects: ObjectDict = {}
        self._ledger_ref = ledger_ref
        self._outboxes = outbox_prefix.rstrip("/") + "/"
        self._kept: dict[str, Oid] = {}

    def put_blob(self, data: bytes) -> Oid:
        return self._put("blob", data)

    def put_tree(self, entries: Mapping[str, TreeEntry]) -> Oid:
        return self._put("tree", encode_tree(entries))

    def put_commit(self, *, tree: Oid, parents: Sequence[Oid], message: str, author: str, time_s: int) -> Oid:
        data = encode_commit(tree=tree, parents=parents, message=message, author=author, time_s=time_s)
        return self._put("commit", data)

    def blob(self, oid: Oid, *, bytes_max: int | None = None) -> bytes:
        data = self._read(oid, "blob")
        if bytes_max is not None and len(data) > bytes_max:
            raise Oversized(f"object {oid} has {len(data)} bytes, more than {bytes_max}: not gitcoord's")
        return data

    def ahead(self, oids: Sequence[Oid]) -> None:
        """Do nothing: here no read takes time."""

    def tree(self, oid: Oid) -> dict[str, TreeEntry]:
        return decode_tree(oid, self._read(oid, "tree"))

    def commit(self, oid: Oid) -> CommitInfo:
        return decode_commit(oid, self._read(oid, "commit"))

    def is_ancestor(self, old: Oid, new: Oid) -> bool:
        if not (self._is_commit(old) and self._is_commit(new)):
            return False
        seen: set[Oid] = set()
        waiting = [new]
        while waiting:
            oid = waiting.pop()
            if oid == old:
                return True
            if oid not in seen:
                seen.add(oid)
                waiting += self.commit(oid).parents[::-1]  # first parents first: the ledger is one line
        return False

    def first_parents(self, tip: Oid, *, stop: Oid | None, limit: int) -> list[Oid]:
        newest_first: list[Oid] = []
        at: Oid | None = tip
        while at is not None and at != stop and len(newest_first) < limit:
            newest_first.append(at)
            at = next(iter(self.commit(at).parents), None)
        return newest_first[::-1]

    def keep(self, name: str, oid: Oid | None) -> None:
        assert NAME.match(name), name
        if oid is None:
            self._kept.pop(name, None)
        else:
            self._kept[name] = oid

    def kept(self, prefix: str = "") -> dict[str, Oid]:
        return {name: oid for name, oid in self._kept.items() if name.startswith(prefix)}

    def fetch(self, *, newcomer: bool = False, first: Collection[str] = ()) -> Fetched:
        if not self.server.reachable:
            raise Unreachable("the remote cannot be reached")
        return self.take(self.server.advertise(), first)

    def take(self, advertised: Mapping[str, Oid], first: Collection[str] = ()) -> Fetched:
        """Copy the objects that the advertised refs of this fleet reach. An incomplete outbox is named in `left`."""
        found = chosen(advertised, ledger_ref=self._ledger_ref, outboxes=self._outboxes, first=first)
        left = dict(found.left)
        for ref, oid in found.refs.items():
            try:
                if oid not in self.objects:
                    self.objects |= self.reach(self.server.objects, [oid], known=self.objects)
            except Corrupt as wrong:
                if ref == self._ledger_ref:
                    raise Unreachable(f"the ledger cannot be fetched: {wrong}") from wrong
                left[ref] = str(wrong)
        return Fetched(found.refs, left, found.strays)

    def push(self, updates: Sequence[Update]) -> dict[str, Pushed]:
        if not self.server.reachable:
            return {update.ref: Pushed(PushOutcome.UNREACHABLE, "cannot be reached") for update in updates}
        send, results = check_leases(self.server.advertise(), updates)
        for update in send:
            results[update.ref] = self.server.apply(update, self.to_send(update))
        return results

    def to_send(self, update: Update) -> ObjectDict:
        """Return the objects that the server needs for `update` and lacks."""
        tips = [] if update.new is None else [update.new]
        return self.reach(self.objects, tips, known=self.server.objects)

    def reach(self, source: ObjectDict, tips: Iterable[Oid], *, known: Mapping[Oid, object]) -> ObjectDict:
        """Return what `reachable_objects` returns. The simulator overrides this."""
        return reachable_objects(source, tips, known=known)

    def _put(self, kind: str, data: bytes) -> Oid:
        oid = oid_of(kind, data)
        self.objects[oid] = (kind, data)
        return oid

    def _read(self, oid: Oid, kind: str) -> bytes:
        if oid not in self.objects:
            if not OID.match(oid):
                raise Corrupt(f"{oid!r} does not name a git object")
            raise Corrupt(f"object {oid} is not here; run `gitcoord sync`, which may fetch it")
        found, data = self.objects[oid]
        if found != kind:
            raise Corrupt(f"object {oid} is a {found}, not a {kind}")
        return data

    def _is_commit(self, oid: Oid) -> bool:
        return self.objects.get(oid, ("",))[0] == "commit"


def _is_folder_of(one: str, other: str) -> bool:
    """Return whether one of two ref names is a folder of the other: git cannot have both."""
    return one.startswith(other + "/") or other.startswith(one + "/")
