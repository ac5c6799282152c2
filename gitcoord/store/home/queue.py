"""The offline queue: every write goes through it, and is durable here before anybody is told.

`events.offline.log` holds the lines that the ledger was not yet seen to hold; `head.json` the node's id and the end of
its chain before the first of them. All processes of a node share both, under one short lock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from gitcoord.core.errors import Refused
from gitcoord.core.fold.chains import Sealing
from gitcoord.core.format.event import Draft, Event, Head, Signer
from gitcoord.store.files import append_durably, check_not_paused, pausing, sync_folder, write_durably
from gitcoord.store.home import node_key, queue_file
from gitcoord.store.home.locks import LockHeld, holding
from gitcoord.store.home.queue_file import Content, HeadFile
from gitcoord.store.home.spool import Spool

__all__ = ["LockHeld", "Queue"]

LOCK_WAIT_S = 2.0  # each of three attempts; a holder writes some lines and syncs: milliseconds
DEAD_BYTES_MAX = 4096  # of lines before the head: all processes of the node read past them
READS_MAX = 1000  # of files that others change meanwhile; each try takes longer than a change

Signers = Callable[[str], Signer]


class Queue:
    """One node's queue on the local disk. Reads are cached; lines that others append are read from their beginning."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "events.offline.log"
        self._file = str(self.path)  # used at each look: a Path is turned into text each time
        self.spool = Spool(home)
        self.speaker: str | None = None  # the author of an error that concerns no one event
        self._head_path = home / "head.json"
        self._rechained_path = home / "events.offline.fresh"
        self._lock_path = home / "queue.lock"
        self._seen: tuple[object, ...] = ()
        self._head = HeadFile("", Head())
        self._content = Content()

    @classmethod
    def create(cls, home: Path, *, node_id: str, base: Head = Head()) -> Queue:
        """Return a new, empty queue for `node_id`."""
        queue = cls(home)
        queue._write_head(HeadFile(node_id, base))
        return queue

    @property
    def exists(self) -> bool:
        return self._head_path.exists()

    @property
    def node(self) -> str:
        self._refresh()
        return self._head.node

    @property
    def base(self) -> Head:
        self._refresh()
        return self._head.base

    def pending(self) -> list[Event]:
        """Return the queued events in their order."""
        self._refresh()
        return list(self._content.events)

    @property
    def broken(self) -> bool:
        """Return whether lines are queued that do not fit the chain: a damaged line stood between."""
        self._refresh()
        return bool(self._content.loose)

    @property
    def untidy(self) -> bool:
        """Return whether the file holds dead bytes; the next holder of the lock tidies up."""
        self._refresh()
        return self._content.untidy

    @property
    def damaged(self) -> int:
        """Return how many lines are no events; the next holder of the lock sets them aside."""
        self._refresh()
        return len(self._content.damaged)

    # Writing

    def append(self, drafts: Sequence[Draft], *, signer: Signers, fleet_id: str) -> list[Event]:
        """Chain, sign and store `drafts`, synced to the disk BEFORE this returns. All of them or none.

        Drafts in the spool go before them. Raise LockHeld, and leave that as an error in the spool.
        """
        with self.locked(actor=drafts[0].actor if drafts else None):
            chained = self._sealing(self._head.node, self._content.head, self._content.keys, signer, fleet_id)
            spooled, done = self.spool.take(chained, self._content.uids)
            events: list[Event] = []
            new: set[str] = set()
            for draft in drafts:
                if draft.event_uid not in self._content.uids and draft.event_uid not in new:
                    new.add(draft.event_uid)
                    events.append(chained(draft))
            self._add([*spooled, *events])
            for path in done:
                path.unlink(missing_ok=True)
            return events

    def adopt(self, events: Sequence[Event]) -> None:
        """Put lines of our own chain, found in our outbox, at the queue's end."""
        with self.locked():
            head = self._content.head
            fitting = []
            for event in events:
                if event.seq == head.seq + 1 and event.prev == head.hash:
                    fitting.append(event)
                    head = event.head
            self._add(fitting)
            self._seen = ()  # a line that was damaged here may be back: loose lines may fit again

    def trim(self, head: Head) -> None:
        """Forget lines up to `head`, which the ledger holds. The head is durable BEFORE they go."""
        with self.locked():
            # By the line's hash, never by number alone: another process may have chained the queue again.
            if self._content.loose or not self._content.holds(head):
                return
            rest = self._content.after(head)
            keys = {*self._head.keys, *self._content.keys_until(head)}
            self._write_head(HeadFile(self._head.node, head, keys=tuple(sorted(keys))))
            if not rest:
                os.truncate(self.path, 0)  # the head says that nothing in it counts: no need to sync
                self._note_content(Content(head, keys=keys))
            elif self.path.stat().st_size - sum(len(event.line) + 1 for event in rest) > DEAD_BYTES_MAX:
                self._replace(rest)
            else:  # no rewrite each time another line waits already
                self._content.forget(head)
                self._seen = self.signature()

    def drop(self, uid: str, *, signer: Signers, fleet_id: str) -> None:
        """Remove an event that nobody has seen, and chain the ones after it again."""
        with self.locked():
            if uid not in self._content.uids:
                raise Refused(f"no event {uid} in the queue: `gitcoord queue list` shows what there is")
            rest = [event for event in self._content.all() if event.uid != uid]
            self._rechain(self._head, rest, signer, fleet_id)

    def rechain(
        self, head: Head, *, without: frozenset[str], signer: Signers, fleet_id: str, node_id: str | None = None
    ) -> None:
        """Chain the queue after `head`, same uids; under another node id if `node_id` is given."""
        with self.locked():
            rest = [event for event in self._content.all() if event.uid not in without]
            self._rechain(HeadFile(node_id or self._head.node, head), rest, signer, fleet_id)

    def _rechain(self, to: HeadFile, events: Sequence[Event], signer: Signers, fleet_id: str) -> None:
        chained = self._sealing(to.node, to.base, to.keys, signer, fleet_id)
        rechained = [chained(event.draft()) for event in events]
        # The new lines are durable beside the old ones, THEN the head points to them, THEN they replace the old: a
        # crash between leaves one or the other complete.
        write_durably(self._rechained_path, queue_file.joined(rechained))
        self._write_head(to._replace(swap=True))
        self._finish_swap()
        self._note_content(Content(to.base, rechained, keys=to.keys))

    def _sealing(self, node_id: str, after: Head, keys: Iterable[str], signer: Signers, fleet_id: str) -> Sealing:
        def node_signer(own_id: str) -> Signer:
            return node_key.signer(self.home, own_id)

        return Sealing(node_id, after, keys, signer=signer, node_signer=node_signer, fleet=fleet_id)

    def _finish_swap(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # a crash came after this step
            os.replace(self._rechained_path, self.path)
        sync_folder(self.home)  # BEFORE the head: a file system may order two renames as it likes
        self._write_head(self._head._replace(swap=False))

    def _add(self, events: Sequence[Event]) -> None:
        if events:
            append_durably(self.path, queue_file.joined(events))
            self._content.add(events)
            self._seen = (self._seen[0], *self.stamp())  # the head is as it was: we hold the lock

    def _replace(self, rest: Sequence[Event]) -> None:
        write_durably(self.path, queue_file.joined(rest))
        self._note_content(Content(self._head.base, rest, keys=self._head.keys))

    def _note_content(self, content: Content) -> None:
        """Remember the file's content, as written under the lock."""
        self._content, self._seen = content, self.signature()

    def _write_head(self, head: HeadFile) -> None:
        write_durably(self._head_path, head.text())
        self._head = head

    # The lock

    @contextlib.contextmanager
    def locked(self, *, actor: str | None = None) -> Iterator[None]:
        """Hold the queue: short, never across the network. Disk trouble inside pauses the node."""
        check_not_paused(self.home)
        with pausing(self.home):
            try:
                with holding(self._lock_path, guards=self.path.name, wait_s=LOCK_WAIT_S):
                    try:
                        self._refresh(repair=True)
                        yield
                    except BaseException:
                        self._seen = ()  # a half-done change is read again
                        raise
            except LockHeld as wrong:
                speaker = actor or self.speaker
                if speaker is not None:
                    self.spool.put_error(speaker, str(wrong))
                raise

    # Reading

    def signature(self) -> tuple[object, ...]:
        """Return a value that differs whenever any process has changed the queue."""
        return (queue_file.read(self._head_path), *self.stamp())

    def stamp(self) -> tuple[object, ...]:
        """Return a value that differs whenever any process has queued something: a look that costs next to nothing."""
        try:
            stat = os.stat(self._file)
        except FileNotFoundError:
            return (None,)
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _refresh(self, *, repair: bool = False) -> None:
        """Read what changed. Without the lock the files may change meanwhile; with it (`repair`) damage is repaired."""
        before = self.signature()
        if before == self._seen and not (repair and self._content.untidy):
            return
        if before[:2] == self._seen[:2] and self._content.grow(self.path, self._head.node, whole=repair):
            self._seen = before
            return
        for _ in range(READS_MAX):
            before = self.signature()
            head = HeadFile.parse(queue_file.read(self._head_path), self._head_path)
            if head.swap and repair:
                self._head = head
                self._finish_swap()
                continue
            data = queue_file.read(self._rechained_path) if head.swap else None
            data = queue_file.read(self.path) if data is None else data
            if queue_file.read(self._head_path) == before[0]:
                break  # otherwise another process trimmed or swapped between the two files
        self._head, self._content = head, Content.parse(head, data or b"", whole=repair)
        self._seen = before
        if repair and self._content.untidy:
            self._repair()

    def _repair(self) -> None:
        """Set aside what is no event (durably, BEFORE it goes), so that the next line begins a line."""
        for record in self._content.damaged:
            append_durably(self.home / "events.error.log", record.text(self.path.name))
        events, loose = self._content.events, self._content.loose
        write_durably(self.path, queue_file.joined([*events, *loose]))
        self._note_content(Content(self._head.base, events, loose, self._head.keys))
