"""Settling: know which outbox is one's own, and trim from the queue only what the ledger is seen to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gitcoord.core import outbox
from gitcoord.core.effects import Adopt, BecomeNewNode, Carry, ChainAnew, Disk, Reclaim, Steps, Trim
from gitcoord.core.event import Event, Head, hash_of, parse, parse_all
from gitcoord.core.outbox import Outbox
from gitcoord.core.ports import Oid
from gitcoord.core.replica import Replica
from gitcoord.core.session import Crew


def know_oneself(me: Replica, disk: Disk, crew: Crew, refs: Mapping[str, Oid]) -> Steps:
    """Read the outboxes; an outbox of ours that we did not write means that this clone was copied."""
    boxes, own = {}, disk.node
    for ref, oid in refs.items():
        if ref.startswith(me.outbox_prefix):
            node = ref[len(me.outbox_prefix):]
            old = me.outboxes.get(node)
            unchanged = old is not None and old.oid == oid
            boxes[node] = old if old and unchanged else _checked(
                me, outbox.read(me.objects, oid, old, whole=node == own and disk.pushed(oid)))
    me.outboxes = boxes
    mine = boxes.get(own)
    if mine is not None and not disk.pushed(mine.oid):
        yield from _become_new_node(me, disk, crew, mine)
        return
    if mine is None:
        me.durable = Head()
    elif mine.oid != me.merged:
        yield from _merge_own(me, disk, mine)
        me.merged = mine.oid


def _become_new_node(me: Replica, disk: Disk, crew: Crew, theirs: Outbox) -> Steps:
    """Another clone writes under our id. What its outbox holds and the ledger lacks is carried along, FIRST."""
    lacking = [line for line in theirs.lines if me.check(line) and not _sequenced(me, line)]
    if lacking:
        yield Carry(tuple(dict.fromkeys([*disk.carried, *lacking])))
    crew.node = yield BecomeNewNode(f"another clone writes as {disk.node}: identity shared (a copied clone?)")
    crew.begin_anew()
    me.durable, me.own_seen, me.own_newest, me.merged = Head(), None, None, None


def _checked(me: Replica, box: Outbox) -> Outbox:
    """Without the beats whose signatures are not their agents'."""
    fleet = me.branch.fleet
    good = []
    for beat in box.beats:
        member = fleet.members.get(beat.actor)
        if member is not None and member.key == beat.key:
            if fleet.verifier is None or fleet.verifier.rejects(beat, fleet.id or "") is None:
                good.append(beat)
    return box if len(good) == len(box.beats) else replace(box, beats=tuple(good))


def _merge_own(me: Replica, disk: Disk, mine: Outbox) -> Steps:
    """Take from our own outbox what the disk lacks, and see how much of the queue is durable.

    What fits goes to the queue's end. What does not, because the queue grew before it was known, is carried: it
    was acknowledged once, it is sequenced first, and the queue is chained anew after it.
    """
    pending = disk.pending()
    head = pending[-1].head if pending else disk.base
    queued = {event.uid for event in pending}
    lacking, displaced, durable = [], [], Head()
    for event in parse_all(mine.lines):
        durable = event.head
        if event.uid in queued:
            continue
        if event.node == disk.node and event.seq == head.seq + 1 and event.prev == head.hash:
            lacking.append(event)
            head = event.head
        elif me.check(event.line) and not _sequenced(me, event.line):
            displaced.append(event.line)
    ledger = me.heads.get(disk.node, Head())
    if lacking and lacking[-1].head.seq > ledger.seq:
        yield Adopt(tuple(lacking))
    if displaced:
        yield Carry(tuple(dict.fromkeys([*disk.carried, *displaced])))
    me.durable = durable


def settle_queue(me: Replica, disk: Disk) -> Steps:
    """Trim what the ledger holds, line for line; where it holds another line in its place, chain anew."""
    ledger, base, pending = me.heads.get(disk.node, Head()), disk.base, disk.pending()
    if disk.broken:
        yield ChainAnew(ledger, frozenset(me.branch.fleet.positions))
        me.durable = Head()
    elif ledger == base:
        pass
    elif _at(pending, base, ledger.seq) == ledger:
        yield Trim(ledger)
    elif ledger.seq >= base.seq or not _continued(me, disk, ledger):
        yield ChainAnew(ledger, frozenset(e.uid for e in pending if e.uid in me.branch.fleet.positions))
        me.durable = Head()
    yield from _settle_carried(me, disk)


