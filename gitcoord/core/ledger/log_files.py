"""Log files: the ledger's lines are in numbered files, of which only the last one grows.

`events-0000000030.log` is the open end. When it holds 16 KiB, the next commit moves it as it is into a folder of
`events/`, 64 to each, and begins the next one. The name is made for git, which looks for differences between objects
whose names have one hash, in the order of their sizes. Of an open file that is always called the same, each version is
packed almost whole: a log of 100,000 events took 2.1 times its compressed lines at ten events a commit, and 13.7 times
at one. A file with one name for life packs into one object and tiny differences: 1.3 and 2.6. Its number has base four
because each character moves that hash by two bits: digits from 0 to 3 never fall together, decimal ones do (1.7 times).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, Oversized
from gitcoord.core.ledger.trees import readable, tree_of
from gitcoord.core.ports import Objects, Oid, TreeEntry

SEALED = "events"
AHEAD_FILES_MIN = 32  # for fewer files, a process that reads ahead would start too slowly to help
_OPEN = re.compile(r"events-\d+\.log\Z", re.ASCII)
_SHIFTS = range(2 * limits.SEGMENT_DIGITS - 2, -1, -2)


@dataclass(frozen=True, slots=True)
class Log:
    """The lines of a ledger: sealed segments (blob ids, and their numbers of lines) and the open file's lines."""

    segments: tuple[Oid, ...] = ()
    counts: tuple[int, ...] = ()
    open: tuple[bytes, ...] = ()

    @property
    def open_path(self) -> str:
        return open_path(len(self.segments))


class Listing(NamedTuple):
    """The log files that a tree names. `odd`: a path among them that we would not write; "" if there is none."""

    segments: tuple[Oid, ...]
    open: TreeEntry | None
    odd: str

    @property
    def open_path(self) -> str:
        return open_path(len(self.segments))


class File(NamedTuple):
    """A log file as found. `trouble` says why it could not be read."""

    path: str
    lines: Sequence[bytes]
    trouble: str = ""


@lru_cache(maxsize=4096)
def open_path(index: int) -> str:
    """Return the path of log file `index` while it is the last one."""
    return f"events-{_digits(index)}.log"


def segment_path(index: int) -> str:
    """Return the path of log file `index` after it is sealed."""
    return f"{SEALED}/{_folder(index)}/{open_path(index)}"


def _folder(index: int) -> str:
    """Return the name of the folder of the sealed log file `index`: the leading digits of its number."""
    return _digits(index)[: -limits.SEGMENT_DIGITS_IN_FOLDER]


def _digits(index: int) -> str:
    return "".join([str(index >> shift & 3) for shift in _SHIFTS])


def lines_of(data: bytes) -> list[bytes]:
    """Return the lines of a log file. A last line without a newline counts too."""
    lines = data.split(b"\n")
    if lines and lines[-1] == b"":
        lines.pop()
    return lines


def joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


