"""Events without effect, with their positions and the reasons, for their authors to look up."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple, TypeVar

from gitcoord.core import limits, names
from gitcoord.core.format.event import Event

T = TypeVar("T")


class Void(NamedTuple):
    """An event without effect: its position, the reason, and the hash of its line."""

    position: int
    reason: str
    hash: str


class Voids:
    """The newest events without effect, a limited number. By uid and key: a copied nonce hides no one else's reason."""

    def __init__(self) -> None:
        self.known: dict[str, Void] = {}  # oldest first

    def note(self, position: int, event: Event, reason: str) -> None:
        remember(self.known, _name_of(event), Void(position, reason, event.head.hash), limits.REFUSALS_REMEMBERED_MAX)

    def of(self, event: Event) -> Void | None:
        """Return the entry of an event, or of another line by its author with the same uid; None if there is none."""
        return self.known.get(_name_of(event))

    def copy(self) -> Voids:
        other = Voids()
        other.known = dict(self.known)
        return other

    def dump(self) -> Any:
        return self.known

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Voids:
        """Return what `dump` wrote. Raise TypeError or ValueError for anything else."""
        voids = cls()
        voids.known = {name: Void(int(at), str(why), str(hash)) for name, (at, why, hash) in value.items()}
        return voids


def positions_from(uids: str, void: Set[int], last: int) -> dict[str, int]:
    """Return the position of each event with effect, from their joined ids in order and the void positions."""
    size = names.UID_CHARACTERS
    if len(uids) != (last - len(void)) * size:
        raise ValueError(f"{len(uids)} characters are not the ids of {last - len(void)} events")
    effective = [position for position in range(1, last + 1) if position not in void] if void else range(1, last + 1)
    return dict(zip([uids[at : at + size] for at in range(0, len(uids), size)], effective))


def remember(known: dict[str, T], name: str, what: T, most: int) -> None:
    """Add an entry to `known`, and forget the oldest one if there are more than `most`."""
    known[name] = what
    if len(known) > most:
        del known[next(iter(known))]


def _name_of(event: Event) -> str:
    return f"{event.uid} {event.key}"
