"""A batch: the events that go into one ledger commit, each next in its node's chain, from all nodes that offer any."""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence
from typing import NamedTuple

from gitcoord.core import limits
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.fold.places import Ahead
from gitcoord.core.format.event import Event
from gitcoord.core.round.effects import DurableState
from gitcoord.core.round.replica import Replica


def admit(
    replica: Replica, disk: DurableState, pending: Sequence[Event], *, refused: Container[str]
) -> tuple[list[Event], bool]:
    """Return the next events of every node that may be sequenced, and whether our own are among them."""
    if replica.branch.fleet.id is None:
        return [], False
    batch = Batch(replica, refused, Room(replica.refusals.batch_events_max, limits.BATCH_BYTES_MAX))
    orphans = [event for line in disk.orphans if (event := replica.lines.parse(line))]
    back = sum(batch.take(event) for event in orphans)  # a ledger held them once: they come before all new events
    own = sum(batch.take(event, ours=True) for event in pending)
    nodes = _turns(replica)
    again = [replica.outboxes[node].orphans for node in nodes]
    new = [replica.outboxes[node].lines for node in nodes if node != disk.node]
    half = Room(batch.room.events // 2, batch.room.size // 2) if any(again) and any(new) else batch.room
    batch.share(again, half)
    batch.share(new, batch.room)
    batch.share(again, batch.room)
    replica.lines.forget(itertools.chain(disk.orphans, *again, *new))
    return batch.events, bool(own or back)


def _turns(replica: Replica) -> list[str]:
    """Return the nodes, beginning with another one each time: a batch's limit never cuts off the same node."""
    nodes = sorted(replica.outboxes)
    replica.rotation += 1
    turn = replica.rotation % len(nodes) if nodes else 0
    return nodes[turn:] + nodes[:turn]


class Room(NamedTuple):
    """The room that is left in a batch."""

    events: int
    size: int  # bytes

    def without(self, line: bytes) -> Room:
        """Return the room that is left after `line`."""
        return Room(self.events - 1, self.size - len(line))


class Batch:
    """Events on their way into one commit: each is next in its node's chain after those before it."""

    def __init__(self, replica: Replica, refused: Container[str], room: Room) -> None:
        self.replica, self.refused, self.room = replica, refused, room
        self.events: list[Event] = []
        self.chains = replica.branch.fleet.chains.fork()
        self.ahead = Ahead()

    def take(self, event: Event, *, ours: bool = False) -> bool:
        """Add an event if it may be sequenced now; return whether it is.

        What we signed ourselves is signed rightly, except with a secret that all share: it may be another fleet's.
        """
        fleet, head = self.replica.branch.fleet, self.chains.heads.get(event.node)
        if event.seq != (head.seq if head is not None else 0) + 1:
            return False
        if self.room.events <= 0 or self.room.size < len(event.line) or event.uid in self.refused:
            return False
        try:
            fleet.check_place(event, chains=self.chains, ahead=self.ahead)
        except Inadmissible:
            return False
        if (not ours or fleet.has_shared_secret) and self.replica.check(event.line) is None:
            return False
        self.chains.take(event)
        self.ahead.add(event, fleet.members, fleet.position + 1)
        self.events.append(event)
        self.room = self.room.without(event.line)
        return True

    def share(self, offers: Sequence[Sequence[bytes]], room: Room) -> None:
        """Take from each outbox its equal part of `room`; outboxes that offer more share what the others leave."""
        rest = [iter(lines) for lines in offers if lines]
        end = Room(self.room.events - room.events, self.room.size - room.size)
        for parts in (len(rest), 1):
            for lines in rest:
                stop = Room(
                    max(end.events, self.room.events - max(1, room.events // parts)),
                    max(end.size, self.room.size - max(1, room.size // parts)),
                )
                while self.room.events > stop.events and self.room.size > stop.size and (line := next(lines, b"")):
                    event = self.replica.lines.parse(line)
                    if event is not None:
                        self.take(event)


def why_waiting(replica: Replica, pending: Sequence[Event]) -> str | None:
    """Return why the ledger does not admit our first queued event today; None if it does, or if another one is next."""
    if not pending or replica.branch.fleet.id is None:
        return None
    if replica.branch.fleet.has_shared_secret and replica.check(pending[0].line) is None:
        return "it is signed with another secret than the fleet's; `gitcoord queue drop --force` takes it out"
    try:
        replica.branch.fleet.check_place(pending[0], ahead=Ahead())
    except Inadmissible as wrong:
        return str(wrong) if wrong.waits else None
    return None
