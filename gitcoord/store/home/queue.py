"""The offline queue: every write goes through it, and is durable here BEFORE it is acknowledged.

`events.offline.log` has the lines that were not yet seen in the ledger; `head.json` has the node's id, and the head of
its chain before the first of these lines. All processes of a node share both, under one lock that is held briefly.
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

LOCK_WAIT_S = 2.0  # for each of three attempts; a holder writes some lines and syncs, which takes milliseconds
DEAD_BYTES_MAX = 4096  # of lines before the head, which every process of the node has to skip
READS_MAX = 1000  # attempts to read the files while others change them; an attempt takes longer than a change

Signers = Callable[[str], Signer]


class Queue:
    """One node's queue on the local disk. Reads are cached: of lines that others append, only the new ones are read."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "events.offline.log"
        self._file = str(self.path)  # for `stamp`, which is called often: a Path would be turned into text each time
        self.spool = Spool(home)
        self.speaker: str | None = None  # the author of errors that concern no single event
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
        """Return whether the home has a queue."""
        return self._head_path.exists()

    @property
    def node(self) -> str:
        """Return the node's id."""
        self._refresh()
        return self._head.node

    @property
    def base(self) -> Head:
        """Return the head of the node's chain before the queue."""
        self._refresh()
        return self._head.base

    def pending(self) -> list[Event]:
        """Return the queued events in their order."""
        self._refresh()
        return list(self._content.events)

    @property
    def broken(self) -> bool:
        """Return whether lines are queued that do not fit the chain, because a damaged line was between."""
        self._refresh()
        return bool(self._content.loose)

    @property
    def untidy(self) -> bool:
        """Return whether the file has dead bytes, which the next holder of the lock removes."""
        self._refresh()
        return self._content.untidy

    @property
    def damaged(self) -> int:
        """Return the number of lines that are no events, which the next holder of the lock sets aside."""
        self._refresh()
        return len(self._content.damaged)

    # Writing

    def append(self, drafts: Sequence[Draft], *, signer: Signers, fleet_id: str) -> list[Event]:
        """Chain, sign and store `drafts`, and return their events, synced to the disk BEFORE this returns.

        All of them are stored, or none. Drafts of the spool come first; a draft that is queued already is left out.
        Raise LockHeld (which is put into the spool as an error), Refused (no key, too large) or Paused.
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
        """Append lines of our own chain, found in our outbox, if they continue the queue."""
        with self.locked():
            head = self._content.head
            fitting = []
            for event in events:
                if event.seq == head.seq + 1 and event.prev == head.hash:
                    fitting.append(event)
                    head = event.head
            self._add(fitting)
            self._seen = ()  # a line that was damaged here may be back, so that loose lines fit again

    def trim(self, head: Head) -> None:
        """Remove the lines up to `head`, which the ledger has. The head is durable BEFORE they are removed."""
        with self.locked():
            # Compare the line's hash, not its number alone: another process may have rechained the queue.
            if self._content.loose or not self._content.holds(head):
                return
            rest = self._content.after(head)
            keys = {*self._head.keys, *self._content.keys_until(head)}
            self._write_head(HeadFile(self._head.node, head, keys=tuple(sorted(keys))))
            if not rest:
                os.truncate(self.path, 0)  # needs no sync: after a crash, the head says that these lines are dead
                self._note_content(Content(head, keys=keys))
            elif self.path.stat().st_size - sum(len(event.line) + 1 for event in rest) > DEAD_BYTES_MAX:
                self._replace(rest)
            else:  # while further lines wait, rewrite the file only if its dead bytes are many
                self._content.forget(head)
                self._seen = self.signature()

    def drop(self, uid: str, *, signer: Signers, fleet_id: str) -> None:
        """Remove an event that no other node has seen, and rechain those after it. Raise Refused if it is not here."""
        with self.locked():
            if uid not in self._content.uids:
                raise Refused(f"no event {uid} in the queue: `gitcoord queue list` shows what there is")
            rest = [event for event in self._content.all() if event.uid != uid]
            self._rechain(self._head, rest, signer, fleet_id)

    def rechain(
        self, head: Head, *, without: frozenset[str], signer: Signers, fleet_id: str, node_id: str | None = None
    ) -> None:
        """Rechain the queue after `head`, with the same uids and without the events in `without` (uids).

        If `node_id` is given, it becomes the id of the node.
        """
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
            self._seen = (self._seen[0], *self.stamp())  # nobody changed the head, because we hold the lock

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
        """Hold the queue's lock, briefly: never during a request to the remote. Disk trouble inside pauses the node.

        Raise LockHeld, and put it into the spool as an error of `actor`.
        """
        check_not_paused(self.home)
        with pausing(self.home):
            try:
                with holding(self._lock_path, guards=self.path.name, wait_s=LOCK_WAIT_S):
                    try:
                        self._refresh(repair=True)
                        yield
                    except BaseException:
                        self._seen = ()  # read the files again after a half-done change
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
        """Return a value that differs whenever any process has queued something. It costs one `stat`."""
        try:
            stat = os.stat(self._file)
        except FileNotFoundError:
            return (None,)
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _refresh(self, *, repair: bool = False) -> None:
        """Read what changed. Without the lock, the files may change meanwhile; with it (`repair`), repair damage."""
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
        """Move damaged lines to events.error.log (durably, BEFORE they are removed), so that the next line begins
        after a line end."""
        for record in self._content.damaged:
            append_durably(self.home / "events.error.log", record.text(self.path.name))
        events, loose = self._content.events, self._content.loose
        write_durably(self.path, queue_file.joined([*events, *loose]))
        self._note_content(Content(self._head.base, events, loose, self._head.keys))
