"""The leader watch: how long the leader was silent, counted between this node's own successful polls.

Our own outage does not count as the leader's silence, and no two machines' clocks are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gitcoord.core import limits
from gitcoord.core.fold.terms import Terms
from gitcoord.core.format.event import Event

POLLS_MIN = 3  # a follower with fewer polls knows too little


class LeaderSign(NamedTuple):
    """A leader's newest sign of life. A sign that differs from the last one is new."""

    term: int
    session: str
    heartbeat: int  # the number of its newest heartbeat that claims the term
    lines: int  # number of lines of its term in the ledger


@dataclass(slots=True)
class LeaderWatch:
    """How long the leader has been silent, by this node's own successful polls."""

    silent_s: float = 0.0
    polls: int = 0
    polled_at_s: float | None = None  # None: the time until the next poll does not count
    last_sign: LeaderSign | None = None
    promised_s: float = 0.0  # the period after which the leader promised its next heartbeat
    campaign_at_s: float | None = None

    def observe(self, terms: Terms, heartbeats: Iterable[Event], now_s: float, cap_s: float) -> None:
        """Count the time since the last poll as silence, at most `cap_s`, unless the leader shows a sign of life."""
        self.poll(now_s, self._sign(terms, heartbeats), cap_s)

    def poll(self, now_s: float, sign: LeaderSign | None, cap_s: float) -> None:
        """Count the time since the last successful poll as silence, unless there is a new sign of life."""
        if sign != self.last_sign:
            self.silent_s, self.polls, self.last_sign, self.campaign_at_s = 0.0, 0, sign, None
        elif self.polled_at_s is not None:
            self.silent_s += min(now_s - self.polled_at_s, cap_s)
            self.polls += 1
        self.polled_at_s = now_s

    def discard_interval(self) -> None:
        """Forget the last poll: the time until the next one counts as nobody's silence. A poll failed, or was stale."""
        self.polled_at_s = None

    def is_silent_for(self, timeout_s: float) -> bool:
        """Return whether the leader has been silent for `timeout_s`, in enough polls up to now."""
        return self.polled_at_s is not None and self.polls >= POLLS_MIN and self.silent_s >= timeout_s

    def _sign(self, terms: Terms, heartbeats: Iterable[Event]) -> LeaderSign | None:
        if terms.leader is None or terms.session is None:
            return None
        newest = 0
        if self.last_sign is not None and self.last_sign[:2] == (terms.term, terms.session):
            # A heartbeat shown again is no sign: within a session their numbers only grow.
            newest = self.last_sign.heartbeat
        else:
            self.promised_s = 0.0
        for heartbeat in heartbeats:
            # Only a heartbeat that claims the term counts: otherwise a restarted leader would stay, and not lead.
            if (
                heartbeat.actor == terms.leader
                and heartbeat.term == terms.term
                and heartbeat.data.get("session") == terms.session
            ):
                count, promise = heartbeat.data.get("n"), heartbeat.data.get("next_s")
                if type(count) is int and count > newest:
                    newest = count
                    if isinstance(promise, (int, float)):
                        self.promised_s = float(max(0.0, min(promise, limits.HEARTBEAT_PROMISE_S_MAX)))
        return LeaderSign(terms.term, terms.session, newest, terms.leader_lines)


def said_goodbye(terms: Terms, heartbeats: Sequence[Event]) -> bool:
    """Return whether the leader's own session said that it ends."""
    return terms.leader is not None and any(
        heartbeat.actor == terms.leader
        and heartbeat.data.get("session") == terms.session
        and heartbeat.data.get("state") == "goodbye"
        for heartbeat in heartbeats
    )
