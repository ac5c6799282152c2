"""The push budget: a token bucket, so that a fleet stays under what its host recommends."""

from __future__ import annotations

from dataclasses import dataclass

LEADER_SHARE = 0.5  # simulated: leader every 20 s, three followers every 60 s, 5.9 pushes a minute


@dataclass(slots=True)
class Budget:
    """A budget of `rate` pushes a minute (None: no limit), at most `burst` saved. Urgent pushes may borrow `burst`."""

    rate: float | None
    burst: float = 3.0
    tokens: float = 3.0
    at_s: float | None = None

    def refill(self, now_s: float) -> None:
        if self.rate is not None and self.at_s is not None:
            self.tokens = min(self.burst, self.tokens + (now_s - self.at_s) * self.rate / 60)
        self.at_s = now_s

    def allows(self, now_s: float, *, urgent: bool = False) -> bool:
        """Return whether a push is allowed now. `urgent`: somebody waits for it, or it is an election."""
        if self.rate is None:
            return True
        self.refill(now_s)
        return self.tokens >= (1 - self.burst if urgent else 1)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until a push that is not urgent is allowed."""
        if self.rate is None:
            return 0.0
        self.refill(now_s)
        return max(0.0, 1 - self.tokens) * 60 / self.rate

    def spend(self, now_s: float) -> None:
        if self.rate is not None:
            self.refill(now_s)
            self.tokens -= 1

    def share(self, whole: float | None, *, leading: bool, nodes: int) -> None:
        """Set the rate to this node's part of the repository's `whole` budget."""
        if whole is None:
            self.rate = None
        elif nodes <= 1:
            self.rate = whole
        else:
            self.rate = whole * (LEADER_SHARE if leading else (1 - LEADER_SHARE) / (nodes - 1))
