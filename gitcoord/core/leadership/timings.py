"""Timings: how often to send heartbeats and to look, how long silence may last, and the failover bound that follows.

The values were chosen by simulation of 200 failovers each; see `Profile.bound_s` for what they promise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """All in seconds. Where the push budget binds, heartbeats stretch, and so does the silence allowed."""

    name: str
    heartbeat_s: float  # the leader's
    follower_heartbeat_s: float
    lease_s: float  # V: how long after a push began its leader may act outside the ledger
    election_timeout_s: float  # T: credit of silence after which a follower stands
    poll_s: float  # P: between looks at the remote; also the leader's tick
    election_jitter_s: float  # J: the longest random wait before standing
    travel_s: float  # D: a fetch and a push, until measured
    pushes_per_minute: float | None  # of the whole repository; None: no budget
    retry_s: float  # the first wait after a failure; doubles
    probe_s: float  # the longest wait between tries while offline

    def bound_s(self, travel_s: float | None = None) -> float:
        """From a leader's death to its successor's accepted election, at the most.

        2.2 polls: one until the last sign was seen, one after the limit, 0.2 for lateness; clocks differ by 1 %.
        """
        travel = self.travel_s if travel_s is None else max(travel_s, self.travel_s)
        return (2.2 * self.poll_s + self.election_timeout_s + self.election_jitter_s) / 0.99 + travel

    def outlast_s(self) -> float:
        """How long to wait until nobody else's V, that began before, can go on: clocks differ by 1 %."""
        return self.lease_s / 0.99

    def stretched_election_timeout_s(self, promised_s: float) -> float:
        """T, when the leader promised its next heartbeat only after `promised_s`."""
        return self.election_timeout_s * max(1.0, promised_s / self.heartbeat_s)


PROFILES = {
    "local": Profile("local", 1, 1, 2, 3, 0.5, 0.3, 0.15, None, 0.25, 1),
    "lan": Profile("lan", 4, 4, 9, 14, 3, 3, 0.2, 60, 1, 10),
    "github": Profile("github", 20, 60, 40, 60, 15, 10, 6, 6, 1, 30),
}
