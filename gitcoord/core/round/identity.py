"""Identity: whether a copy of this clone wrote the outbox under our node id, or somebody else.

A copy has our keys, and writes lines that we did not write. Anybody who may push can put anything else there, even
lines and heartbeats of ours that were there before. If we became a new node for that, anybody could make us do so
again and again.
"""

from __future__ import annotations

from gitcoord.core import limits
from gitcoord.core.format.event import Event, Head, parse
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ledger.outbox import Outbox
from gitcoord.core.round.effects import DurableState
from gitcoord.core.round.replica import Replica


def is_of_a_copy(replica: Replica, disk: DurableState, local: LocalSessions, box: Outbox) -> bool:
    """Return whether another clone wrote `box`, which is under our node id. Its heartbeats' signatures were checked."""
    if disk.pushed_last() is None:
        return True  # the list of what we pushed is gone: nothing shows that we wrote it
    lines = any(_is_foreign_line(replica, disk, line) for line in box.lines)
    return (
        lines
        or any(_is_foreign_heartbeat(disk, local, heartbeat) for heartbeat in box.heartbeats)
        or _is_chain_taken(replica, disk)
    )


def _is_foreign_line(replica: Replica, disk: DurableState, line: bytes) -> bool:
    """Return whether one of our keys signed this line for our chain, in another clone."""
    event = replica.check(line)
    if event is None or event.seq is None or event.node != disk.node or not disk.owns(event):
        return False
    pending = disk.pending()
    if any(event.uid == ours.uid for ours in pending) or line in disk.orphans:  # or what a set back ledger lost
        return False
    newest = pending[-1].seq or 0 if pending else disk.base.seq
    return event.seq > newest or not replica.is_sequenced(line)


def _is_foreign_heartbeat(disk: DurableState, local: LocalSessions, heartbeat: Event) -> bool:
    """Return whether one of our keys signed this heartbeat, in another clone."""
    if heartbeat.node != disk.node or not disk.owns(heartbeat):
        return False
    session, count = heartbeat.data.get("session"), heartbeat.data.get("n")
    if not isinstance(session, str) or type(count) is not int:
        return False
    ours = local.made(session, count)
    return count > disk.heartbeats_pushed(session) or (ours is not None and ours != heartbeat.line)


def _is_chain_taken(replica: Replica, disk: DurableState) -> bool:
    """Return whether the ledger holds a line of our chain that one of our keys signed in another clone."""
    head, base = replica.heads.get(disk.node, Head()), disk.base
    if head.seq < base.seq or head == base or any(event.head == head for event in disk.pending()):
        return False
    read, newest = replica.branch.line_at(), replica.branch.fleet.position
    for position in range(newest, max(0, newest - limits.BATCH_EVENTS_MAX), -1):
        event = parse(read(position))
        if event.node == disk.node and event.seq == head.seq:
            return disk.owns(event)
    return False
