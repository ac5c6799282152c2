"""Terms: numbers that only grow, with one leader each. An election's position in the ledger decides.

An election names the digest of the log that it extends, and is valid only there. So nobody can sequence it later or
replay it, and it cannot follow a line that its author had not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field

from gitcoord.core import limits
from gitcoord.core.fields import NAMED, Payload, Session, Words
from gitcoord.core.fold.authority import CANDIDATE, LEADER, Who
from gitcoord.core.format.event import Event

Digest = Annotated[str, Field(max_length=43), NAMED]


class LeaderElection(Payload):
    """A control line: its author leads from here on, in the session `session`."""

    session: Annotated[Session, Field(min_length=1)]
    after: Digest  # the digest of the log before this line
    reason: Words = ""


class LeaderRenewed(Payload):
    """A control line: the leader had nothing to write, and asks whether it still leads."""

    session: Session
    after: Digest


class LeaderResigned(Payload):
    """The leader steps down; any candidate may campaign at once."""

    reason: Words = ""


EVENTS: dict[str, type[BaseModel]] = {
    "leader_election": LeaderElection,
    "leader_renewed": LeaderRenewed,
    "leader_resigned": LeaderResigned,
}
AUTHORITY: Mapping[str, Who] = {"leader_election": CANDIDATE, "leader_renewed": LEADER, "leader_resigned": LEADER}


_OR_NONE = ("leader", "session", "node", "resigned")


@dataclass(slots=True)
class Terms:
    """The leader and its term, by the ledger."""

    term: int = 0  # of the newest valid election
    highest: int = 0  # the highest term in any line, valid or not: the next one is above it
    leader: str | None = None  # agent id; None when nobody ever led, or the leader resigned
    session: str | None = None
    node: str | None = None
    since: int = 0  # position of the election
    since_time: str = ""  # by the leader's own clock, for people
    reason: str = ""
    resigned: str | None = None  # the leader that stepped down last, until the next election
    leader_lines: int = 0  # lines of this term by its leader: each is a sign of life

    def rejects(self, event: Event, payload: BaseModel | None, digest: str) -> str | None:
        """Return why a line has no effect because of its term; None otherwise. Change nothing."""
        if isinstance(payload, LeaderElection):
            if event.term is None or event.term <= self.highest:
                return f"term {event.term} is not above {self.highest}"
            if event.term > self.highest + limits.TERM_JUMP_MAX:
                return f"term {event.term} is too far above {self.highest}"
            if payload.after != digest:
                return "an election that extends another log"
            return None
        if isinstance(payload, LeaderRenewed) and payload.after != digest:
            return "a renewal that extends another log"
        if event.term is not None and (event.term != self.term or event.actor != self.leader):
            return f"its term is {event.term}, but here {self.leader or 'nobody'} leads term {self.term}"
        return None

    def is_leaders(self, event: Event) -> bool:
        """Return whether the line claims to be the leader's, in its term."""
        return event.term == self.term and event.actor == self.leader

    def see(self, term: int | None) -> None:
        """Note the term of any line, valid or not. A limited jump keeps one line from using up all terms."""
        if term is not None and self.highest < term <= self.highest + limits.TERM_JUMP_MAX:
            self.highest = term

    def fold(self, position: int, event: Event, payload: BaseModel | None) -> None:
        """Apply a line that `rejects` accepted."""
        if isinstance(payload, LeaderElection) and event.term is not None:
            self.term, self.leader, self.session = event.term, event.actor, payload.session
            self.node, self.since, self.since_time = event.node, position, event.timestamp
            self.reason, self.leader_lines, self.resigned = payload.reason, 0, None
        elif isinstance(payload, LeaderResigned) or (event.type == "agent_left" and event.actor == self.leader):
            self.depose()
        elif event.term is not None:
            self.leader_lines += 1

    def depose(self) -> None:
        """Let nobody lead from here on, so that any candidate may campaign at once."""
        self.resigned = self.leader
        self.leader = self.session = self.node = None

    def dump(self) -> Any:
        return asdict(self)

    @classmethod
    def load(cls, value: Any) -> Terms:
        """Return what `dump` wrote. Raise TypeError for anything else: a fold that continues from it must not fail."""
        terms, empty = cls(**value), cls()
        for name, found in asdict(terms).items():
            usual = getattr(empty, name)
            if not (type(found) is type(usual) or (name in _OR_NONE and isinstance(found, str | None))):
                raise TypeError(f"`{name}` is {found!r}")
        return terms
