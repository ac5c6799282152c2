"""Paths and patterns of paths, from the top of a repository, with `/` between; `*`, `?` and `**` as in .gitignore.

A pattern contains the files that it matches, and everything below the folders that it matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field

from gitcoord.core.errors import Refused
from gitcoord.core.fields import check_name

PARTS_MAX = 50
PATTERN_CHARS_MAX = 500
WILD_CHARS_MAX = 100  # from the part with the first wildcard on: a comparison takes the product of both lengths
_WILD = re.compile(r"[*?]")


def check(pattern: str) -> None:
    """Raise Refused unless `pattern` is valid."""
    names = pattern.strip("/").split("/")
    if pattern.startswith("/") or not {"", ".", ".."}.isdisjoint(names) or "\\" in pattern:
        raise Refused(f"{pattern!r} is not a path inside the repository: write it from the top, such as src/auth/**")
    if len(names) > PARTS_MAX or len(pattern) > PATTERN_CHARS_MAX:
        raise Refused(f"{pattern[:40]!r}… has more than {PARTS_MAX} parts, or {PATTERN_CHARS_MAX} characters")
    wild = next((number for number, name in enumerate(names) if is_wild(name)), len(names))
    if len("/".join(names[wild:])) > WILD_CHARS_MAX:
        raise Refused(f"{pattern[:40]!r}… has more than {WILD_CHARS_MAX} characters from its first wildcard on")
    try:
        check_name(pattern)
    except ValueError as wrong:
        raise Refused(f"{pattern!r} is not a path: {wrong}") from None


def _pattern(text: str) -> str:
    try:
        check(text)
    except Refused as wrong:
        raise ValueError(str(wrong)) from None
    return text


Pattern = Annotated[str, Field(min_length=1, max_length=PATTERN_CHARS_MAX), AfterValidator(_pattern)]
"""A field for a path, or a pattern of paths."""


def holds(pattern: str, path: str) -> bool:
    """Return whether a pattern matches a path. The beginnings of most of them differ, which is quick to see."""
    head = _WILD.split(pattern.strip("/"), maxsplit=1)[0]
    return f"{path}/".startswith(head) and overlap(pattern, path)


def parts(pattern: str) -> list[str]:
    """Return its parts. A pattern has all that is below what it matches, so `src/**` is as `src`."""
    names = pattern.strip("/").split("/")
    while names and names[-1] == "**":
        names.pop()
    return names


def is_wild(part: str) -> bool:
    return "*" in part or "?" in part


def may_meet(one: str, other: str) -> bool:
    """Return False where the first parts that differ tell two patterns apart."""
    for part, rival in zip(parts(one), parts(other)):
        if part == rival and not is_wild(part):
            continue
        begin, start = _WILD.split(part, maxsplit=1)[0], _WILD.split(rival, maxsplit=1)[0]
        return "**" in (part, rival) or begin.startswith(start) or start.startswith(begin)
    return True


def overlap(one: str, other: str) -> bool:
    """Return whether some path matches both patterns."""
    return compare(one, other)[0]


@lru_cache(maxsize=10_000)
def compare(one: str, other: str) -> tuple[bool, int]:
    """Return whether some path is in both, and how many steps it took to tell: the same number on every machine."""
    if not may_meet(one, other):
        return False, 1
    return _meet((*parts(one), "**"), (*parts(other), "**"), "**", _names_meet)


@lru_cache(maxsize=10_000)
def _names_meet(one: str, other: str) -> tuple[bool, int]:
    if not is_wild(one) and not is_wild(other):
        return one == other, 1
    return _meet(one, other, "*", lambda a, b: (a == b or "?" in (a, b), 0))


def _meet(
    one: Sequence[str], other: Sequence[str], star: str, meets: Callable[[str, str], tuple[bool, int]]
) -> tuple[bool, int]:
    """Return whether some word matches both patterns, where `star` matches any number of letters.

    Row by row, as for an edit distance: whether the first i of one and the first j of the other have one.
    """
    row, steps = [True], (len(one) + 1) * (len(other) + 1)
    for rival in other:
        row.append(row[-1] and rival == star)
    for part in one:
        above, row = row, [row[0] and part == star]
        for j, rival in enumerate(other):
            if star in (part, rival):
                row.append(above[j + 1] or row[j])
            elif above[j]:
                found, more = meets(part, rival)
                row.append(found)
                steps += more
            else:
                row.append(False)
    return row[-1], steps
