"""The content of the queue's two files: chained lines, lines that do not fit the chain, and damaged ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, Refused
from gitcoord.core.format.event import Event, Head, parse
from gitcoord.core.format.strict_json import Malformed
from gitcoord.core.text import as_json
from gitcoord.store import typed_json

READ_BYTES = 64 * 1024  # at a time


@dataclass(frozen=True, slots=True)
class _Head:
    """`head.json` as it is written."""

    node: str
    seq: int
    hash: str
    swap: bool = False
    keys: list[str] = field(default_factory=list)


class HeadFile(NamedTuple):
    """`head.json`: the node's id, and the head of its chain before the queue."""

    node: str
    base: Head
    swap: bool = False  # a rechained queue is complete, and replaces the old one next
    keys: tuple[str, ...] = ()  # keys in the chain before the queue, as far as is known

    def text(self) -> bytes:
        """Return the content of the file."""
        value: dict[str, Any] = {"node": self.node, "seq": self.base.seq, "hash": self.base.hash}
        value |= {"keys": list(self.keys)} if self.keys else {}
        return json.dumps(value | ({"swap": True} if self.swap else {})).encode()

    @classmethod
    def parse(cls, data: bytes | None, path: Path) -> HeadFile:
        """Return the head in `data`. Raise Refused if there is none, Corrupt if it is damaged."""
        if data is None:
            raise Refused(f"no queue at {path.parent}: run `gitcoord init` first")
        try:
            value = typed_json.read(_Head, data)
            return cls(value.node, Head(value.seq, value.hash), value.swap, tuple(value.keys))
        except ValueError as wrong:
            raise Corrupt(
                f"{path} is damaged ({wrong}): restore it from a backup, or move {path.parent} away and run "
                "`gitcoord init`, which joins as a new node; events.offline.log there holds what was "
                "queued"
            ) from None


class Damaged(NamedTuple):
    """A line that is no event."""

    number: int
    line: bytes
    reason: str

    def text(self, file: str) -> bytes:
        """Return the line of `events.error.log` that reports it."""
        shown = self.line[: limits.EVENT_BYTES_MAX].decode("utf-8", "backslashreplace")
        record = {"file": file, "number": self.number, "reason": self.reason, "bytes": len(self.line), "line": shown}
        return as_json(record).encode() + b"\n"


@dataclass(slots=True)
class _Tail:
    """Where to read on: after `at` bytes, if the line before that is still `last`."""

    at: int = 0
    last: bytes = b""


