"""Refusals of the remote's hooks: which writes were denied, and what to try or to leave alone because of that.

A hook that denies a batch seldom says which event it rejects. So after a denied batch the next one is smaller, until a
single event is suspected; the fleet then goes on without that one, and tries it again later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gitcoord.core import limits
from gitcoord.core.format.event import Event

QUIET_S = 60.0  # for which the ledger is left alone after the remote denied it
REFUSED_S = 3600.0  # an event that a hook rejects is tried again after that: hooks change


@dataclass(slots=True)
class HookRefusals:
    """The remote's refusals, as far as this process knows them. Times are monotonic seconds."""

    quiet_until_s: float = 0.0  # the ledger is left alone until then
    blocked: str | None = None  # uid of a queued event that is refused even in an outbox
    # uids that the ledger's hook seems to reject → until when; 0.0: until the ledger is accepted without it
    refused: dict[str, float] = field(default_factory=dict)
    denied_alone: bool = False  # the last ledger write held one event and was denied
    suspects: int = 0  # the most events in the next batch, after a denied one; 0: no limit

    @property
    def batch_events_max(self) -> int:
        """The number of events that the next batch may hold."""
        return self.suspects or limits.BATCH_EVENTS_MAX

    def is_quiet(self, now_s: float) -> bool:
        """Return whether the ledger is left alone now."""
        return now_s < self.quiet_until_s

    def back_off(self, now_s: float) -> None:
        """Leave the ledger alone for a minute: the remote denied it."""
        self.quiet_until_s = now_s + QUIET_S

    def refused_still(self, now_s: float) -> Mapping[str, float]:
        """Return the refused events whose time has not come yet; the others may be tried again."""
        return {uid: until_s for uid, until_s in self.refused.items() if now_s < until_s}

    def deny(self, batch: Sequence[Event]) -> Event | None:
        """Note that the remote denied the ledger with this batch. Return the event to blame, if it was alone."""
        if len(batch) != 1:
            self.suspects = max(1, len(batch) // 2) if batch else self.suspects
            return None
        [event] = batch
        if self.denied_alone:
            # without the event blamed before, the ledger was denied all the same: that one is not to blame
            self.refused.clear()
        self.refused[event.uid] = 0.0
        self.denied_alone, self.suspects = True, 0
        return event

    def accept(self, batch: Sequence[Event], started_s: float) -> None:
        """Note that the remote took the ledger with this batch: blame the events that it left out, for an hour."""
        taken = {event.uid for event in batch}
        self.denied_alone = False
        self.refused = {
            uid: until_s or started_s + REFUSED_S for uid, until_s in self.refused.items() if uid not in taken
        }
        self.suspects = 2 * self.suspects if self.suspects < limits.BATCH_EVENTS_MAX else 0

    def block(self, event: Event) -> None:
        """Hold back a queued event that the remote refuses even in an outbox. The cause is known: others may go on."""
        self.blocked, self.quiet_until_s, self.suspects = event.uid, 0.0, 0

    def unblocked(self, pending: list[Event]) -> list[Event]:
        """Return the queued events before the blocked one. Where that one is gone, nothing is blocked any more."""
        for place, event in enumerate(pending):
            if event.uid == self.blocked:
                return pending[:place]
        self.blocked = None
        return pending
