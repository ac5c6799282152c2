"""The ledger branch: how a reader keeps the lines that it trusts, no matter who pushes there, and folds them.

A commit's tree is always written from the trusted copy, never from the tree that was found: to write is to repair.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.format.event import Event, parse
from gitcoord.core.format.strict_json import Malformed
from gitcoord.core.ledger.log_files import File, Log, LogFiles, lines_of, segment_path
from gitcoord.core.ledger.trees import clean, place, root_of
from gitcoord.core.ports import Objects, Oid, TreeEntry

SEGMENTS_AT_HAND = 32  # segments whose lines a reader caches: half a megabyte


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that takes no position, or a trusted line that is gone from the branch."""

    commit: Oid
    file: str
    number: int  # in that file, from 1; 0: the file itself is bad
    line: bytes
    reason: str

    @property
    def where(self) -> str:
        return f"{self.file}{f':{self.number}' if self.number else ''} in commit {self.commit[:12]}"


@dataclass(frozen=True, slots=True)
class RawLine:
    """One raw line as found in a commit's tree."""

    file: str
    number: int
    line: bytes


class LedgerBranch:
    """One reader's trusted copy of the ledger, and its fold. Feed it commits in their order."""

    def __init__(self, objects: Objects, fleet: FleetState) -> None:
        self.objects = objects
        self.fleet = fleet
        self.files = LogFiles(objects)
        self.log = Log()
        self.tip: Oid | None = None
        self.root: dict[str, TreeEntry] = {}  # the root of the tip's tree
        self.damaged = False  # the tip's lines differ from the trusted copy
        self.damages = 0  # number of applied commits whose lines did
        self.fully_walked = True  # every commit from the first was read, so that any tampering between was seen
        # position of the checkpoint that this fold began with; 0: every line was folded here
        self.checkpoint_position = 0
        self.rejected_checkpoint: Oid | None = None  # the newest checkpoint that differs from the fold
        self.bad: list[BadLine] = []
        self._reported: set[tuple[bytes, str]] = set()  # lines in `bad`, while the damage lasts: each is noted once
        self._shapes: dict[Oid, tuple[tuple[Oid, ...], bytes]] = {}  # the log files of the commits compared last

    def apply_commit(self, commit: Oid, *, known: Mapping[bytes, Event | None] | None = None) -> None:
        """Read one commit after the trusted ones, and fold its new lines. Bad content never makes it fail.

        `known`: lines whose form and signature were checked already.
        """
        root = root_of(self.objects, commit)
        listing = self.files.listing(root)
        common = _in_common(self.log.segments, listing.segments)
        trusted = [line for oid in self.log.segments[common:] for line in lines_of(self.objects.blob(oid))]
        trusted += self.log.open
        files = self.files.files(listing, common)
        first: list[File] = []
        while sum(len(file.lines) for file in first) < len(trusted) and (file := next(files, None)):
            first.append(file)
        found = [line for file in first for line in file.lines]
        fits = trusted == found[: len(trusted)]
        take = _Taking(self, commit, known or {})
        if fits:
            take.files(chain(first, files), skip=len(trusted))
        else:
            take.lines(self._compare(commit, self._trusted(common), [*first, *files]))
        self.damaged = not (fits and take.whole)
        if self.damaged:
            self.damages += 1
            self.log = replace(self.log, open=(*self.log.open, *take.taken))
        else:
            self._reported.clear()
            self.log = Log(listing.segments, (*self.log.counts[:common], *take.counts[:-1]), tuple(take.last))
        self.tip, self.root = commit, root

    def note(self, bad: BadLine) -> None:
        """Add a bad line to `bad`, once while the damage lasts."""
        key = (bad.line, bad.reason)
        if key not in self._reported and len(self.bad) < limits.BAD_LINES_MAX:
            self._reported.add(key)
            self.bad.append(bad)

    def extends(self, older: Oid, newer: Oid) -> bool:
        """Return whether the log of commit `newer` begins with the log of `older`. No line is parsed."""
        segments, tail = self._shape(older)
        more, end = self._shape(newer)
        if more[: len(segments)] != segments:
            return False
        return (b"".join(self.files.bytes_of(oid) for oid in more[len(segments) :]) + end).startswith(tail)

    def _shape(self, commit: Oid) -> tuple[tuple[Oid, ...], bytes]:
        if commit not in self._shapes:
            listing = self.files.listing(root_of(self.objects, commit))
            entry = listing.open
            tail = b"" if entry is None or entry.is_tree else self.files.bytes_of(entry.oid)
            self._shapes = dict([*self._shapes.items()][-1:]) | {commit: (listing.segments, tail)}
        return self._shapes[commit]

    def _trusted(self, common: int) -> list[RawLine]:
        """Return the trusted lines after the first `common` segments, with their files and numbers."""
        trusted = []
        for index, oid in enumerate(self.log.segments[common:], common):
            path = segment_path(index)
            trusted += [RawLine(path, number, line) for number, line in enumerate(lines_of(self.objects.blob(oid)), 1)]
        return trusted + [RawLine(self.log.open_path, number, line) for number, line in enumerate(self.log.open, 1)]

    def _compare(self, commit: Oid, trusted: Sequence[RawLine], files: Sequence[File]) -> Iterator[RawLine]:
        """Yield the found lines that are not trusted ones; note trusted lines that are gone or moved as bad."""
        for file in files:
            if file.trouble:
                self.note(BadLine(commit, file.path, 0, b"", file.trouble))
        expected = {one.line: index for index, one in enumerate(trusted)}
        first = self.fleet.position - len(trusted) + 1
        seen: set[bytes] = set()
        last = -1
        for file in files:
            for number, line in enumerate(file.lines, 1):
                index = expected.get(line)
                if index is None or line in seen:
                    yield RawLine(file.path, number, line)
                    continue
                if index < last:
                    self.note(BadLine(commit, file.path, number, line, f"position {first + index} was moved"))
                last = max(last, index)
                seen.add(line)
        for index, one in enumerate(trusted):
            if one.line not in seen:
                self.note(
                    BadLine(
                        commit,
                        one.file,
                        one.number,
                        one.line,
                        f"the line of position {first + index} was removed or altered",
                    )
                )

    def resume(self, fleet: FleetState, log: Log, root: Mapping[str, TreeEntry], commit: Oid) -> None:
        """Continue from `fleet`, which was folded up to `commit`: its tree has `root`, and in it `log`.

        Raise ValueError if they do not fit.
        """
        if len(log.counts) != len(log.segments) or sum(log.counts) + len(log.open) != fleet.position:
            raise ValueError("a fold of another log")
        self.fleet, self.log = fleet, log
        self.tip, self.root, self.fully_walked = commit, dict(root), False

    def fold_anew(self, taken: Sequence[bytes]) -> None:
        """Fold all lines again, those of the log and `taken` after them, since a revocation reaches back.

        Raise Corrupt if the fold began with a checkpoint that does not fit the lines before it.
        """
        read, before = self.line_at(), sum(self.log.counts) + len(self.log.open)
        lines = [*(read(position) for position in range(1, before + 1)), *taken]
        while self.fleet.revocations.learnt is not None:  # each fold knows one revocation more, or refuses one more
            fleet = self.fleet.anew()
            for line in lines:
                try:
                    if self.checkpoint_position:
                        fleet.append(line, is_again=True)
                    else:
                        fleet.append_verified(parse(line), is_again=True)
                except (Inadmissible, Malformed) as wrong:
                    raise Corrupt(
                        f"position {fleet.position + 1} cannot be folded again ({wrong}): run "
                        "`gitcoord verify`, which folds every event"
                    ) from None
                if fleet.revocations.learnt is not None:
                    break
            self.fleet = fleet
        self.checkpoint_position = 0  # every line was folded here now

    # Writing

    def extend(self, lines: Sequence[bytes], cuts: Container[int] = ()) -> Log:
        """Return the trusted log with `lines` appended, and full files sealed; many lines are cut at `cuts` too."""
        return self.files.extended(self.log, lines, cuts)

    def write(self, log: Log, files: Mapping[str, bytes | None]) -> Oid:
        """Write the tree that holds `log`, the tip's other files, and `files` (None: removed). Return its id."""
        root = clean(self.root)
        self.files.put(log, root)
        for path, data in files.items():
            place(self.objects, root, path.split("/"), data)
        return self.objects.put_tree(root)

    # Reading

    def line_at(self) -> Callable[[int], bytes]:
        """Return a function that reads the line at a position, and caches the segments that it read last."""
        starts, total = [], 1
        for count in self.log.counts:
            starts.append(total)
            total += count
        cache: dict[int, list[bytes]] = {}

        def read(position: int) -> bytes:
            if position >= total:
                return self.log.open[position - total]
            index = bisect_right(starts, position) - 1
            if index not in cache:
                if len(cache) > SEGMENTS_AT_HAND:
                    cache.clear()
                cache[index] = lines_of(self.objects.blob(self.log.segments[index]))
                if len(cache[index]) != self.log.counts[index]:  # the counts may come from a checkpoint
                    raise Corrupt(
                        f"{segment_path(index)} does not hold {self.log.counts[index]} lines, as the "
                        "checkpoint says with which this clone began: run `gitcoord verify`"
                    )
            return cache[index][position - starts[index]]

        return read


