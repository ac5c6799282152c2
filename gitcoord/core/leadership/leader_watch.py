"""Silence: how long the leader has said nothing, counted between this node's own polls that succeeded.

One's own outage is nobody's silence, and no two machines' clocks are compared.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Watch:
    """How long the leader has been silent, by this node's own successful polls."""

    credit_s: float = 0.0
    polls: int = 0
    polled_at_s: float | None = None
    sign: tuple[int, str, int, int] | None = None  # term, session, beat count, lines of its term
    promised_s: float = 0.0
    stand_at_s: float | None = None

    def poll(self, now_s: float, sign: tuple[int, str, int, int] | None, cap_s: float) -> None:
        """Count the time since the last successful poll as silence, unless there is a new sign of life."""
        if sign != self.sign:
            self.credit_s, self.polls, self.sign, self.stand_at_s = 0.0, 0, sign, None
        elif self.polled_at_s is not None:
            self.credit_s += min(now_s - self.polled_at_s, cap_s)
            self.polls += 1
        self.polled_at_s = now_s

    def lapse(self) -> None:
        """A poll failed or cannot be trusted: the time until the next one is nobody's silence."""
        self.polled_at_s = None
