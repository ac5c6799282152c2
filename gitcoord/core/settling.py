"""Settling: know which outbox is one's own, and trim from the queue only what the ledger is seen to hold."""

from __future__ import annotations

from collections.abc import Mapping

from gitcoord.core import outbox
from gitcoord.core.effects import Adopt, BecomeNewNode, Carry, ChainAnew, Disk, Steps, Trim
from gitcoord.core.event import Head, parse_all
from gitcoord.core.outbox import Outbox
from gitcoord.core.ports import Oid
from gitcoord.core.replica import Replica
from gitcoord.core.session import Crew


def know_oneself(me: Replica, disk: Disk, crew: Crew, refs: Mapping[str, Oid]) -> Steps:
    """Read the outboxes; an outbox of ours that we did not write means that this clone was copied."""
    boxes = {}
    for ref, oid in refs.items():
        if ref.startswith(me.outbox_prefix):
            node = ref[len(me.outbox_prefix):]
            old = me.outboxes.get(node)
            boxes[node] = old if old is not None and old.oid == oid else _checked(me, outbox.read(me.objects, oid))
    me.outboxes = boxes
    mine = boxes.get(disk.node)
    if mine is not None and not disk.pushed(mine.oid):
        crew.node = yield BecomeNewNode(f"another clone writes as {disk.node}: identity shared (a copied clone?)")
        me.durable, me.own_seen = Head(), None
        return
    if mine is None:
        me.durable = Head()
        return
    yield from _merge_own(me, disk, mine)


def _checked(me: Replica, box: Outbox) -> Outbox:
    """Without the beats whose signatures are not their agents'."""
    fleet = me.branch.fleet
    good = []
    for beat in box.beats:
        member = fleet.members.get(beat.actor)
        if member is not None and member.key == beat.key:
            if fleet.verifier is None or fleet.verifier.rejects(beat, fleet.id or "") is None:
                good.append(beat)
    return Outbox(box.oid, box.lines, box.carried, tuple(good))


def _merge_own(me: Replica, disk: Disk, mine: Outbox) -> Steps:
    """Take from our own outbox what a restored disk lacks, and see how much of the queue is durable."""
    pending = disk.pending()
    head = pending[-1].head if pending else disk.base
    lacking, durable = [], Head()
    for event in parse_all(mine.lines):
        durable = event.head
        if event.node == disk.node and event.seq == head.seq + 1 and event.prev == head.hash:
            lacking.append(event)
            head = event.head
    ledger = me.heads.get(disk.node, Head())
    if lacking and lacking[-1].head.seq > ledger.seq:
        yield Adopt(tuple(lacking))
    me.durable = durable


def settle_queue(me: Replica, disk: Disk) -> Steps:
    """Trim what the ledger holds, line for line; where it holds another line in its place, chain anew."""
    ledger, base, pending = me.heads.get(disk.node, Head()), disk.base, disk.pending()
    if disk.broken:
        yield ChainAnew(ledger, frozenset(me.branch.fleet.positions))
        me.durable = Head()
    elif ledger == base:
        pass
    elif any(event.head == ledger for event in pending):
        yield Trim(ledger)
    elif ledger.seq >= base.seq or not _continued(me, disk, ledger):
        yield ChainAnew(ledger, frozenset(e.uid for e in pending if e.uid in me.branch.fleet.positions))
        me.durable = Head()
    if disk.carried:
        rest = tuple(line for line in disk.carried if not _sequenced(me, line))
        if len(rest) < len(disk.carried):
            yield Carry(rest)


def _continued(me: Replica, disk: Disk, head: Head) -> bool:
    """Whether anyone still offers the line after `head` of our own chain."""
    offered = [*disk.carried, *(line for box in me.outboxes.values() for line in (*box.lines, *box.carried))]
    return any(e.node == disk.node and e.seq == head.seq + 1 and e.prev == head.hash for e in parse_all(offered))


def _sequenced(me: Replica, line: bytes) -> bool:
    events = parse_all([line])
    return not events or (events[0].seq or 0) <= me.heads.get(events[0].node, Head()).seq
