"""Signs of life and elections, as the observer at the remote recorded them."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field

from gitcoord.core.ledger.outbox import Outbox
from gitcoord.core.ports import Oid


@dataclass(slots=True)
class Sign:
    """The heartbeats by which a session claims a term: when the remote accepted each, and in which outbox."""

    session: str
    ref: str
    count: int = 0
    at_s: list[float] = field(default_factory=list)
    given_up_s: float = math.inf  # when the session first showed that it no longer claims the term

    def add(self, count: int, now_s: float) -> None:
        """Note a heartbeat, unless it is an old one shown again: within a session their numbers only grow."""
        if count > self.count:
            self.count = count
            self.at_s.append(now_s)

    def age_s(self, seen_s: float) -> float | None:
        """Return the age in seconds of the newest heartbeat at `seen_s`.

        Return None if there was none, or if the leader had given up its claim by then.
        """
        if self.given_up_s < seen_s:
            return None
        place = bisect.bisect_left(self.at_s, seen_s)
        return seen_s - self.at_s[place - 1] if place else None


@dataclass(slots=True)
class Overwritten:
    """A session's heartbeats that another process overwrote in this outbox."""

    by: str
    ref: str
    box: Outbox  # what took its place


@dataclass(slots=True)
class Election:
    """An election that the remote accepted."""

    term: int
    session: str
    actor: str
    uid: str
    commit: Oid
    at_s: float
