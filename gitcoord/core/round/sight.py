"""Sight: when a clone last saw its fleet's ledger on the branch, and how often it put the ledger back there.

Anybody who may push can put another fleet's ledger on the branch. Somebody may also found a new fleet there, on
purpose. A clone cannot see which of the two it was, but it knows how long ago its own fleet was there. So a clone that
saw it recently puts it back, and one that comes back after months overwrites nobody. Two fleets that want one branch do
not fight forever: a clone that has put its ledger back too often in a day forgets that it saw it, and a person decides.

All times are of the clone's own clock, in seconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DAY_S = 86_400
SIGHT_S = 7 * DAY_S  # longer than a holiday weekend, and far shorter than what makes a fleet be founded anew
SAVED_EVERY_S = 3600  # a write to the disk costs each command milliseconds
RESTORATIONS_PER_DAY = 24  # a job that pushes there by mistake once an hour stops nobody


@dataclass(frozen=True, slots=True)
class Sight:
    """`seen_s` is None while the ledger was not seen, or when a person has to decide."""

    seen_s: int | None = None
    restored_s: tuple[int, ...] = ()  # the recent ones, oldest first

    def is_recent(self, now_s: int) -> bool:
        """Return whether the ledger was seen recently. False if the clock was set back by years."""
        return self.seen_s is not None and abs(now_s - self.seen_s) <= SIGHT_S

    def is_spent(self, now_s: int) -> bool:
        """Return whether the ledger was put back as often as it may be in a day."""
        return len(self._recent(now_s)) >= RESTORATIONS_PER_DAY

    def seen(self, now_s: int) -> Sight:
        """Return the sight after the ledger was seen; the same one while that is known well enough, or in a fight."""
        if self.is_spent(now_s):
            return self
        if self.seen_s is not None and 0 <= now_s - self.seen_s < SAVED_EVERY_S:
            return self
        return Sight(now_s, self._recent(now_s))

    def restored(self, now_s: int) -> Sight:
        """Return the sight after another ledger was replaced by ours."""
        return replace(self, restored_s=(*self._recent(now_s), now_s))

    def forgotten(self) -> Sight:
        """Return the sight of a clone that puts nothing back any more, until it sees its ledger again."""
        return replace(self, seen_s=None)

    def _recent(self, now_s: int) -> tuple[int, ...]:
        return tuple(at_s for at_s in self.restored_s if abs(now_s - at_s) < DAY_S)
