"""Timings: how often to send heartbeats and to poll, how long silence may last, and the failover bound that follows.

The values were chosen by simulation of 200 failovers each; see `Profile.bound_s` for what they promise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """The timings of a fleet, in seconds. If the push budget is short, heartbeats and the election timeout stretch."""

    name: str
    heartbeat_s: float  # the leader's
    follower_heartbeat_s: float
    lease_s: float  # V: how long a leader may act outside the ledger after the start of an accepted push
    election_timeout_s: float  # T: silence of the leader after which a follower campaigns
    poll_s: float  # P: between two polls of the remote; also the leader's tick
    election_jitter_s: float  # J: the longest random wait before a campaign
    travel_s: float  # D: a fetch and a push, until measured
    pushes_per_minute: float | None  # of the whole repository; None: no budget
    retry_s: float  # the first wait after a failure; it doubles each time
    probe_s: float  # the longest wait between tries while offline

    def bound_s(self, travel_s: float | None = None, *, election_timeout_s: float | None = None) -> float:
        """Return the longest time from a leader's death to its successor's accepted election.

        2.2 polls: one until its last sign of life was seen, one after the timeout, 0.2 for lateness. Clocks differ by
        1 %.
        """
        travel = self.travel_s if travel_s is None else max(travel_s, self.travel_s)
        timeout_s = self.election_timeout_s if election_timeout_s is None else election_timeout_s
        return (2.2 * self.poll_s + timeout_s + self.election_jitter_s) / 0.99 + travel

    def outlast_s(self) -> float:
        """Return how long to wait until any lease that began before has ended: clocks differ by 1 %."""
        return self.lease_s / 0.99

    def stretched_election_timeout_s(self, promised_s: float) -> float:
        """Return the election timeout if the leader promised its next heartbeat after `promised_s`."""
        return self.election_timeout_s * max(1.0, promised_s / self.heartbeat_s)


PROFILES = {
    "local": Profile("local", 1, 1, 2, 3, 0.5, 0.3, 0.15, None, 0.25, 1),
    "lan": Profile("lan", 4, 4, 9, 14, 3, 3, 0.2, 60, 1, 10),
    "github": Profile("github", 20, 60, 40, 60, 15, 10, 6, 6, 1, 30),
}