def _at(pending: Sequence[Event], base: Head, seq: int) -> Head | None:
    """Where the queued chain stands at `seq`; the queue is contiguous from its base."""
    place = seq - base.seq - 1
    return pending[place].head if 0 <= place < len(pending) else None


def _continued(me: Replica, disk: Disk, head: Head) -> bool:
    """Whether anyone still offers the line after `head` of our own chain."""
    offered = [*disk.carried, *(line for box in me.outboxes.values() for line in (*box.lines, *box.carried))]
    return any(e.node == disk.node and e.seq == head.seq + 1 and e.prev == head.hash for e in parse_all(offered))


# What a ledger lost


def _settle_carried(me: Replica, disk: Disk) -> Steps:
    """Let go of carried lines that are back. One that cannot come back goes out again under its author's hand."""
    carried = tuple(disk.carried)
    if not carried and not any(box.carried for box in me.outboxes.values()):
        return
    queued = {event.uid for event in disk.pending()}
    displaced = [event for event in _displaced(me, carried) if event.uid not in queued | me.reclaimed]
    if displaced:
        yield Reclaim(tuple(displaced))
        me.reclaimed.update(event.uid for event in displaced)
    rest = _still_needed(me, carried)
    if len(rest) < len(carried):
        yield Carry(rest)


def _displaced(me: Replica, carried: Sequence[bytes]) -> list[Event]:
    """Lines offered again that can never come back: their place is taken, or nobody has the line before them.

    Chained anew under the same uid they count once, should the missing line turn up after all.
    """
    again = dict.fromkeys([*carried, *(line for box in me.outboxes.values() for line in box.carried)])
    others = (line for box in me.outboxes.values() for line in box.lines)
    events = [event for line in dict.fromkeys([*again, *others]) if (event := me.check(line)) and event.seq]
    heads = dict(me.heads)
    found = []
    for event in sorted(events, key=lambda event: (event.node, event.seq)):
        head = heads.get(event.node, Head())
        if event.seq == head.seq + 1 and event.prev == head.hash:
            heads[event.node] = event.head
        elif event.line in again and event.term is None and event.uid not in me.branch.fleet.positions:
            if not _sequenced(me, event.line):
                found.append(event)
    return found


def _still_needed(me: Replica, carried: Sequence[bytes]) -> tuple[bytes, ...]:
    """The lines that are not back, and those that lead to them in their chains, in the order given."""
    events = {line: event for line in carried if (event := me.check(line))}
    by_hash = {hash_of(line): event for line, event in events.items()}
    needed: set[bytes] = set()
    for line in carried:
        if not _sequenced(me, line):
            event = events.get(line)
            while event is not None and event.line not in needed:
                needed.add(event.line)
                event = by_hash.get(event.prev or "")
    heads = me.heads
    return tuple(
        line for line in carried if line in needed
        and (not _sequenced(me, line) or (events[line].seq or 0) > heads.get(events[line].node, Head()).seq)
    )


def _sequenced(me: Replica, line: bytes) -> bool:
    """Whether the ledger holds this event, at its own place or at another (or it can never count: a lost term's)."""
    event = me.check(line)
    if event is None or event.seq is None or event.uid in me.branch.fleet.positions:
        return True
    if event.seq > me.heads.get(event.node, Head()).seq:
        return False
    return event.term is not None or _void_in_ledger(me, event)


def _void_in_ledger(me: Replica, event: Event) -> bool:
    """Whether the ledger holds the event without effect. Reads the whole log: asked for displaced lines only."""
    known = me.void_uids
    if known is None or known[0] != me.branch.tip:
        voids = set()
        read = me.branch.line_at()
        effective = set(me.branch.fleet.positions.values())
        for position in range(1, me.branch.fleet.position + 1):
            if position not in effective:
                other = parse(read(position))
                voids.add((other.uid, other.actor, other.key))
        known = me.void_uids = (me.branch.tip, frozenset(voids))
    return (event.uid, event.actor, event.key) in known[1]
