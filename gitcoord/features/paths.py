"""Paths and patterns of paths, from the top of a repository, with `/` between; `*`, `?` and `**` as in .gitignore.

A pattern contains the files that it matches, and everything below the folders that it matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from gitcoord.core.errors import Refused

PARTS_MAX = 50
PATTERN_CHARS_MAX = 500
WILD_CHARS_MAX = 100  # from the first part with a wildcard on: a comparison takes the product of both lengths
_WILD = re.compile(r"[*?]")


def check(pattern: str) -> None:
    """Raise Refused unless `pattern` is valid."""
    from gitcoord.core.fields import check_name  # 0.05 s to import: the commit hook only compares

    names = pattern.strip("/").split("/")
    if pattern.startswith("/") or not {"", ".", ".."}.isdisjoint(names) or "\\" in pattern:
        raise Refused(f"{pattern!r} is not a path inside the repository: write it from the top, such as src/auth/**")
    if len(names) > PARTS_MAX or len(pattern) > PATTERN_CHARS_MAX:
        raise Refused(
            f"{pattern[:40]!r}… has more than {PARTS_MAX} parts, or {PATTERN_CHARS_MAX} characters: "
            "name a folder above it"
        )
    wild = next((number for number, name in enumerate(names) if is_wild(name)), len(names))
    if len("/".join(names[wild:])) > WILD_CHARS_MAX:
        raise Refused(
            f"{pattern[:40]!r}… has more than {WILD_CHARS_MAX} characters from its first wildcard on: "
            "name a folder instead of the wildcards"
        )
    try:
        check_name(pattern)
    except ValueError as error:
        raise Refused(f"{pattern!r} is not a path: {error}") from None


def matches(pattern: str, path: str) -> bool:
    """Return whether a pattern matches a path. Most pairs differ in their literal prefix, which is compared first."""
    head = _WILD.split(pattern.strip("/"), maxsplit=1)[0]
    return f"{path}/".startswith(head) and overlap(pattern, path)


def parts(pattern: str) -> list[str]:
    """Return the parts between slashes.

    A pattern contains everything below what it matches, so `src/**` equals `src`.
    """
    names = pattern.strip("/").split("/")
    while names and names[-1] == "**":
        names.pop()
    return names


def is_wild(part: str) -> bool:
    return "*" in part or "?" in part


def may_overlap(one: str, other: str) -> bool:
    """Return False if the first parts that differ show that two patterns cannot overlap."""
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
    """Return whether some path matches both patterns, and the steps taken: the same number on every machine."""
    if not may_overlap(one, other):
        return False, 1
    return _overlap((*parts(one), "**"), (*parts(other), "**"), "**", _names_overlap)


@lru_cache(maxsize=10_000)
def _names_overlap(one: str, other: str) -> tuple[bool, int]:
    if not is_wild(one) and not is_wild(other):
        return one == other, 1
    return _overlap(one, other, "*", lambda a, b: (a == b or "?" in (a, b), 0))


def _overlap(
    one: Sequence[str], other: Sequence[str], star: str, pair_overlaps: Callable[[str, str], tuple[bool, int]]
) -> tuple[bool, int]:
    """Return whether some word matches both patterns, where `star` matches any number of letters; and the steps taken.

    The table is filled row by row, as for an edit distance. Its cell (i, j) says whether some word matches both the
    first i letters of one pattern and the first j of the other.
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
                found, more = pair_overlaps(part, rival)
                row.append(found)
                steps += more
            else:
                row.append(False)
    return row[-1], steps