class LogFiles:
    """The log files of one store of objects. Trees that were read or written before are not read again."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._sealed: tuple[Oid, tuple[Oid, ...], str] = ("", (), "")  # the `events` tree read last, and its content
        self._folders: dict[Oid, tuple[tuple[str, Oid], ...]] = {}
        self._wholes: dict[tuple[Oid, int], tuple[Oid, ...]] = {}
        self._folder_oids: dict[tuple[int, tuple[Oid, ...]], Oid] = {}

    # Reading

    def listing(self, root: Mapping[str, TreeEntry]) -> Listing:
        """Return the log files that a commit's tree names."""
        segments, odd = self._segments_of(root)
        name = open_path(len(segments))
        strays = (other for other in root if other != name and _OPEN.match(other))
        return Listing(segments, root.get(name), odd or next(strays, ""))

    def files(self, listing: Listing, first: int = 0) -> Iterator[File]:
        """Yield the log files in their order, from segment number `first` on. The last one is the open file."""
        if listing.odd:
            yield File(readable(listing.odd), (), "not a log file of ours")
        if len(listing.segments) - first >= AHEAD_FILES_MIN:
            self.objects.ahead(listing.segments[first:])
        for index in range(first, len(listing.segments)):
            yield self._file(segment_path(index), listing.segments[index])
        if listing.open is None:
            yield File(listing.open_path, (), f"{listing.open_path} is missing")
        elif listing.open.is_tree:
            yield File(listing.open_path, (), f"{listing.open_path} is a folder")
        else:
            yield self._file(listing.open_path, listing.open.oid)

    def bytes_of(self, oid: Oid) -> bytes:
        """Return a log file's bytes; none if it cannot be read."""
        try:
            return self.objects.blob(oid, bytes_max=limits.LOG_FILE_BYTES_MAX)
        except Corrupt:
            return b""

    def _file(self, path: str, oid: Oid) -> File:
        try:
            data = self.objects.blob(oid, bytes_max=limits.LOG_FILE_BYTES_MAX)
        except Oversized:
            return File(path, (), f"more than {limits.LOG_FILE_BYTES_MAX} bytes: no log file of ours")
        except Corrupt:
            return File(path, (), "not a file")  # a tree may name what was never a blob
        most = limits.LOG_FILE_LINES_MAX
        if len(data) > most and data.count(b"\n") > most:
            return File(path, (), f"more than {most} lines: no log file of ours")
        return File(path, lines_of(data))

    def _segments_of(self, root: Mapping[str, TreeEntry]) -> tuple[tuple[Oid, ...], str]:
        sealed = root.get(SEALED)
        if sealed is None:
            return (), ""
        if not sealed.is_tree:
            return (), SEALED
        if sealed.oid != self._sealed[0]:
            self._sealed = (sealed.oid, *self._read_sealed(sealed.oid))
        return self._sealed[1:]

    def _read_sealed(self, oid: Oid) -> tuple[tuple[Oid, ...], str]:
        odd = ""
        segments: list[Oid] = []
        seen: set[Oid] = set()
        for folder_name, folder in sorted(tree_of(self.objects, oid).items()):
            ours = self._whole(folder_name, folder, len(segments))
            if ours and seen.isdisjoint((folder.oid, *ours)):
                segments += ours
                seen.update((folder.oid, *ours))
                continue
            # Each file counts once: a small tree could name one folder, or one file, a million times.
            files = self._files_in(folder.oid) if folder.is_tree and folder.oid not in seen else ()
            seen.add(folder.oid)
            if not files:
                odd = f"{SEALED}/{folder_name}"
            for name, file in files:
                path = f"{SEALED}/{folder_name}/{name}"
                odd = odd if path == segment_path(len(segments)) else path
                if file in seen:
                    odd = path
                elif name.endswith(".log"):
                    segments.append(file)
                    seen.add(file)
        return tuple(segments), odd if segments or odd else SEALED

    def _whole(self, name: str, folder: TreeEntry, first: int) -> tuple[Oid, ...]:
        """Return the files of a folder if it is exactly as we would write it, from number `first` on; () if not."""
        key = (folder.oid, first)
        if key not in self._wholes:
            files = self._files_in(folder.oid) if folder.is_tree else ()
            names = [open_path(first + n) for n in range(len(files))]
            good = [file for file, _ in files] == names and len({oid for _, oid in files}) == len(files)
            good = good and len(files) <= limits.SEGMENTS_PER_FOLDER
            self._wholes[key] = tuple(oid for _, oid in files) if good else ()
        return self._wholes[key] if segment_path(first) == f"{SEALED}/{name}/{open_path(first)}" else ()

    def _files_in(self, folder: Oid) -> tuple[tuple[str, Oid], ...]:
        if folder not in self._folders:
            entries = sorted(tree_of(self.objects, folder).items())
            self._folders[folder] = tuple((name + "/" * entry.is_tree, entry.oid) for name, entry in entries)
        return self._folders[folder]

    # Writing

    def extended(self, log: Log, lines: Sequence[bytes], cuts: Container[int] = ()) -> Log:
        """Return `log` with `lines` appended. A full open file is sealed as it is: its object exists already.

        If there are so many lines that they are cut in any case, they are also cut before those at `cuts`.
        """
        if not lines:
            return log
        full = sum(map(len, log.open)) + len(log.open) >= limits.SEGMENT_BYTES
        open_lines = () if full else log.open
        many = sum(map(len, lines)) > limits.SEGMENT_BYTES_MAX
        pieces = [log.open] if full else []
        pieces += _pieces(
            [*open_lines, *lines], limits.SEGMENT_BYTES_MAX, lambda index: many and index - len(open_lines) in cuts
        )
        *sealed, rest = pieces
        oids = [self.objects.put_blob(joined(piece)) for piece in sealed]
        return Log((*log.segments, *oids), (*log.counts, *map(len, sealed)), rest)

    def put(self, log: Log, root: dict[str, TreeEntry]) -> None:
        """Make `root` hold the files of `log`, and no other log files."""
        for name in [name for name in root if name == SEALED or _OPEN.match(name)]:
            del root[name]
        root[log.open_path] = TreeEntry(self.objects.put_blob(joined(log.open)))
        if log.segments:
            root[SEALED] = TreeEntry(self._put_sealed(log.segments), is_tree=True)

    def _put_sealed(self, segments: tuple[Oid, ...]) -> Oid:
        if self._sealed[1:] == (segments, ""):
            return self._sealed[0]
        per = limits.SEGMENTS_PER_FOLDER
        folders = {}
        for start in range(0, len(segments), per):
            oids = segments[start : start + per]
            folder = self._folder_oids.get((start, oids))
            if folder is None:
                folder = self.objects.put_tree({open_path(start + n): TreeEntry(oid) for n, oid in enumerate(oids)})
                if len(oids) == per:
                    self._folder_oids[start, oids] = folder
            folders[_folder(start)] = TreeEntry(folder, is_tree=True)
        return self.objects.put_tree(folders)


def _pieces(lines: Sequence[bytes], bytes_max: int, is_cut: Callable[[int], bool]) -> list[tuple[bytes, ...]]:
    """Cut `lines`, at least one, where `is_cut` says so, or where a piece would have more than `bytes_max`."""
    pieces: list[tuple[bytes, ...]] = []
    start = size = 0
    for index, line in enumerate(lines):
        if index > start and (size + len(line) + 1 > bytes_max or is_cut(index)):
            pieces.append(tuple(lines[start:index]))
            start, size = index, 0
        size += len(line) + 1
    return [*pieces, tuple(lines[start:])]
