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
from gitcoord.core.errors import Corrupt, Oversized
from gitcoord.core.event import Event
from gitcoord.core.fleet import Fleet, Inadmissible, Recorded
from gitcoord.core.ports import Entry, Objects, Oid

OPEN = "events.log"
SEALED = "events"
_NO_NAMES = (".", "..", ".git")


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
        return f"{self.file}{f':{self.number}' if self.number else ''} in commit {self.commit[:12]}"


@dataclass(frozen=True, slots=True)
class Found:
    """One raw line as it lies in a commit's tree."""

    file: str
    number: int
    line: bytes


@dataclass(frozen=True, slots=True)
class _File:
    """A log file as found. `trouble` says why it could not be read."""

    path: str
    oid: Oid | None
    lines: list[Found]
    trouble: str = ""


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
        self.damages = 0  # commits absorbed that did
        self.walked = True  # every commit from the root was read, so that any tampering between was seen
        self.bad: list[Bad] = []
        self._reported: set[tuple[bytes, str]] = set()  # while the damage lasts: each line is named once
        self._sealed_oid: Oid | None = None  # the `events` tree that `log.segments` was read from
        self._shapes: dict[Oid, tuple[tuple[Oid, ...], bytes]] = {}  # of the commits compared last
        self._folders: dict[Oid, tuple[tuple[str, Oid], ...]] = {}  # files of folder trees read before
        self._folder_oids: dict[tuple[int, tuple[Oid, ...]], Oid] = {}  # folder trees written before

    def absorb(self, commit: Oid, *, known: Mapping[bytes, Event | None] | None = None) -> list[Recorded]:
        """Read one commit on top of what is trusted, and fold what is new. Never fails on bad content.

        `known`: lines whose form and signature were checked already.
        """
        root = root_of(self.objects, commit)
        common, files = self._new_files(root)
        found = [one for file in files for one in file.lines]
        trusted = self._trusted(common)
        fits = len(found) >= len(trusted) and all(f.line == t.line for f, t in zip(found, trusted))
        fresh = found[len(trusted):] if fits else list(self._compare(commit, trusted, found))
        recorded, whole = self._take(commit, fresh, known or {})
        for file in files:
            if file.trouble:
                self._note(Bad(commit, file.path, 0, b"", file.trouble))
                whole = False
        self.damaged = not (fits and whole)
        if self.damaged:
            self.damages += 1
            self.log = replace(self.log, open=self.log.open + tuple(r.event.line for r in recorded))
            self._sealed_oid = None
        else:
            self._reported.clear()
            self.log = self._as_found(root, common, files)
        self.tip = commit
        return recorded

    def extends(self, older: Oid, newer: Oid) -> bool:
        """Whether the log of commit `newer` is that of `older` and then more; no line is looked at."""
        segments, tail = self._shape(older)
        more, end = self._shape(newer)
        if more[:len(segments)] != segments:
            return False
        return (b"".join(self._bytes(oid) for oid in more[len(segments):]) + end).startswith(tail)

    def _shape(self, commit: Oid) -> tuple[tuple[Oid, ...], bytes]:
        if commit not in self._shapes:
            root = root_of(self.objects, commit)
            entry = root.get(OPEN)
            tail = b"" if entry is None or entry.is_tree else self._bytes(entry.oid)
            self._shapes = dict([*self._shapes.items()][-1:]) | {commit: (self._segments_of(root)[0], tail)}
        return self._shapes[commit]

    def _bytes(self, oid: Oid) -> bytes:
        try:
            return self.objects.blob(oid, bytes_max=limits.LOG_FILE_BYTES_MAX)
        except Corrupt:
            return b""

    def _take(
        self, commit: Oid, fresh: Sequence[Found], known: Mapping[bytes, Event | None]
    ) -> tuple[list[Recorded], bool]:
        recorded, whole = [], True
        for one in fresh:
            try:
                event = known.get(one.line)
                recorded.append(self.fleet.take(one.line) if event is None else self.fleet.take_checked(event))
            except Inadmissible as wrong:
                self._note(Bad(commit, one.file, one.number, one.line, str(wrong)))
                whole = False
        return recorded, whole

    def _note(self, bad: Bad) -> None:
        key = (bad.line, bad.reason)
        if key not in self._reported and len(self.bad) < limits.BAD_LINES_MAX:
            self._reported.add(key)
            self.bad.append(bad)

    def _trusted(self, common: int) -> list[Found]:
        """The trusted lines after the first `common` segments, and where they belong."""
        trusted = []
        for index, oid in enumerate(self.log.segments[common:], common):
            path = segment_path(index)
            trusted += [Found(path, number, line) for number, line in enumerate(lines_of(self.objects.blob(oid)), 1)]
        return trusted + [Found(OPEN, number, line) for number, line in enumerate(self.log.open, 1)]

    def _new_files(self, root: Mapping[str, Entry]) -> tuple[int, list[_File]]:
        """How many leading segments are as trusted, and every log file that lies after those."""
        segments, odd = self._segments_of(root)
        common = len(segments)
        if segments is not self.log.segments:
            both = zip(self.log.segments, segments)
            common = next((n for n, (mine, theirs) in enumerate(both) if mine != theirs),
                          min(len(segments), len(self.log.segments)))
        files = [self._file(segment_path(index), segments[index]) for index in range(common, len(segments))]
        open_entry = root.get(OPEN)
        if open_entry is None:
            files.append(_File(OPEN, None, [], f"{OPEN} is missing"))
        elif open_entry.is_tree:
            files.append(_File(OPEN, None, [], f"{OPEN} is a folder"))
        else:
            files.append(self._file(OPEN, open_entry.oid))
        if odd:
            files.insert(0, _File(_readable(odd), None, [], "not a log file of ours"))
        return common, files

    def _file(self, path: str, oid: Oid) -> _File:
        try:
            data = self.objects.blob(oid, bytes_max=limits.LOG_FILE_BYTES_MAX)
        except Oversized:
            return _File(path, oid, [], f"more than {limits.LOG_FILE_BYTES_MAX} bytes: no log file of ours")
        except Corrupt:
            return _File(path, oid, [], "not a file")  # a tree may name what was never a blob
        if data.count(b"\n") > limits.LOG_FILE_LINES_MAX:
            return _File(path, oid, [], f"more than {limits.LOG_FILE_LINES_MAX} lines: no log file of ours")
        return _File(path, oid, [Found(path, number, line) for number, line in enumerate(lines_of(data), 1)])

    def _segments_of(self, root: Mapping[str, Entry]) -> tuple[tuple[Oid, ...], str]:
        """The segments in their order, and what lies there that is none of ours ("" when all is)."""
        sealed = root.get(SEALED)
        if sealed is None:
            return (), ""
        if not sealed.is_tree:
            return (), SEALED
        if sealed.oid == self._sealed_oid:
            return self.log.segments, ""
        odd = ""
        segments: list[Oid] = []
        seen: set[Oid] = set()
        for folder_name, folder in sorted(_tree(self.objects, sealed.oid).items()):
            # Lines stand once: a small tree could name one folder, or one file, a million times.
            files = self._files_in(folder.oid) if folder.is_tree and folder.oid not in seen else ()
            seen.add(folder.oid)
            if not files:
                odd = f"{SEALED}/{folder_name}"
            for name, oid in files:
                path = f"{SEALED}/{folder_name}/{name}"
                odd = odd if path == segment_path(len(segments)) else path
                if oid in seen:
                    odd = path
                elif name.endswith(".log"):
                    segments.append(oid)
                    seen.add(oid)
        return tuple(segments), odd if segments or odd else SEALED

    def _files_in(self, folder: Oid) -> tuple[tuple[str, Oid], ...]:
        if folder not in self._folders:
            entries = sorted(_tree(self.objects, folder).items())
            self._folders[folder] = tuple((name + "/" * entry.is_tree, entry.oid) for name, entry in entries)
        return self._folders[folder]

    def _compare(self, commit: Oid, trusted: Sequence[Found], found: Sequence[Found]) -> Iterator[Found]:
        """The found lines that are not trusted ones; what is gone or moved is recorded as bad."""
        expected = {one.line: place for place, one in enumerate(trusted)}
        first = self.fleet.position - len(trusted) + 1
        seen: set[bytes] = set()
        last = -1
        for one in found:
            place = expected.get(one.line)
            if place is None or one.line in seen:
                yield one
                continue
            if place < last:
                self._note(Bad(commit, one.file, one.number, one.line, f"position {first + place} was moved"))
            last = max(last, place)
            seen.add(one.line)
        for place, one in enumerate(trusted):
            if one.line not in seen:
                self._note(Bad(commit, one.file, one.number, one.line,
                               f"the line of position {first + place} was removed or altered"))

    def _as_found(self, root: Mapping[str, Entry], common: int, files: Sequence[_File]) -> Log:
        """The log as it lies in a tree that is known to be good."""
        sealed = root.get(SEALED)
        segments, _ = self._segments_of(root)
        self._sealed_oid = sealed.oid if sealed is not None and sealed.is_tree else None
        counts = tuple(len(file.lines) for file in files[:-1])
        return Log(segments, self.log.counts[:common] + counts, tuple(one.line for one in files[-1].lines))

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
        root = {} if self.tip is None else _clean(root_of(self.objects, self.tip))
        root[OPEN] = Entry(self.objects.put_blob(b"".join(line + b"\n" for line in log.open)))
        root.pop(SEALED, None)
        if log.segments:
            root[SEALED] = Entry(self._sealed_tree(log), is_tree=True)
        for path, data in files.items():
            _place(self.objects, root, path.split("/"), data)
        return self.objects.put_tree(root)

    def _sealed_tree(self, log: Log) -> Oid:
        if log.segments == self.log.segments and self._sealed_oid is not None:
            return self._sealed_oid
        per = limits.SEGMENTS_PER_FOLDER
        folders = {}
        for start in range(0, len(log.segments), per):
            oids = log.segments[start:start + per]
            folder = self._folder_oids.get((start, oids))
            if folder is None or len(oids) < per:
                names = {segment_path(start + n).rsplit("/", 1)[1]: Entry(oid) for n, oid in enumerate(oids)}
                folder = self.objects.put_tree(names)
                if len(oids) == per:
                    self._folder_oids[start, oids] = folder
            folders[f"{start // per:04d}"] = Entry(folder, is_tree=True)
        return self.objects.put_tree(folders)

    def dump(self) -> dict[str, Any]:
        """The fold and where its lines lie, as JSON values: a checkpoint."""
        return {"schema": "gitcoord.checkpoint/1", "fleet": self.fleet.dump(), "counts": list(self.log.counts),
                "open": len(self.log.open)}

    def resume(self, checkpoint: Mapping[str, Any], fleet: Fleet, commit: Oid) -> None:
        """Start from a checkpoint, made at `commit` or an ancestor of it. Raises ValueError if it does not fit."""
        counts, open_lines = tuple(map(int, checkpoint["counts"])), int(checkpoint["open"])
        root = self.objects.tree(self.objects.commit(commit).tree)
        segments = self._segments_of(root)[0][:len(counts)]
        if len(segments) < len(counts) or sum(counts) + open_lines != fleet.position:
            raise ValueError("the checkpoint is of another log")
        self.fleet, self.log = fleet, Log(segments, counts, ())
        _, files = self._new_files(root)
        found = [one for file in files for one in file.lines]
        if len(found) < open_lines:
            raise ValueError("the checkpoint is ahead of the log")
        self.log = replace(self.log, open=tuple(one.line for one in found[:open_lines]))
        self.tip, self.walked = None, False

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


