"""The offline queue: every write goes through it, and is durable here before anybody is told.

`events.offline.log` holds the lines that the ledger was not yet seen to hold; `head.json` the node's id and
where its chain stood before the first of them. All processes of a node share both, under one short lock.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import filelock
import tenacity

from gitcoord.core.errors import Corrupt, GitcoordError, Refused
from gitcoord.core.event import Draft, Event, Head, Malformed, Signer, parse, seal
from gitcoord.store.files import check_not_paused, pausing, write_durably

LOCK_ATTEMPTS = 3
LOCK_WAIT_S = 2.0  # each attempt; a holder writes some lines and syncs: milliseconds


class _HeadFile(NamedTuple):
    node: str
    base: Head
    swap: bool  # a queue chained anew waits beside the old one


class LockHeld(GitcoordError):
    """Another process holds the lock for longer than any write takes."""


class Queue:
    """One node's queue on the local disk. Reads are cached until another process changes the files."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "events.offline.log"
        self._head_path = home / "head.json"
        self._lock = filelock.FileLock(home / "queue.lock")
        self._seen: tuple[object, ...] = ()
        self._node = ""
        self._base = Head()
        self._events: list[Event] = []
        self._loose: list[Event] = []

    @classmethod
    def create(cls, home: Path, *, node: str, base: Head = Head()) -> Queue:
        """A new, empty queue for `node`."""
        queue = cls(home)
        queue._write_head(node, base)
        return queue

    @property
    def node(self) -> str:
        self._refresh()
        return self._node

    @property
    def base(self) -> Head:
        self._refresh()
        return self._base

    def pending(self) -> list[Event]:
        """The queued events in their order."""
        self._refresh()
        return list(self._events)

    @property
    def broken(self) -> bool:
        """Whether lines are queued that do not fit the chain: a damaged line stood between."""
        self._refresh()
        return bool(self._loose)

    def append(self, drafts: Sequence[Draft], *, signer: Callable[[str], Signer], fleet: str) -> list[Event]:
        """Chain, sign and store `drafts`, synced to the disk BEFORE this returns. All of them or none."""
        with self.locked():
            head = self._events[-1].head if self._events else self._base
            known = {event.uid for event in self._events}
            events = []
            for draft in drafts:
                if draft.uid in known:
                    continue
                events.append(seal(draft, node=self._node, after=head, signer=signer(draft.actor), fleet=fleet))
                head = events[-1].head
            self._add(events)
            return events

    def adopt(self, events: Sequence[Event]) -> None:
        """Put lines of our own chain, found in our outbox, at the queue's end."""
        with self.locked():
            head = self._events[-1].head if self._events else self._base
            fitting = []
            for event in events:
                if event.seq == head.seq + 1 and event.prev == head.hash:
                    fitting.append(event)
                    head = event.head
            self._add(fitting)

    def trim(self, head: Head) -> None:
        """Forget lines up to `head`, which the ledger holds. The head is durable BEFORE they go."""
        with self.locked():
            self._write_head(self._node, head)
            if self._loose:
                return  # they are chained anew first; the head alone says what counts
            self._rewrite([event for event in self._events if (event.seq or 0) > head.seq])

    def drop(self, uid: str, *, signer: Callable[[str], Signer], fleet: str) -> None:
        """Remove an event that nobody has seen, and chain the ones after it anew."""
        with self.locked():
            rest = [event for event in self._events if event.uid != uid]
            if len(rest) == len(self._events):
                raise Refused(f"no event {uid} in the queue: `gitcoord queue list` shows what there is")
            self._chain_anew(self._node, self._base, rest, signer, fleet)

    def chain_anew(
        self, head: Head, *, without: frozenset[str], signer: Callable[[str], Signer], fleet: str,
        node: str | None = None,
    ) -> None:
        """Chain what is queued after `head`, same uids; under another node id when `node` is given."""
        with self.locked():
            rest = [event for event in (*self._events, *self._loose) if event.uid not in without]
            self._chain_anew(node or self._node, head, rest, signer, fleet)

    def _chain_anew(
        self, node: str, head: Head, events: Sequence[Event], signer: Callable[[str], Signer], fleet: str
    ) -> None:
        base, anew = head, []
        for event in events:
            anew.append(seal(event.draft(), node=node, after=head, signer=signer(event.actor), fleet=fleet))
            head = anew[-1].head
        # The new lines are durable beside the old ones, THEN the head points to them, THEN they take their place:
        # a crash between leaves one or the other, whole.
        write_durably(self.path.with_suffix(".anew"), b"".join(event.line + b"\n" for event in anew))
        self._write_head(node, base, swap=True)
        self._finish_swap()
        self._seen = ()

    def _finish_swap(self) -> None:
        anew = self.path.with_suffix(".anew")
        if anew.exists():
            os.replace(anew, self.path)
        self._write_head(self._node, self._base)

    def _add(self, events: Sequence[Event]) -> None:
        if not events:
            return
        data = b"".join(event.line + b"\n" for event in events)
        with open(self.path, "ab", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:]) or 0
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(start)  # what was not acknowledged must not be sent either
                raise
        self._events.extend(events)
        self._seen = self.signature()

    def _rewrite(self, rest: Sequence[Event]) -> None:
        if rest:
            write_durably(self.path, b"".join(event.line + b"\n" for event in rest))
        else:
            os.truncate(self.path, 0)  # the head says that nothing in it counts: no need to sync
        self._events, self._loose = list(rest), []
        self._seen = self.signature()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the queue: short, never across the network. Disk trouble inside pauses the node."""
        check_not_paused(self.home)
        with pausing(self.home):
            self._acquire()
            try:
                self._refresh(mend=True)
                yield
            finally:
                self._lock.release()

    def _acquire(self) -> None:
        try:
            for attempt in tenacity.Retrying(
                stop=tenacity.stop_after_attempt(LOCK_ATTEMPTS), wait=tenacity.wait_random(0, 0.2), reraise=True,
                retry=tenacity.retry_if_exception_type(filelock.Timeout),
            ):
                with attempt:
                    self._lock.acquire(timeout=LOCK_WAIT_S, poll_interval=0.002)
        except filelock.Timeout:
            raise LockHeld(
                f"Failed to acquire lock on {self.path.name}: another process holds {self._lock.lock_file} "
                f"since {LOCK_ATTEMPTS} attempts; end it, then try again"
            ) from None

    # Reading

    def signature(self) -> tuple[object, ...]:
        """Differs whenever any process has changed the queue."""
        found: list[object] = []
        for path in (self.path, self._head_path):
            try:
                stat = path.stat()
                found += [stat.st_ino, stat.st_size, stat.st_mtime_ns]
            except FileNotFoundError:
                found.append(None)
        return tuple(found)

    def _refresh(self, *, mend: bool = False) -> None:
        signature = self.signature()
        if signature == self._seen:
            return
        head = self._read_head()
        if head.swap and mend:
            self._node, self._base = head.node, head.base
            self._finish_swap()
        anew = self.path.with_suffix(".anew")
        source = anew if head.swap and not mend and anew.exists() else self.path
        self._node, self._base = head.node, head.base
        self._chain(self._read(source), mend=mend)
        self._seen = self.signature()

    def _read_head(self) -> _HeadFile:
        try:
            value = json.loads(self._head_path.read_bytes())
            base = Head(int(value["seq"]), str(value["hash"]))
            return _HeadFile(str(value["node"]), base, bool(value.get("swap")))
        except FileNotFoundError:
            raise Refused(f"no queue at {self.home}: run `gitcoord init` first") from None
        except (ValueError, KeyError, TypeError) as wrong:
            raise Corrupt(f"{self._head_path} is damaged ({wrong}): restore it from a backup, or remove "
                          f"{self.home} and run `gitcoord init`, which joins as a new node") from None

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""

    def _chain(self, data: bytes, *, mend: bool) -> None:
        """Read the lines that follow the base. What does not fit stays `loose`, to be chained anew.

        A torn last line was never acknowledged, a damaged one cannot be read: both are set aside.
        """
        head = self._base
        self._events, self._loose = [], []
        lines = data.split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                event = parse(line)
            except Malformed as wrong:
                if mend:
                    self._set_aside(number, line, str(wrong))
                continue
            if event.node == self._node and (event.seq or 0) <= self._base.seq:
                continue
            if event.node == self._node and event.seq == head.seq + 1 and event.prev == head.hash:
                self._events.append(event)
                head = event.head
            else:
                self._loose.append(event)
        if mend and lines[-1]:
            self._end_last_line(lines[-1])

    def _set_aside(self, number: int, line: bytes, reason: str) -> None:
        text = line.decode("utf-8", "backslashreplace")
        record = {"file": self.path.name, "number": number, "reason": reason, "line": text}
        with open(self.home / "events.error.log", "ab") as errors:
            errors.write(json.dumps(record).encode() + b"\n")

    def _end_last_line(self, line: bytes) -> None:
        """Cut a torn last line off; a whole one only lacked its newline."""
        if self._events and self._events[-1].line == line:
            with open(self.path, "ab") as file:
                file.write(b"\n")
        else:
            os.truncate(self.path, self.path.stat().st_size - len(line))

    def _write_head(self, node: str, base: Head, *, swap: bool = False) -> None:
        value = {"node": node, "seq": base.seq, "hash": base.hash} | ({"swap": True} if swap else {})
        write_durably(self._head_path, json.dumps(value).encode())
        self._node, self._base = node, base
