"""Silence: how long the leader has said nothing, counted between this node's own polls that succeeded.

One's own outage is nobody's silence, and no two machines' clocks are compared.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LeaderWatch:
    """How long the leader has been silent, by this node's own successful polls."""

    silent_s: float = 0.0
    polls: int = 0
    polled_at_s: float | None = None
    sign: tuple[int, str, int, int] | None = None  # term, session, heartbeat count, lines of its term
    promised_s: float = 0.0
    campaign_at_s: float | None = None

    def poll(self, now_s: float, sign: tuple[int, str, int, int] | None, cap_s: float) -> None:
        """Count the time since the last successful poll as silence, unless there is a new sign of life."""
        if sign != self.sign:
            self.silent_s, self.polls, self.sign, self.campaign_at_s = 0.0, 0, sign, None
        elif self.polled_at_s is not None:
            self.silent_s += min(now_s - self.polled_at_s, cap_s)
            self.polls += 1
        self.polled_at_s = now_s

    def discard_interval(self) -> None:
        """A poll failed or cannot be trusted: the time until the next one is nobody's silence."""
        self.polled_at_s = None
