"""Reconciling: tell our own outbox from others' rubbish, and trim from the queue only what the ledger holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gitcoord.core import limits
from gitcoord.core.format.event import Event, Head, hash_of, parse_all
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ledger import outbox
from gitcoord.core.ledger.outbox import Outbox
from gitcoord.core.ports import Fetched, Pushed, PushOutcome, Update
from gitcoord.core.round.effects import (
    BecomeNewNode,
    DurableState,
    Notify,
    Push,
    Rechain,
    RestoreFromOutbox,
    Resubmit,
    SaveOrphans,
    Steps,
    Trim,
)
from gitcoord.core.round.identity import is_of_a_copy
from gitcoord.core.round.replica import Replica, own_ref

COPIED = "another clone writes as {}: identity shared (a copied clone?)"


def check_own_outbox(replica: Replica, disk: DurableState, local: LocalSessions, fetched: Fetched) -> Steps:
    """Read the outboxes. If a copy of this clone wrote ours, become a new node; what others wrote is ignored."""
    boxes, own = {}, disk.node
    for ref, oid in fetched.refs.items():
        if ref.startswith(replica.outbox_prefix):
            node = ref[len(replica.outbox_prefix) :]
            old = replica.outboxes.get(node)
            if old is not None and (old.oid == oid or ref in fetched.left and node != own):
                boxes[node] = old
            else:
                boxes[node] = _checked(
                    replica, outbox.read(replica.objects, oid, old, whole=node == own and disk.pushed(oid))
                )
    replica.outboxes = boxes
    mine = boxes.get(own)
    if mine is None:
        replica.own.empty()
        yield from _clear_way(replica, disk, local, fetched)
    elif not disk.pushed(mine.oid):
        if is_of_a_copy(replica, disk, local, mine):
            yield from _become_new_node(replica, disk, local, mine, COPIED)
        else:
            yield from _pass_over(replica, disk, mine)
    elif mine.oid != replica.own.merged:
        yield from _merge_own(replica, disk, mine)
        replica.own.merge(mine.oid)


def _pass_over(replica: Replica, disk: DurableState, theirs: Outbox) -> Steps:
    """Ignore what somebody without our keys wrote to our outbox: our next push replaces it, after growing pauses.

    Our lines are sequenced all the same.
    """
    del replica.outboxes[disk.node]
    pause_s = replica.own.deface(theirs.oid, replica.clock.monotonic_s())
    if pause_s is None:
        return
    later = f" in {pause_s:.0f} s" if pause_s else " when there is something to push"
    yield Notify(
        "outbox_defaced",
        f"somebody without this node's keys wrote to its outbox {own_ref(replica, disk)} (commit "
        f"{theirs.oid[:12]}; {replica.own.defaced_times} times recently): it is pushed again{later}; the remote's "
        "owner can tell who pushes there",
    )


def _clear_way(replica: Replica, disk: DurableState, local: LocalSessions, fetched: Fetched) -> Steps:
    """Remove refs below our outbox's name: git holds no ref whose name is a folder of another's."""
    below = {ref: oid for ref, oid in fetched.strays.items() if ref.startswith(own_ref(replica, disk) + "/")}
    if not below:
        return
    yield Notify(
        "outbox_blocked",
        f"{len(below)} refs below {own_ref(replica, disk)}, which is this node's outbox: removing "
        "them; the remote's owner can tell who pushes there",
    )
    updates = tuple(Update(ref, oid, None) for ref, oid in sorted(below.items())[: limits.OUTBOXES_RETIRED_AT_ONCE])
    answers: Mapping[str, Pushed] = yield Push(updates)
    if any(answer.outcome is PushOutcome.DENIED for answer in answers.values()):
        yield from _become_new_node(replica, disk, local, Outbox(""), "refs below {}, its outbox, cannot be removed")


def _become_new_node(replica: Replica, disk: DurableState, local: LocalSessions, theirs: Outbox, reason: str) -> Steps:
    """Continue under another node id. FIRST keep the lines of `theirs` that the ledger lacks, to offer them again."""
    lacking = [line for line in theirs.lines if replica.check(line) and not replica.is_sequenced(line)]
    if lacking:
        yield SaveOrphans(tuple(dict.fromkeys([*disk.orphans, *lacking])))
    local.node = yield BecomeNewNode(reason.format(disk.node))
    local.begin_anew()
    replica.own.begin_anew()


def _checked(replica: Replica, box: Outbox) -> Outbox:
    """Return the outbox without heartbeats that their agents did not sign."""
    fleet = replica.branch.fleet
    good = []
    for heartbeat in box.heartbeats:
        member = fleet.members.get(heartbeat.actor)
        if member is not None and member.key == heartbeat.key:
            if fleet.verifier is None or fleet.verifier.rejects(heartbeat, fleet.id or "") is None:
                good.append(heartbeat)
    return box if len(good) == len(box.heartbeats) else replace(box, heartbeats=tuple(good))


def _merge_own(replica: Replica, disk: DurableState, mine: Outbox) -> Steps:
    """Restore from our own outbox what the disk lacks, and note how much of the queue is durable there.

    A line that fits goes to the queue's end. A line that does not, because the queue grew before it was known, becomes
    an orphan: it was acknowledged once, it is sequenced first, and the queue is rechained after it.
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
        elif replica.check(event.line) and not replica.is_sequenced(event.line):
            displaced.append(event.line)
    ledger = replica.heads.get(disk.node, Head())
    if lacking and lacking[-1].head.seq > ledger.seq:
        yield RestoreFromOutbox(tuple(lacking))
    if displaced:
        yield SaveOrphans(tuple(dict.fromkeys([*disk.orphans, *displaced])))
    replica.own.durable = durable


