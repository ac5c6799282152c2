"""Overlaps: the owners of patterns that have a path in common with other patterns, found by an index.

Two patterns can overlap only if the literal prefix of one begins with that of the other. Most patterns are entirely
literal and need no other check. The others are compared part by part, up to STEPS_MAX steps, which is the same on every
machine: no event costs more than that, and all machines come to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gitcoord.core.errors import Refused
from gitcoord.features import paths

STEPS_MAX = 50_000  # per search: 30 ms; ten paths among fifty patterns with wildcards take half of it
PAIR_STEPS = 10  # for two patterns that differ early

Owners = dict[str, None]


class TooMuch(Refused):
    """The search would take more steps than one event may cost."""


def wild_characters(patterns: Iterable[str]) -> int:
    """Return the total length of the patterns with wildcards, in characters: only their comparison takes steps."""
    return sum(len(pattern) for pattern in patterns if _split(pattern)[1])


@dataclass(slots=True)
class Index:
    """Patterns by their literal prefix.

    `at`: the patterns with exactly this prefix; `below`: also those that extend it.
    """

    at: dict[str, dict[str, Owners]] = field(default_factory=dict)
    below: dict[str, dict[str, Owners]] = field(default_factory=dict)

    def add(self, owner: str, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            head, _ = _split(pattern)
            self.at.setdefault(head, {}).setdefault(pattern, {})[owner] = None
            for above in _folders_to(head):
                self.below.setdefault(above, {}).setdefault(pattern, {})[owner] = None

    def remove(self, owner: str, patterns: Sequence[str]) -> None:
        for pattern in dict.fromkeys(patterns):
            head, _ = _split(pattern)
            _discard(self.at, head, pattern, owner)
            for above in _folders_to(head):
                _discard(self.below, above, pattern, owner)

    def owners(self, wanted: Iterable[str], counts: Callable[[str], bool] = lambda owner: True) -> Owners:
        """Return the owners, among those for which `counts` is true, whose patterns overlap one of `wanted`.

        Raise TooMuch above STEPS_MAX steps.
        """
        found: Owners = {}
        left = STEPS_MAX  # the result does not depend on the order, which differs in a state read from a disk
        for one in dict.fromkeys(wanted):
            for other, owners in self._near(_split(one)[0]):
                new = [owner for owner in owners if counts(owner)]
                overlaps, steps = _overlap(one, other) if new else (False, 0)
                left -= PAIR_STEPS + len(owners) + steps
                if left < 0:
                    raise TooMuch(
                        f"it takes more than {STEPS_MAX:,} steps to compare these patterns with the "
                        "reserved ones: name fewer patterns, or folders instead of wildcards"
                    )
                if overlaps:
                    found.update(dict.fromkeys(new))
        return found

    def _near(self, head: str) -> Iterator[tuple[str, Owners]]:
        yield from self.below.get(head, {}).items()
        for above in _folders_to(head):
            if above != head:
                yield from self.at.get(above, {}).items()


@lru_cache(maxsize=10_000)  # more patterns than can be reserved at a time
def _split(pattern: str) -> tuple[str, str]:
    """Split a pattern into the parts before its first wildcard, each with its slash, and the rest."""
    parts = paths.parts(pattern)
    wild = next((number for number, part in enumerate(parts) if paths.is_wild(part)), len(parts))
    return "".join(f"{part}/" for part in parts[:wild]), "/".join(parts[wild:])


def _folders_to(head: str) -> list[str]:
    """Return `head` and the folders above it, from the top ("") down; each ends with a slash."""
    folders = [""]
    for name in head.split("/")[:-1]:
        folders.append(f"{folders[-1]}{name}/")
    return folders


def _overlap(one: str, other: str) -> tuple[bool, int]:
    """Return whether two patterns, of which one's literal prefix extends the other's, overlap; and the steps taken."""
    (head, tail), (rival, rest) = _split(one), _split(other)
    if (not tail and rival.startswith(head)) or (not rest and head.startswith(rival)):
        return True, 0  # the literal one contains all paths below it
    return paths.compare(one, other)


def _discard(index: Mapping[str, dict[str, Owners]], place: str, pattern: str, owner: str) -> None:
    owners = index.get(place, {}).get(pattern)
    if owners is not None:
        owners.pop(owner, None)
        if not owners:
            del index[place][pattern]
