"""Revocations that reach back: a key does not count after a position that is before the revoking line.

A fold cannot undo. So such a line makes the fold incomplete (`learnt`), and the reader folds all lines again from the
first, with a state that knows the revocation from the start (`FleetState.anew`). A revocation that would take away the
right by which it was made is void instead. All of this follows from the lines, so every reader gets the same fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core import limits


@dataclass(slots=True)
class Revocations:
    """By the position of each revoking line: the key, and the last position at which it counts."""

    known: dict[int, tuple[str, int]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)  # positions of revocations that would undo themselves
    learnt: Revocations | None = None  # the revocations that the next fold must know, since this one is wrong

    def __contains__(self, position: int) -> bool:
        """Return whether the revocation at `position` was known, or refused, from the start."""
        return position in self.known or position in self.refused

    def by_key(self) -> dict[str, int]:
        """Return the last position at which each revoked key counts."""
        found: dict[str, int] = {}
        for key, after in self.known.values():
            found[key] = min(after, found.get(key, after))
        return found

    def judge(
        self, position: int, key: str, after: int | None, void: str | None, counts_until: int | None
    ) -> str | None:
        """Return why the revocation at `position` has no effect; None if it has. Set `learnt` if this fold is wrong.

        `void`: another reason against it. `counts_until`: the last position at which the key counts already.
        """
        if position in self.known:
            if void is not None:
                self.learnt = Revocations(
                    {at: one for at, one in self.known.items() if at != position}, self.refused | {position}
                )
            return void
        if position in self.refused:
            return "it would take away the right by which it was made"
        if void is None and counts_until is not None and counts_until <= (after or position):
            return f"it is revoked after position {counts_until} already"
        if void is None and after is not None and after < position - 1:
            if len(self.known) + len(self.refused) >= limits.REVOCATIONS_BACK_MAX:
                return f"{limits.REVOCATIONS_BACK_MAX} revocations reach back already: let it count from here on"
            self.learnt = Revocations({**self.known, position: (key, after)}, set(self.refused))
        return void

    def dump(self) -> Any:
        return {"known": [[at, key, after] for at, (key, after) in self.known.items()], "refused": sorted(self.refused)}

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Revocations:
        return cls(
            {int(at): (str(key), int(after)) for at, key, after in value["known"]}, {int(at) for at in value["refused"]}
        )