def reconcile_queue(replica: Replica, disk: DurableState) -> Steps:
    """Trim what the ledger holds, line for line. If it holds another line in its place, rechain the queue."""
    ledger, base, pending = replica.heads.get(disk.node, Head()), disk.base, disk.pending()
    if disk.broken:
        yield Rechain(ledger, frozenset(replica.branch.fleet.positions))
        replica.own.empty()
    elif ledger == base:
        pass
    elif _at(pending, base, ledger.seq) == ledger:
        yield Trim(ledger)
    elif ledger.seq >= base.seq or not _continued(replica, disk, ledger):
        yield Rechain(ledger, frozenset(e.uid for e in pending if e.uid in replica.branch.fleet.positions))
        replica.own.empty()
    yield from _settle_orphans(replica, disk)


def _at(pending: Sequence[Event], base: Head, seq: int) -> Head | None:
    """Return the head of the queued chain at `seq`, None if it is not queued. The queue has no gaps."""
    place = seq - base.seq - 1
    return pending[place].head if 0 <= place < len(pending) else None


def _continued(replica: Replica, disk: DurableState, head: Head) -> bool:
    """Return whether any node still offers the line after `head` of our own chain."""
    offered = [*disk.orphans, *(line for box in replica.outboxes.values() for line in (*box.lines, *box.orphans))]
    return any(e.node == disk.node and e.seq == head.seq + 1 and e.prev == head.hash for e in parse_all(offered))


# Orphans


def _settle_orphans(replica: Replica, disk: DurableState) -> Steps:
    """Drop orphans that are back in the ledger. Resubmit those that cannot come back, if their author's key is here."""
    orphans = tuple(disk.orphans)
    if not orphans and not any(box.orphans for box in replica.outboxes.values()):
        return
    queued = {event.uid for event in disk.pending()}
    displaced = [event for event in _displaced(replica, orphans) if event.uid not in queued | replica.reclaimed]
    if displaced:
        yield Resubmit(tuple(displaced))
        replica.reclaimed.update(event.uid for event in displaced)
    rest = _still_needed(replica, orphans)
    if len(rest) < len(orphans):
        yield SaveOrphans(rest)


def _displaced(replica: Replica, orphans: Sequence[bytes]) -> list[Event]:
    """Return orphans that can never come back: their place is taken, or no node has the line before them.

    Rechained under the same uid they count once, even if the missing line turns up after all.
    """
    again = dict.fromkeys([*orphans, *(line for box in replica.outboxes.values() for line in box.orphans)])
    others = (line for box in replica.outboxes.values() for line in box.lines)
    events = [event for line in dict.fromkeys([*again, *others]) if (event := replica.check(line)) and event.seq]
    heads = dict(replica.heads)
    found = []
    for event in sorted(events, key=lambda event: (event.node, event.seq)):
        head = heads.get(event.node, Head())
        if event.seq == head.seq + 1 and event.prev == head.hash:
            heads[event.node] = event.head
        elif event.line in again and event.term is None and event.uid not in replica.branch.fleet.positions:
            if not replica.is_sequenced(event.line):
                found.append(event)
    return found


def _still_needed(replica: Replica, orphans: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the lines that are not back, and the lines before them in their chains, in the given order."""
    events = {line: event for line in orphans if (event := replica.check(line))}
    by_hash = {hash_of(line): event for line, event in events.items()}
    needed: set[bytes] = set()
    for line in orphans:
        if not replica.is_sequenced(line):
            event = events.get(line)
            while event is not None and event.line not in needed:
                needed.add(event.line)
                event = by_hash.get(event.prev or "")
    heads = replica.heads
    return tuple(
        line
        for line in orphans
        if line in needed
        and (not replica.is_sequenced(line) or (events[line].seq or 0) > heads.get(events[line].node, Head()).seq)
    )
