"""Lines of diffs: where an inline comment may be. A comment on a line outside the diff fails the whole review."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from gitcoord.github.api.models import ChangedFile

Side = Literal["LEFT", "RIGHT"]

_SPAN = re.compile(r"@@ -(\d+)(?:,(\d+))? ")
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


def lines(patch: str | None) -> Iterator[tuple[Side, int, str]]:
    """Yield (side, line number, mark) of each line that a patch shows; an unchanged one (" ") is on both sides."""
    old = new = 0
    for line in (patch or "").split("\n"):
        hunk = _HUNK.match(line)
        if hunk:
            old, new = int(hunk[1]), int(hunk[2])
        elif not (old or new) or line.startswith("\\"):
            continue  # before the first hunk; "\ No newline at end of file"
        elif line.startswith("+"):
            yield "RIGHT", new, "+"
            new += 1
        elif line.startswith("-"):
            yield "LEFT", old, "-"
            old += 1
        elif line.startswith(" "):
            yield "RIGHT", new, " "
            yield "LEFT", old, " "
            old, new = old + 1, new + 1


def commentable(files: Iterable[ChangedFile]) -> dict[str, frozenset[tuple[Side, int]]]:
    """Return by path the sides and lines on which a comment may be. A file without a patch has none."""
    return {file.path: frozenset((side, number) for side, number, _ in lines(file.patch)) for file in files}


def added(file: ChangedFile) -> list[int]:
    """Return the numbers of the lines that the change added or rewrote, on the new side."""
    return [number for side, number, mark in lines(file.patch) if mark == "+"]


def spans(patch: str) -> list[tuple[int, int]]:
    """Return the first and the last line in the base of each hunk of a patch, with the unchanged lines around it."""
    found = []
    for line in patch.split("\n"):
        hunk = _SPAN.match(line)
        if hunk:
            first, count = int(hunk[1]), int(hunk[2] or 1)
            found.append((first, first + max(count, 1) - 1))
    return found
