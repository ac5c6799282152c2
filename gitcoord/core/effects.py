"""Effects: what the protocol asks of its driver, for real or in a model; behind each, what it is answered with."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gitcoord.core.event import Draft, Event, Head
from gitcoord.core.ports import Oid, Update


@dataclass(frozen=True, slots=True)
class Fetch:
    """→ refs by name; raises Unreachable, BadCredentials, Denied. `newcomer`: the newest commits will do"""

    newcomer: bool = False


@dataclass(frozen=True, slots=True)
class Push:
    """→ `Pushed` by ref"""

    updates: tuple[Update, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """→ None, after a random time of at most this (or two round trips × 2^losses, whichever is less)"""

    losses: int


@dataclass(frozen=True, slots=True)
class SaveTip:
    """→ None, once the last tip seen and the highest term are durable"""

    oid: Oid
    term: int


@dataclass(frozen=True, slots=True)
class Trim:
    """→ None. Queued lines up to `head` are in the ledger. The head is made durable BEFORE they go"""

    head: Head


@dataclass(frozen=True, slots=True)
class ChainAnew:
    """→ None. What is queued is chained again after `head`, same uids, without those that are sequenced"""

    head: Head
    sequenced: frozenset[str]


@dataclass(frozen=True, slots=True)
class Adopt:
    """→ None. Lines of our own outbox that the disk lacks go to the queue's end"""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Reclaim:
    """→ None. Vanished events whose place in their chain is taken: those whose key is here go to the queue's end"""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class BecomeNewNode:
    """→ the new node id, durable, with the queue chained anew under it"""

    reason: str


@dataclass(frozen=True, slots=True)
class NoteOutbox:
    """→ None, once the id of the outbox commit about to be pushed is durable"""

    oid: Oid


@dataclass(frozen=True, slots=True)
class Carry:
    """→ None, once these lines, which a ledger lost, are durable here to be offered again"""

    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """→ None, once the leader's own events are durable in the queue"""

    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """→ None. `kind` is one word for machines, `text` for people"""

    kind: str
    text: str


Effect = (
    Fetch | Push | Wait | SaveTip | Trim | ChainAnew | Adopt | Reclaim | BecomeNewNode | NoteOutbox | Carry | Append
    | Tell
)
Steps = Generator[Effect, Any, None]


class Disk(Protocol):
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
    def carried(self) -> Sequence[bytes]:
        """Lines that a ledger lost, to be offered again."""

    @property
    def broken(self) -> bool:
        """Whether lines are queued that do not fit the chain."""

    def pending(self) -> list[Event]:
        """The queue, in order."""

    def pushed(self, oid: Oid) -> bool:
        """Whether this node wrote that outbox commit."""

    def pushed_last(self) -> Oid | None:
        """The outbox commit that this node, by any of its processes, wrote last."""
