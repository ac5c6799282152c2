"""A simulated disk: synced data survives a crash, and a crash may happen before any write.

The product's own code reads the queue's files after a crash, so that it meets half-done trims and swaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gitcoord.core.fold.chains import Sealing
from gitcoord.core.format.event import Draft, Event, Head, Signer
from gitcoord.core.ports import Oid
from gitcoord.core.round.sight import Sight
from gitcoord.store.home.queue_file import Content, HeadFile, joined


class Crash(Exception):
    """The power failed."""


@dataclass(slots=True)
class Files:
    """The synced content of the disk."""

    head: HeadFile
    log: bytes = b""
    anew: bytes = b""
    tip: Oid | None = None
    term: int = 0
    sight: Sight = Sight()
    orphans: tuple[bytes, ...] = ()
    outboxes: tuple[Oid, ...] = ()
    heartbeats: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True)
class SimDisk:
    """A node's durable state (`DurableState`) on `Files`, and the effects that change it."""

    files: Files
    signer: Callable[[str], Signer]
    fleet: str
    agent: str
    node_signer: Callable[[str], Signer]
    fuse: int | None = None  # number of writes until the power fails
    torn: float = 0.0  # the part of the failing write that is kept, from 0 to 1, if it is an append
    content: Content = field(init=False)

    def __post_init__(self) -> None:
        self.recover()

    @property
    def node(self) -> str:
        return self.files.head.node

    @property
    def base(self) -> Head:
        return self.files.head.base

    @property
    def tip(self) -> Oid | None:
        return self.files.tip

    @property
    def term(self) -> int:
        return self.files.term

    @property
    def sight(self) -> Sight:
        return self.files.sight

    @property
    def orphans(self) -> Sequence[bytes]:
        return self.files.orphans

    @property
    def broken(self) -> bool:
        return bool(self.content.loose)

    def pending(self) -> list[Event]:
        return list(self.content.events)

    def pushed(self, oid: Oid) -> bool:
        return oid in self.files.outboxes

    def owns(self, event: Event) -> bool:
        return event.actor == self.agent and event.key == self.signer(self.agent).key

    def heartbeats_pushed(self, session: str) -> int:
        return max((count for name, count in self.files.heartbeats if name == session), default=0)

    def pushed_last(self) -> Oid | None:
        return self.files.outboxes[-1] if self.files.outboxes else None

    def image(self) -> Files:
        """Return a copy of the files, as a backup or a copied clone has it."""
        return replace(self.files)

    # Writing, with the steps in the order of `store/home/queue.py`

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        chained = self._sealing(self.node, self.content.head, self.content.keys)
        events = [chained(draft) for draft in drafts if draft.event_uid not in self.content.uids]
        self._add(events)
        return events

    def adopt(self, events: Sequence[Event]) -> None:
        head, fitting = self.content.head, []
        for event in events:
            if event.seq == head.seq + 1 and event.prev == head.hash:
                fitting.append(event)
                head = event.head
        self._add(fitting)

    def trim(self, head: Head) -> None:
        if self.content.loose or not self.content.holds(head):
            return
        rest = self.content.after(head)
        keys = {*self.files.head.keys, *self.content.keys_until(head)}
        self._save_head(HeadFile(self.node, head, keys=tuple(sorted(keys))))
        self._save_log(rest)

    def rechain(self, to: Head, without: frozenset[str], node: str | None = None) -> None:
        name = node or self.node
        chained = self._sealing(name, to, ())
        anew = [chained(event.draft()) for event in self.content.all() if event.uid not in without]
        self._step()
        self.files.anew = joined(anew)
        self._save_head(HeadFile(name, to, swap=True))
        self._save_log(anew, base=to)
        self._save_head(HeadFile(name, to))

    def save_tip(self, oid: Oid, term: int) -> None:
        self._step()
        self.files.tip, self.files.term = oid, term

    def save_sight(self, sight: Sight) -> None:
        self._step()
        self.files.sight = sight

    def note_outbox(self, oid: Oid, heartbeats: Sequence[tuple[str, int]]) -> None:
        self._step()
        self.files.outboxes += (oid,)
        # within a session the numbers grow
        self.files.heartbeats = tuple({**dict(self.files.heartbeats), **dict(heartbeats)}.items())

    def save_orphans(self, lines: tuple[bytes, ...]) -> None:
        self._step()
        self.files.orphans = lines

    def recover(self) -> None:
        """Read the files, as a process does that starts."""
        self.fuse = None
        if self.files.head.swap:
            self.files.log, self.files.head = self.files.anew, self.files.head._replace(swap=False)
        content = Content.parse(self.files.head, self.files.log, whole=True)
        if content.untidy:
            self.files.log = joined([*content.events, *content.loose])
            content = Content(self.files.head.base, content.events, content.loose, self.files.head.keys)
        self.content = content

    def _sealing(self, node: str, after: Head, keys: Iterable[str]) -> Sealing:
        return Sealing(node, after, keys, signer=self.signer, node_signer=self.node_signer, fleet=self.fleet)

    def _add(self, events: Sequence[Event]) -> None:
        if events:
            data = joined(events)
            try:
                self._step()
            except Crash:
                self.files.log += data[: int(len(data) * self.torn)]
                raise
            self.files.log += data
            self.content.add(events)

    def _save_head(self, head: HeadFile) -> None:
        self._step()
        self.files.head = head

    def _save_log(self, events: Sequence[Event], base: Head | None = None) -> None:
        self._step()
        self.files.log = joined(events)
        self.content = Content(base or self.base, events, keys=self.files.head.keys)

    def _step(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise Crash
