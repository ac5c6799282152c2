"""Hunks: the places of a file at which two sides disagree, by the lines and the function of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gitcoord.code.merges import Conflicted, Merge
from gitcoord.code.objects import Repository

HUNKS_MAX = 50  # of one file
LINES_SHOWN_MAX = 40  # of each side of a hunk
_HEADER = re.compile(rb"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@ ?(.*)")


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines from `ours_at` and `theirs_at` on, counted from 1 in each side's own file."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    ours_at: int
    theirs_at: int
    function: str = ""  # as git's own hunk header names it

    @property
    def lines(self) -> int:
        """Return the number of lines of the longer side."""
        return max(len(self.ours), len(self.theirs))


def hunks(repository: Repository, merge: Merge, file: Conflicted) -> list[Hunk]:
    """Return the hunks of a conflict in content; none for every other kind."""
    if file.kind not in ("content", "rename") or file.ours is None or file.theirs is None:
        return []
    merged = repository.blob(f"{merge.tree}:{file.path}") if "\n" not in file.path else b""
    found = list(_marked(merged, merge.ours, merge.theirs))[:HUNKS_MAX]
    places = _functions(repository, merge, file) if found else []
    return [
        Hunk(
            one.ours[:LINES_SHOWN_MAX],
            one.theirs[:LINES_SHOWN_MAX],
            one.ours_at,
            one.theirs_at,
            _at(places, one.ours_at),
        )
        for one in found
    ]


def _marked(merged: bytes, ours_name: str, theirs_name: str) -> Iterator[Hunk]:
    """Yield the hunks between git's conflict markers, which have the names of the sides."""
    side, ours, theirs = "", list[str](), list[str]()
    counts = {"ours": 1, "theirs": 1}
    for raw in merged.split(b"\n"):
        line = raw.decode("utf-8", "replace").removesuffix("\r")
        if not side and line.startswith(f"<<<<<<< {ours_name}"):
            side, ours, theirs = "ours", [], []
        elif side == "ours" and line == "=======":
            side = "theirs"
        elif side == "theirs" and line.startswith(f">>>>>>> {theirs_name}"):
            yield Hunk(tuple(ours), tuple(theirs), counts["ours"], counts["theirs"])
            counts["ours"] += len(ours)
            counts["theirs"] += len(theirs)
            side = ""
        elif side == "ours":
            ours.append(line)
        elif side == "theirs":
            theirs.append(line)
        else:
            counts["ours"] += 1
            counts["theirs"] += 1


def _functions(repository: Repository, merge: Merge, file: Conflicted) -> list[tuple[int, int, str]]:
    """Return (first line, last line, function) of each change of our side."""
    base = repository.merge_base(merge.ours, merge.theirs)
    if base is None:
        return []
    found = []
    for line in repository.hunk_headers(base, merge.ours, file.path):
        header = _HEADER.match(line)
        if header:
            first, count = int(header[1]), int(header[2] or 1)
            found.append((first, first + max(count, 1) - 1, header[3].decode("utf-8", "replace").strip()))
    return found


def _at(places: list[tuple[int, int, str]], line: int) -> str:
    return next((function for first, last, function in places if first - 1 <= line <= last + 1), "")