class Content:
    """The queue as it was read. If it is `untidy`, it has dead bytes, which the next holder of the lock removes."""

    def __init__(
        self, base: Head = Head(), events: Iterable[Event] = (), loose: Iterable[Event] = (), keys: Iterable[str] = ()
    ) -> None:
        self.base = base
        self.head = base
        self.keys = set(keys)  # keys in the chain up to its end
        self.events: list[Event] = []
        self.loose = list(loose)
        self.uids: set[str] = {event.uid for event in self.loose}
        self.damaged: list[Damaged] = []
        self.untidy = False
        self._tail = _Tail()
        self.add(list(events))
        for event in self.loose:
            self._passed(event.line)

    def add(self, events: Sequence[Event]) -> None:
        """Add chained lines that were written to the end of the file."""
        for event in events:
            self._passed(event.line)
        self._chain(events)

    def all(self) -> list[Event]:
        """Return every event once: the chained ones, then those that do not fit."""
        found: dict[str, Event] = {}
        for event in (*self.events, *self.loose):
            found.setdefault(event.uid, event)
        return list(found.values())

    def holds(self, head: Head) -> bool:
        """Return whether the chain has a line with that number and that hash."""
        place = head.seq - self.base.seq - 1
        return 0 <= place < len(self.events) and self.events[place].head == head

    def forget(self, head: Head) -> None:
        """Drop the lines up to `head`, which the chain has. They may stay in the file."""
        self.base, self.events = head, self.after(head)
        self.uids = {event.uid for event in (*self.events, *self.loose)}

    def keys_until(self, head: Head) -> set[str]:
        """Return the keys of the lines up to `head`, which the chain has."""
        return {event.key for event in self.events[: head.seq - self.base.seq]}

    def after(self, head: Head) -> list[Event]:
        """Return the chained events after `head`, which the chain has."""
        return self.events[head.seq - self.base.seq :]

    def _chain(self, events: Sequence[Event]) -> None:
        self.events.extend(events)
        self.uids.update(event.uid for event in events)
        self.keys.update(event.key for event in events)
        if events:
            self.head = events[-1].head

    def _passed(self, line: bytes) -> None:
        self._tail = _Tail(self._tail.at + len(line) + 1, line)

    # Reading

    @classmethod
    def parse(cls, head: HeadFile, data: bytes, *, whole: bool) -> Content:
        """Return the content of the whole file. With `whole`, nobody is writing, so a last line without an end is torn.

        A torn line was never acknowledged. Lines that chain up to the base are in the ledger already: a crash came
        before they were removed.
        """
        content = cls(head.base, keys=head.keys)
        old: dict[str, Event] = {}
        others: list[Event] = []
        *lines, rest = data.split(b"\n")
        for number, line in enumerate([*lines, rest] if whole else lines, 1):
            event = content._read(number, line)
            if event is None:
                continue
            if event.node == head.node and event.seq == content.head.seq + 1 and event.prev == content.head.hash:
                content._chain([event])
            elif event.node == head.node and (event.seq or 0) <= head.base.seq:
                old[event.head.hash] = event
            else:
                others.append(event)
        hash_ = head.base.hash
        while hash_ in old:
            hash_ = old.pop(hash_).prev or ""
        content._fit([*old.values(), *others])
        dead = bool(data) and not (content.events or content.loose)  # a crash came between the head and the trimming
        content.untidy = bool(content.damaged or rest) or dead
        content._tail = _Tail(len(data) - len(rest), lines[-1] if lines else b"")
        return content

    def _read(self, number: int, line: bytes) -> Event | None:
        if not line:
            return None
        try:
            return parse(line)
        except Malformed as wrong:
            self.damaged.append(Damaged(number, line, str(wrong)))
            return None

    def _fit(self, others: Sequence[Event]) -> None:
        """Add those lines to the chain that continue it, since a restored line is behind its successors. The others are
        loose."""
        after = {event.prev: event for event in others}
        fitting = {}
        while (event := after.get(self.head.hash)) is not None and event.seq == self.head.seq + 1:
            self._chain([event])
            fitting[event.line] = event
        self.loose = [event for event in others if event.line not in fitting]
        self.uids.update(event.uid for event in self.loose)

    def grow(self, path: Path, node: str, *, whole: bool) -> bool:
        """Read what was appended since the last read. Return False if the whole file must be read."""
        if self.loose or self.untidy or not self._tail.at:
            return False
        last = self._tail.last + b"\n"
        try:
            with open(path, "rb") as file:
                file.seek(self._tail.at - len(last))
                data = file.read()
        except FileNotFoundError:
            return False
        if not data.startswith(last):
            return False  # the last line contains the hash of all before it, so otherwise none of them has changed
        *lines, rest = data[len(last) :].split(b"\n")
        if rest and whole:
            return False
        head, events = self.head, []
        for line in lines:
            try:
                event = parse(line)
            except Malformed:
                return False
            if event.node != node or event.seq != head.seq + 1 or event.prev != head.hash:
                return False
            events.append(event)
            head = event.head
        self.add(events)
        self.untidy = bool(rest)
        return True


def joined(events: Iterable[Event]) -> bytes:
    """Return the events' lines, as a file has them."""
    return b"".join(event.line + b"\n" for event in events)


def read(path: Path) -> bytes | None:
    """Return the file's bytes; None if it does not exist. No file object is opened, because this is called often."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    try:
        parts = []
        while part := os.read(file, READ_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)
