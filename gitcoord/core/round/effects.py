"""Effects: what the protocol asks its driver to do, for real or in a model. Each docstring begins with the answer.

They are tuples, as in `ports`: one is made in a third of a dataclass's time, and a round makes many.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from gitcoord.core.format.event import Draft, Event, Head
from gitcoord.core.ports import Oid, Update
from gitcoord.core.round.sight import Sight


class Fetch(NamedTuple):
    """→ `Fetched`; raises Unreachable, BadCredentials, Denied. The fields are the arguments of `Remote.fetch`."""

    newcomer: bool = False
    first: frozenset[str] = frozenset()


class Push(NamedTuple):
    """→ `Pushed` by ref."""

    updates: tuple[Update, ...]


class Wait(NamedTuple):
    """→ None, after a random time that grows with `losses`, the races lost in this round."""

    losses: int


class SaveTip(NamedTuple):
    """→ None, as soon as the last tip seen and the highest term are durable."""

    oid: Oid
    term: int


class SaveSight(NamedTuple):
    """→ None, once it is durable when the ledger was seen on its branch last, and when it was put back there."""

    sight: Sight


class Trim(NamedTuple):
    """→ None. Queued lines up to `head` are in the ledger. The head is made durable BEFORE they are removed."""

    head: Head


class Rechain(NamedTuple):
    """→ None. The queue is chained again after `head`, with the same uids, without the `sequenced` events."""

    head: Head
    sequenced: frozenset[str]


class RestoreFromOutbox(NamedTuple):
    """→ None. Lines of our own outbox that the disk lacks go to the queue's end."""

    events: tuple[Event, ...]


class Resubmit(NamedTuple):
    """→ None. Lost events whose place in their chain is taken: those whose key is here go to the queue's end."""

    events: tuple[Event, ...]


class BecomeNewNode(NamedTuple):
    """→ the new node id, durable, with the queue rechained under it."""

    reason: str


class RecordOutbox(NamedTuple):
    """→ None, as soon as the id of the outbox commit about to be pushed is durable, with its heartbeats' numbers."""

    oid: Oid
    heartbeats: tuple[tuple[str, int], ...] = ()


class SaveOrphans(NamedTuple):
    """→ None, as soon as these lines, which a ledger lost, are durable here, to be offered again."""

    lines: tuple[bytes, ...]


class Append(NamedTuple):
    """→ None, as soon as the leader's own events are durable in the queue."""

    drafts: tuple[Draft, ...]


class Notify(NamedTuple):
    """→ None. `kind` is one word for machines, `text` is for people."""

    kind: str
    text: str


Effect = (
    Fetch
    | Push
    | Wait
    | SaveTip
    | SaveSight
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

    CONTINUE = auto()  # the next step follows
    RESTART = auto()  # the remote has moved: fetch again
    FINISH = auto()  # the round is over


class DurableState(Protocol):
    """The part of a node's state that survives a crash. Only effects change it."""

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
    def sight(self) -> Sight:
        """When the ledger was seen on its branch last, and when it was put back there."""

    @property
    def orphans(self) -> Sequence[bytes]:
        """Lines that a ledger lost, to be offered again."""

    @property
    def broken(self) -> bool:
        """Whether lines are queued that do not fit the chain."""

    def pending(self) -> list[Event]:
        """Return the queued events in their order."""

    def pushed(self, oid: Oid) -> bool:
        """Return whether this node wrote that outbox commit."""

    def owns(self, event: Event) -> bool:
        """Return whether the event's key is that of an agent of this node."""

    def heartbeats_pushed(self, session: str) -> int:
        """Return the highest number of a heartbeat of `session` that any process of this node pushed; 0 for none."""

    def pushed_last(self) -> Oid | None:
        """Return the outbox commit that any process of this node wrote last."""
