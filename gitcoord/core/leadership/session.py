"""A session: one start of one agent. A restarted or copied process gets another id, and does not lead by memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from gitcoord.core.format.event import Signer

HANDED_OVER_MAX = 16  # remembered heartbeats that neighbours may push: older ones were pushed, or never will be


class Random(Protocol):
    """A source of randomness: `random.Random` is one."""

    def uniform(self, a: float, b: float) -> float: ...

    def randbytes(self, n: int) -> bytes: ...


@dataclass(slots=True)
class Session:
    """One start of one agent."""

    agent: str
    id: str
    signer: Signer
    may_lead: bool = True
    replaces_session: str | None = None  # an older session of this agent, known to have ended: campaign in its place
    takes_over_from: str | None = None  # a running session of this agent that this one takes over from
    leaving: bool = False
    count: int = 0
    made_at_s: float = 0.0  # when the newest heartbeat was made
    heartbeat_at_s: float | None = None  # when the newest heartbeat that the remote took was made
    line: bytes | None = None  # the newest heartbeat
    made: dict[int, bytes] = field(default_factory=dict)  # the newest heartbeats, by their numbers
    # numbers of heartbeats that a neighbour may push → when they were made
    handed_over: dict[object, float] = field(default_factory=dict)
    claims_term: bool = True  # False after the remote denied the ledger: its heartbeats claim no term then

    def take_heartbeat(self, line: bytes, now_s: float) -> None:
        """Make `line` the newest heartbeat. Its number was `count` when it was written."""
        self.made_at_s, self.line = now_s, line
        self.made[self.count] = line
        self.made.pop(self.count - HANDED_OVER_MAX, None)

    def hand_over(self) -> None:
        """Note that a neighbour may push the newest heartbeat."""
        self.handed_over[self.count] = self.made_at_s
        self.handed_over.pop(self.count - HANDED_OVER_MAX, None)

    def confirm_heartbeat(self) -> None:
        """Note that the remote took the newest heartbeat."""
        self.heartbeat_at_s = self.made_at_s
        self.handed_over.clear()

    def begin_anew(self, session_id: str) -> None:
        """Continue under another id, which leads nothing: a copy of this process may run elsewhere."""
        self.id = session_id
        self.count, self.heartbeat_at_s, self.line, self.claims_term = 0, None, None, True
        self.handed_over.clear()
        self.made.clear()
        # our lock proves nothing: the older session may still run where this clone was copied from
        self.replaces_session = None