class _Taking:
    """Folds the lines of one commit, and notes the bad ones."""

    def __init__(self, branch: LedgerBranch, commit: Oid, known: Mapping[bytes, Event | None]) -> None:
        self.branch, self.commit, self.known = branch, commit, known
        self.whole = True  # no bad line was met
        self.taken: list[bytes] = []
        self.counts: list[int] = []  # the number of lines of each file
        self.last: Sequence[bytes] = ()  # the lines of the last file

    def files(self, files: Iterable[File], *, skip: int) -> None:
        """Fold all lines but the first `skip`."""
        for file in files:
            if file.trouble:
                self._note(file.path, 0, b"", file.trouble)
            for number, line in enumerate(file.lines[skip:], skip + 1):
                self._take(file.path, number, line)
            skip = max(0, skip - len(file.lines))
            self.counts.append(len(file.lines))
            self.last = file.lines

    def lines(self, lines: Iterable[RawLine]) -> None:
        for one in lines:
            self._take(one.file, one.number, one.line)

    def _take(self, file: str, number: int, line: bytes) -> None:
        event = self.known.get(line)
        try:
            if event is None:
                self.branch.fleet.append(line)
            else:
                self.branch.fleet.append_verified(event)
        except Inadmissible as wrong:
            self._note(file, number, line, str(wrong))
        else:
            self.taken.append(line)
            if self.branch.fleet.revocations.learnt is not None:
                self.branch.fold_anew(self.taken)

    def _note(self, file: str, number: int, line: bytes, reason: str) -> None:
        self.branch.note(BadLine(self.commit, file, number, line, reason))
        self.whole = False


def _in_common(mine: Sequence[Oid], theirs: Sequence[Oid]) -> int:
    """Return how many segments from the first on are the same."""
    if mine is theirs:
        return len(mine)
    return next((n for n, (one, other) in enumerate(zip(mine, theirs)) if one != other), min(len(mine), len(theirs)))
