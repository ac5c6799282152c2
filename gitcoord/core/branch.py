"""The ledger branch: how lines lie in its tree, and how a reader keeps what it trusts.

`events.log` holds the newest lines; at 8 KiB it is sealed into immutable segments, 100 to a folder. A commit's
tree is always written from the trusted copy, never from what was found: to write is to repair.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt
from gitcoord.core.fleet import Fleet, Inadmissible, Recorded
from gitcoord.core.ports import Entry, Objects, Oid

OPEN = "events.log"
SEALED = "events"


@dataclass(frozen=True, slots=True)
class Log:
    """The lines of a ledger: sealed segments (blob ids, with their numbers of lines) and the open end."""

    segments: tuple[Oid, ...] = ()
    counts: tuple[int, ...] = ()
    open: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that takes no position (or, `missing`, a trusted line that is gone from the branch)."""

    commit: Oid
    file: str
    number: int  # in that file, from 1
    line: bytes
    reason: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number} in commit {self.commit[:12]}"


@dataclass(frozen=True, slots=True)
class Found:
    """One raw line as it lies in a commit's tree."""

    file: str
    number: int
    line: bytes


def segment_path(index: int) -> str:
    return f"{SEALED}/{index // limits.SEGMENTS_PER_FOLDER:04d}/{index:08d}.log"


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a log file; a last one without a newline counts too."""
    lines = data.split(b"\n")
    if lines and lines[-1] == b"":
        lines.pop()
    return lines


class Branch:
    """One reader's trusted copy of the ledger, and its fold. Feed it commits in their order."""

    def __init__(self, objects: Objects, fleet: Fleet) -> None:
        self.objects = objects
        self.fleet = fleet
        self.log = Log()
        self.tip: Oid | None = None
        self.damaged = False  # what lies on the branch differs from the trusted copy
        self.bad: list[Bad] = []
        self._sealed_oid: Oid | None = None  # the `events` tree that `log.segments` was read from

    def absorb(self, commit: Oid) -> list[Recorded]:
        """Read one commit on top of what is trusted, and fold what is new. Never fails on bad content."""
        root = self.objects.tree(self.objects.commit(commit).tree)
        common, found = self._new_lines(root)
        trusted = [line for oid in self.log.segments[common:] for line in lines_of(self.objects.blob(oid))]
        trusted.extend(self.log.open)
        fits = len(found) >= len(trusted) and all(f.line == t for f, t in zip(found, trusted))
        fresh = found[len(trusted):] if fits else list(self._compare(commit, trusted, found))
        recorded, bad = self._take(commit, fresh)
        self.damaged = bool(bad) or not fits
        if self.damaged:
            self.bad.extend(bad)
            self.log = replace(self.log, open=self.log.open + tuple(r.event.line for r in recorded))
            self._sealed_oid = None
        else:
            self.log = self._as_found(root, common, found)
        self.tip = commit
        return recorded

    def _take(self, commit: Oid, fresh: Sequence[Found]) -> tuple[list[Recorded], list[Bad]]:
        recorded, bad = [], []
        for one in fresh:
            try:
                recorded.append(self.fleet.take(one.line))
            except Inadmissible as wrong:
                bad.append(Bad(commit, one.file, one.number, one.line, str(wrong)))
        return recorded, bad

    def _new_lines(self, root: Mapping[str, Entry]) -> tuple[int, list[Found]]:
        """How many leading segments are as trusted, and every line that lies after those."""
        segments = self._segments_of(root)
        common = 0
        for mine, theirs in zip(self.log.segments, segments):
            if mine != theirs:
                break
            common += 1
        found: list[Found] = []
        for index in range(common, len(segments)):
            path = segment_path(index)
            lines = lines_of(self._blob(segments[index]))
            found.extend(Found(path, number, line) for number, line in enumerate(lines, 1))
        open_entry = root.get(OPEN)
        data = self._blob(open_entry.oid) if open_entry and not open_entry.is_tree else b""
        found.extend(Found(OPEN, number, line) for number, line in enumerate(lines_of(data), 1))
        return common, found

    def _blob(self, oid: Oid) -> bytes:
        try:
            return self.objects.blob(oid)
        except Corrupt:
            return b""  # a tree may name what was never a blob: its lines are missing, and said so

    def _segments_of(self, root: Mapping[str, Entry]) -> tuple[Oid, ...]:
        sealed = root.get(SEALED)
        if sealed is None or not sealed.is_tree:
            return ()
        if sealed.oid == self._sealed_oid:
            return self.log.segments
        segments: list[Oid] = []
        for _, folder in sorted(self.objects.tree(sealed.oid).items()):
            if folder.is_tree:
                files = sorted(self.objects.tree(folder.oid).items())
                segments.extend(entry.oid for name, entry in files if not entry.is_tree and name.endswith(".log"))
        return tuple(segments)

    def _compare(self, commit: Oid, trusted: list[bytes], found: list[Found]) -> Iterator[Found]:
        """The found lines that are not trusted ones; what is gone or moved is recorded as bad."""
        expected = {line: place for place, line in enumerate(trusted)}
        seen: set[bytes] = set()
        last = -1
        for one in found:
            place = expected.get(one.line)
            if place is None or one.line in seen:
                yield one
                continue
            if place < last:
                self.bad.append(Bad(commit, one.file, one.number, one.line, "moved from its place"))
            last = max(last, place)
            seen.add(one.line)
        first = self.fleet.position - len(trusted) + 1
        for place, line in enumerate(trusted):
            if line not in seen:
                reason = f"the line of position {first + place} was removed or altered"
                self.bad.append(Bad(commit, OPEN, place + 1, line, reason))

    def _as_found(self, root: Mapping[str, Entry], common: int, found: Sequence[Found]) -> Log:
        """The log as it lies in a tree that is known to be good."""
        segments = self._segments_of(root)
        sealed = root.get(SEALED)
        self._sealed_oid = sealed.oid if sealed else None
        counts = {segment_path(index): 0 for index in range(common, len(segments))}
        for one in found:
            if one.file != OPEN:
                counts[one.file] += 1
        new_counts = tuple(counts[segment_path(index)] for index in range(common, len(segments)))
        return Log(
            segments, self.log.counts[:common] + new_counts, tuple(one.line for one in found if one.file == OPEN)
        )

    def extend(self, lines: Sequence[bytes]) -> Log:
        """The trusted log with `lines` after it, sealed where that is due. Changes nothing here."""
        segments, counts = list(self.log.segments), list(self.log.counts)
        rest = [*self.log.open, *lines]
        if sum(map(len, rest)) + len(rest) >= limits.SEGMENT_BYTES:
            for chunk in _chunks(rest, limits.SEGMENT_BYTES_MAX):
                segments.append(self.objects.put_blob(b"".join(line + b"\n" for line in chunk)))
                counts.append(len(chunk))
            rest = []
        return Log(tuple(segments), tuple(counts), tuple(rest))

    def write(self, log: Log, files: Mapping[str, bytes | None]) -> Oid:
        """The tree that holds `log`, the tip's other files, and `files` in their place (None: removed)."""
        root = {} if self.tip is None else self.objects.tree(self.objects.commit(self.tip).tree)
        root[OPEN] = Entry(self.objects.put_blob(b"".join(line + b"\n" for line in log.open)))
        if log.segments:
            root[SEALED] = Entry(self._sealed_tree(log), is_tree=True)
        for path, data in files.items():
            _place(self.objects, root, path.split("/"), data)
        return self.objects.put_tree(root)

    def _sealed_tree(self, log: Log) -> Oid:
        per = limits.SEGMENTS_PER_FOLDER
        folders = {}
        for start in range(0, len(log.segments), per):
            names = {
                segment_path(start + offset).rsplit("/", 1)[1]: Entry(oid)
                for offset, oid in enumerate(log.segments[start:start + per])
            }
            folders[f"{start // per:04d}"] = Entry(self.objects.put_tree(names), is_tree=True)
        return self.objects.put_tree(folders)

    def dump(self) -> dict[str, Any]:
        """The fold and where its lines lie, as JSON values: a checkpoint."""
        return {"schema": "gitcoord.checkpoint/1", "fleet": self.fleet.dump(), "counts": list(self.log.counts),
                "open": len(self.log.open)}

    def resume(self, checkpoint: Mapping[str, Any], fleet: Fleet, commit: Oid) -> None:
        """Start from a checkpoint, made at `commit` or an ancestor of it. Raises ValueError if it does not fit."""
        counts, open_lines = tuple(map(int, checkpoint["counts"])), int(checkpoint["open"])
        root = self.objects.tree(self.objects.commit(commit).tree)
        segments = self._segments_of(root)[:len(counts)]
        if len(segments) < len(counts) or sum(counts) + open_lines != fleet.position:
            raise ValueError("the checkpoint is of another log")
        self.fleet, self.log = fleet, Log(segments, counts, ())
        _, found = self._new_lines(root)
        if len(found) < open_lines:
            raise ValueError("the checkpoint is ahead of the log")
        self.log = replace(self.log, open=tuple(one.line for one in found[:open_lines]))
        self.tip = None

    def line_at(self) -> Callable[[int], bytes]:
        """A reader of lines by position, that keeps the last segment at hand."""
        starts, total = [], 1
        for count in self.log.counts:
            starts.append(total)
            total += count
        cache: dict[int, list[bytes]] = {}

        def read(position: int) -> bytes:
            if position >= total:
                return self.log.open[position - total]
            index = _rightmost(starts, position)
            if index not in cache:
                if len(cache) > 32:
                    cache.clear()
                cache[index] = lines_of(self.objects.blob(self.log.segments[index]))
            return cache[index][position - starts[index]]

        return read


def _rightmost(starts: Sequence[int], position: int) -> int:
    return bisect_right(starts, position) - 1


def _chunks(lines: Sequence[bytes], bytes_max: int) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and size + len(line) + 1 > bytes_max:
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line) + 1
    if chunk:
        yield chunk


def _place(objects: Objects, root: dict[str, Entry], path: Sequence[str], data: bytes | None) -> None:
    name = path[0]
    if len(path) == 1:
        if data is None:
            root.pop(name, None)
        else:
            root[name] = Entry(objects.put_blob(data))
        return
    inside = root.get(name)
    entries = objects.tree(inside.oid) if inside is not None and inside.is_tree else {}
    _place(objects, entries, path[1:], data)
    root[name] = Entry(objects.put_tree(entries), is_tree=True)
