"""Effects: what the protocol asks of its driver, for real or in a model; behind each, what it is answered with.

Tuples, like those of `ports`: one is made in a third of a dataclass's time, and a round makes many.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from gitcoord.core.format.event import Draft, Event, Head
from gitcoord.core.ports import Oid, Update


class Fetch(NamedTuple):
    """→ `Fetched`; raises Unreachable, BadCredentials, Denied. Both as in `Remote.fetch`"""

    newcomer: bool = False
    first: frozenset[str] = frozenset()


class Push(NamedTuple):
    """→ `Pushed` by ref"""

    updates: tuple[Update, ...]


class Wait(NamedTuple):
    """→ None, after a random time of at most this (or two round trips × 2^losses, whichever is less)"""

    losses: int


class SaveTip(NamedTuple):
    """→ None, once the last tip seen and the highest term are durable"""

    oid: Oid
    term: int


class Trim(NamedTuple):
    """→ None. Queued lines up to `head` are in the ledger. The head is made durable BEFORE they go"""

    head: Head


class Rechain(NamedTuple):
    """→ None. What is queued is chained again after `head`, same uids, without those that are sequenced"""

    head: Head
    sequenced: frozenset[str]


class RestoreFromOutbox(NamedTuple):
    """→ None. Lines of our own outbox that the disk lacks go to the queue's end"""

    events: tuple[Event, ...]


class Resubmit(NamedTuple):
    """→ None. Vanished events whose place in their chain is taken: those whose key is here go to the queue's end"""

    events: tuple[Event, ...]


class BecomeNewNode(NamedTuple):
    """→ the new node id, durable, with the queue chained anew under it"""

    reason: str


class RecordOutbox(NamedTuple):
    """→ None, once the id of the outbox commit about to be pushed is durable, and the sessions of its heartbeats,
    counted"""

    oid: Oid
    heartbeats: tuple[tuple[str, int], ...] = ()


class SaveOrphans(NamedTuple):
    """→ None, once these lines, which a ledger lost, are durable here to be offered again"""

    lines: tuple[bytes, ...]


class Append(NamedTuple):
    """→ None, once the leader's own events are durable in the queue"""

    drafts: tuple[Draft, ...]


class Notify(NamedTuple):
    """→ None. `kind` is one word for machines, `text` for people"""

    kind: str
    text: str


Effect = (
    Fetch
    | Push
    | Wait
    | SaveTip
    | Trim
    | Rechain
    | RestoreFromOutbox
    | Resubmit
    | BecomeNewNode
    | RecordOutbox
    | SaveOrphans
    | Append
    | Notify
)
Steps = Generator[Effect, Any, None]


class NextStep(Enum):
    """What comes after a step of a round."""

    CONTINUE = auto()  # the next step
    RESTART = auto()  # the first one: the remote has moved, fetch again
    FINISH = auto()  # none: the round is over


class DurableState(Protocol):
    """What of a node survives a crash; only effects change it."""

    @property
    def node(self) -> str: ...

    @property
    def base(self) -> Head:
        """The chain before the first queued line."""

    @property
    def tip(self) -> Oid | None:
        """The last ledger tip seen."""

    @property
    def term(self) -> int:
        """The highest term ever seen."""

    @property
    def orphans(self) -> Sequence[bytes]:
        """Lines that a ledger lost, to be offered again."""

    @property
    def broken(self) -> bool:
        """Whether lines are queued that do not fit the chain."""

    def pending(self) -> list[Event]:
        """The queue, in order."""

    def pushed(self, oid: Oid) -> bool:
        """Whether this node wrote that outbox commit."""

    def owns(self, event: Event) -> bool:
        """Whether the event's key is that of an agent of this node."""

    def heartbeats_pushed(self, session: str) -> int:
        """The highest number of the session's heartbeats that this node, by any of its processes, pushed; 0 for
        none."""

    def pushed_last(self) -> Oid | None:
        """The outbox commit that this node, by any of its processes, wrote last."""
