"""Ledger time: the time of the fold, so that no author's clock alone changes what happens to others.

Every event has its author's time, which may be wrong or a lie. Ledger time is the newest time that two different
members have reached, each by its latest event. If only one member ever wrote, it is that member's. It is never more
than `ADMIN_LEAD_S` behind the latest event of an admin: otherwise one member whose clock has stopped would hold it back
in a fleet of two.

The accepted time of an event is its author's time, but not older than ledger time, and at most `LEAD_S` newer: perhaps
the author alone wrote since then.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core import times

ADMIN_LEAD_S = 86_400.0  # no admin's clock is wrong by more, unless it was reset: then it is wrong by years
LEAD_S = 7 * 86_400.0  # all but one member may be silent for so long, as over holidays; the longest reservation

_BEGINNING = "1970-01-01T00:00:00.000Z"


@dataclass(slots=True)
class LedgerTime:
    """The latest time of each member (by casefolded id), as `times.moment` writes it, and ledger time."""

    latest: dict[str, str] = field(default_factory=dict)
    admins: dict[str, str] = field(default_factory=dict)  # the admins' part of `latest`
    now: str = _BEGINNING
    _ordered: list[str] = field(default_factory=list)

    def witness(self, author: str, timestamp: str, *, admin: bool) -> None:
        """Count an event with effect by a member. The cost grows with the logarithm of the members, and the admins."""
        key, moment = author.casefold(), times.moment(timestamp)
        self._set(key, moment)
        if admin:
            self.admins[key] = moment
        elif key in self.admins:
            del self.admins[key]
        self._advance()

    def forget(self, author: str) -> None:
        """Remove a member's time, for example if it is expelled."""
        key = author.casefold()
        self._set(key, None)
        self.admins.pop(key, None)
        self._advance()

    def with_witness(self, author: str, timestamp: str, *, admin: bool) -> str:
        """Return the ledger time after an event with effect by a member. Change nothing."""
        key, moment = author.casefold(), times.moment(timestamp)
        newest, before = self._ordered[-3:], self.latest.get(key)
        if before in newest:
            newest.remove(before)
        newest = sorted([*newest, moment])
        admins = {name: at for name, at in self.admins.items() if name != key} | ({key: moment} if admin else {})
        return _now(newest, admins)

    def accepted(self, timestamp: str) -> str:
        """Return the accepted time of an event with this timestamp."""
        moment = times.moment(timestamp)
        if moment <= self.now:
            return self.now
        if moment[:10] == self.now[:10]:  # nearly all events: the same day
            return moment
        return min(moment, times.later(self.now, LEAD_S))

    def _set(self, key: str, moment: str | None) -> None:
        before = self.latest.pop(key, None)
        if before is not None:
            del self._ordered[bisect_left(self._ordered, before)]
        if moment is not None:
            self.latest[key] = moment
            insort(self._ordered, moment)

    def _advance(self) -> None:
        self.now = _now(self._ordered, self.admins)

    def dump(self) -> Any:
        return {"latest": self.latest, "admins": list(self.admins)}

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> LedgerTime:
        """Return what `dump` wrote. Raise KeyError, TypeError or ValueError for anything else."""
        latest = {str(key): str(moment) for key, moment in value["latest"].items()}
        if not all(times.is_moment(moment) and len(moment) == times.MOMENT_CHARACTERS for moment in latest.values()):
            raise ValueError("no times of members")
        loaded = cls(latest, {str(key): latest[key] for key in value["admins"]}, _ordered=sorted(latest.values()))
        loaded._advance()
        return loaded


def _now(ordered: Sequence[str], admins: Mapping[str, str]) -> str:
    """Return ledger time. `ordered`: members' latest times, of which only the last two count."""
    if not ordered:
        return _BEGINNING
    now = ordered[-1] if len(ordered) == 1 else ordered[-2]
    newest = max(admins.values(), default=_BEGINNING)
    return max(now, times.later(newest, -ADMIN_LEAD_S)) if newest[:10] > now[:10] else now


MARKS_MAX = 512
GAP_S = 90.0  # between two looks, an outage: six polls of the slowest profile, three of its longest waits for a try
_COARSENESS = 0.05  # the part of its age that a mark may lose when it is merged with the next one


@dataclass(slots=True)
class FirstSeen:
    """When this machine first saw the ledger reach a position, by its own time since it was started.

    A leader measures all spans with it, and never compares its own clock with another machine's. The age of an older
    event counts from the leader's own first look. So a span may last longer than intended, and never ends early.
    """

    positions: list[int] = field(default_factory=list)
    since_s: list[float] = field(default_factory=list)
    looked_s: float | None = None  # the newest look, by this process
    watches_since_s: float = 0.0  # the first look after the last gap

    def note(self, position: int, now_s: float) -> None:
        """Remember that the ledger has this position now."""
        if self.looked_s is None or not 0 <= now_s - self.looked_s <= GAP_S:
            self.watches_since_s = now_s
        self.looked_s = now_s
        while self.positions and self.positions[-1] > position:  # a ledger that was set back
            del self.positions[-1], self.since_s[-1]
        if not self.positions or self.positions[-1] < position:
            self.positions.append(position)
            self.since_s.append(now_s)
        if len(self.positions) > MARKS_MAX:
            self._thin(now_s)

    def watching_s(self, now_s: float) -> float:
        """Return for how long this process has looked without a gap."""
        return max(0.0, now_s - self.watches_since_s) if self.looked_s is not None else 0.0

    def age_s(self, position: int, now_s: float) -> float:
        """Return the seconds since the event at `position` was first seen here; 0 if it was not seen yet."""
        index = bisect_left(self.positions, position)
        if index == len(self.positions):
            return 0.0
        since_s = self.since_s[index]
        return now_s - since_s if since_s <= now_s else now_s  # a mark from before the machine was restarted

    def _thin(self, now_s: float) -> None:
        """Drop marks that are nearly as old as the next one. Their events then count as a little younger."""
        kept: list[tuple[int, float]] = []
        for position, since_s in zip(reversed(self.positions), reversed(self.since_s)):
            if not kept or kept[-1][1] - since_s >= _COARSENESS * (now_s - since_s):
                kept.append((position, since_s))
        kept = kept[MARKS_MAX - 1 :: -1]  # the newest of them, oldest first
        self.positions, self.since_s = [position for position, _ in kept], [since_s for _, since_s in kept]