def root_of(objects: Objects, commit: Oid) -> dict[str, Entry]:
    """What lies at the top of a commit; nothing, where somebody has put more than can be read."""
    try:
        return objects.tree(objects.commit(commit).tree)
    except Oversized:
        return {}


def _tree(objects: Objects, oid: Oid) -> dict[str, Entry]:
    """A tree that somebody else wrote; what is none reads as empty."""
    try:
        return objects.tree(oid)
    except Corrupt:
        return {}


def _readable(path: str) -> str:
    """A path that somebody else chose, as it may stand in an event."""
    return path.encode("unicode_escape", "backslashreplace").decode("ascii")[:100]


def _clean(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Without names that git itself would refuse to check out: somebody else may have put them there."""
    return {name: entry for name, entry in entries.items() if name and "/" not in name and name not in _NO_NAMES}


def _place(objects: Objects, root: dict[str, Entry], path: Sequence[str], data: bytes | None) -> None:
    name = path[0]
    if len(path) == 1:
        if data is None:
            root.pop(name, None)
        else:
            root[name] = Entry(objects.put_blob(data))
        return
    inside = root.get(name)
    entries = _clean(_tree(objects, inside.oid)) if inside is not None and inside.is_tree else {}
    _place(objects, entries, path[1:], data)
    root[name] = Entry(objects.put_tree(entries), is_tree=True)
