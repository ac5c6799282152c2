"""The leader lease: how long a leader may act outside the ledger after a push that the remote took.

The lease counts from the START of the push: nobody can have replaced the leader before an election timeout after it.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitcoord.core.leadership.timings import Profile

Holder = tuple[int, str | None]
"""A term, and the session that leads in it."""


@dataclass(slots=True)
class LeaderLease:
    """The lease of the leader in this process, if one leads here. Times are this machine's monotonic seconds."""

    wanted: bool = False  # there is work outside the ledger: the lease must not run out
    valid_from_s: float = 0.0
    valid_until_s: float = 0.0
    holder: Holder = (0, None)  # the only one for whom the lease is valid

    def held(self, holder: Holder, now_s: float) -> bool:
        """Return whether `holder` may act outside the ledger now."""
        return holder == self.holder and self.valid_from_s <= now_s < self.valid_until_s

    def renew(self, holder: Holder, profile: Profile, *, started_s: float, now_s: float) -> None:
        """Extend the lease: the remote took ledger and outbox from a push that began at `started_s`.

        A new holder, or one whose lease had run out, first waits for as long as a lease lasts: until then another
        session may act, of a copied clone or by an election in a ledger that was lost.
        """
        if holder != self.holder or now_s >= self.valid_until_s:
            self.holder, self.valid_from_s = holder, now_s + profile.outlast_s()
        self.valid_until_s = started_s + profile.lease_s

    def drop(self) -> None:
        """End the lease at once, no matter who has it."""
        self.holder, self.valid_until_s = (0, None), 0.0
