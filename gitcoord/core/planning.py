"""Planning a push: whose turn it is to extend the ledger, and the commits that are to be pushed."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core import limits, outbox
from gitcoord.core.effects import Append, Disk, Effect, NoteOutbox, Steps
from gitcoord.core.event import Event, Head, hash_of, parse_all
from gitcoord.core.fleet import Duty, Inadmissible, draft_of
from gitcoord.core.names import uid_from
from gitcoord.core.ports import Oid, Update
from gitcoord.core.replica import Replica, own_ref
from gitcoord.core.session import Crew, Session


@dataclass(slots=True)
class Plan:
    updates: list[Update]
    commit: Oid | None = None  # of the ledger
    image: Oid | None = None  # of the outbox
    pending: list[Event] = field(default_factory=list)
    stander: Session | None = None


def do_duties(me: Replica, disk: Disk, crew: Crew) -> Steps:
    """What the leader alone appends; a duty that is pending already is not appended again."""
    fleet = me.branch.fleet
    lead = crew.leading(fleet.terms)
    if lead is None or lead.leaving or not lead.claims:
        return
    waiting = {event.data.get("duty") for event in disk.pending()}
    duties = fleet.duties(me.clock.timestamp()) + [
        Duty("error", f"{bad.where}: {bad.reason}", f"bad:{hash_of(bad.line)[:16]}") for bad in me.branch.bad
    ]
    drafts = tuple(
        draft_of(duty, actor=lead.agent, term=fleet.terms.term, timestamp=me.clock.timestamp(),
                 uid=uid_from(me.chance.randbytes(10)))
        for duty in {duty.key: duty for duty in duties}.values()
        if duty.key not in waiting and duty.key not in fleet.done
    )
    if drafts:
        yield Append(drafts)


def make_plan(me: Replica, disk: Disk, crew: Crew, now_s: float) -> Generator[Effect, Any, Plan | None]:
    """What to push, as commits that are ready; None when there is nothing to say."""
    fleet = me.branch.fleet
    pending = _unblocked(me, disk.pending())
    batch, own = _admit(me, disk, pending)
    standing = crew.stands(fleet, now_s) if now_s >= me.quiet_until_s else None
    lead = crew.leading(fleet.terms)
    files = me.publish(me.branch) if lead is not None and lead.claims else {}
    waited_s = _longest_wait_s(me, batch, now_s)
    if lead is not None and waited_s >= crew.profile.silence_s:
        lead.claims = False  # it lives, but it does not lead: let another one stand
    leads = lead is not None and lead.claims
    turn = standing or own or (leads and (batch or files or me.branch.damaged or crew.wants_to_act))
    turn = turn or waited_s >= 2 * crew.profile.poll_s  # two ticks: anyone helps
    lines = list(batch)
    if standing:
        term = max(fleet.terms.highest, disk.term) + 1
        uid = uid_from(me.chance.randbytes(10))
        lines.insert(0, crew.election(fleet, *standing, term=term, timestamp=me.clock.timestamp(), uid=uid))
    elif lead is not None and leads and crew.wants_to_act and not (lines or files):
        lines.append(crew.renewal(fleet, lead, timestamp=me.clock.timestamp(), uid=uid_from(me.chance.randbytes(10))))
    write_ledger = bool(turn) and now_s >= me.quiet_until_s and fleet.id is not None
    beat = crew.beat_due(fleet, now_s)
    news = bool(pending) and pending[-1].head != me.durable
    if not (write_ledger or beat or news):
        return None
    plan = Plan([], pending=pending, stander=standing[0] if standing and write_ledger else None)
    fresh = beat or (write_ledger and lead is not None)
    yield from add_outbox(me, disk, crew, plan, now_s, fresh=fresh)
    if write_ledger:
        author = _author(crew, standing, lead, own, disk)
        plan.commit = _ledger_commit(me, lines, files, author, disk.node)
        plan.updates.append(Update(me.ledger_ref, me.branch.tip, plan.commit))
    return plan


def _unblocked(me: Replica, pending: list[Event]) -> list[Event]:
    for place, event in enumerate(pending):
        if event.uid == me.blocked:
            return pending[:place]
    me.blocked = None
    return pending


def _admit(me: Replica, disk: Disk, pending: Sequence[Event]) -> tuple[list[bytes], bool]:
    """The next lines of every node that may be sequenced, and whether our own are among them."""
    fleet = me.branch.fleet
    heads = dict(fleet.heads)
    batch: list[bytes] = []
    own = False
    for event in pending:
        if len(batch) < limits.BATCH_EVENTS_MAX and event.seq == heads.get(disk.node, Head()).seq + 1:
            if event.prev == heads.get(disk.node, Head()).hash and fleet.id is not None:
                batch.append(event.line)  # our own: no need to check what we signed
                heads[disk.node] = event.head
                own = True
    nodes = sorted(me.outboxes)
    me.rotation += 1
    turn = me.rotation % len(nodes) if nodes else 0
    offers = [line for node in nodes[turn:] + nodes[:turn] if node != disk.node for line in me.outboxes[node].lines]
    offers += [line for node in nodes for line in me.outboxes[node].carried]
    for line in [*offers, *disk.carried]:
        if len(batch) >= limits.BATCH_EVENTS_MAX:
            break
        try:
            event = fleet.admissible(line, heads=heads)
        except Inadmissible:
            continue
        if event.seq is not None:
            heads[event.node] = event.head
            batch.append(line)
    return batch, own


def _longest_wait_s(me: Replica, batch: Sequence[bytes], now_s: float) -> float:
    """How long the event that waits longest for its place has been seen to wait."""
    waiting = {}
    for event in parse_all(batch):
        if event.node not in waiting:
            before = me.waiting.get(event.node)
            since = before[1] if before is not None and before[0] == event.seq else now_s
            waiting[event.node] = (event.seq or 0, since)
    me.waiting = waiting
    return max((now_s - since for _, since in waiting.values()), default=0.0)


def _author(crew: Crew, standing: tuple[Session, str] | None, lead: Session | None, own: bool, disk: Disk) -> str:
    if standing:
        return standing[0].agent
    if lead is not None:
        return lead.agent
    pending = disk.pending() if own else []
    return pending[-1].actor if pending else disk.node


def add_outbox(me: Replica, disk: Disk, crew: Crew, plan: Plan, now_s: float, *, fresh: bool) -> Steps:
    oid = outbox.write(
        me.objects, node=disk.node, pending=plan.pending, carried=disk.carried,
        beats=crew.beats(me.branch.fleet, now_s, timestamp=me.clock.timestamp(), fresh=fresh),
        nonce=uid_from(me.chance.randbytes(10)), time_s=me.clock.epoch_s(),
        parent=me.own_seen if me.parented_outbox else None,
    )
    yield NoteOutbox(oid)  # durable BEFORE it is pushed: else we would not know it for ours
    plan.image = oid
    plan.updates.append(Update(own_ref(me, disk), me.own_seen, oid))


def _ledger_commit(
    me: Replica, lines: Sequence[bytes], files: Mapping[str, bytes | None], author: str, node: str
) -> Oid:
    log = me.branch.extend(lines)
    tree = me.branch.write(log, files)
    message = _message(me, lines, files, node)
    parents = [me.branch.tip] if me.branch.tip else []
    return me.objects.put_commit(
        tree=tree, parents=parents, message=message, author=author, time_s=me.clock.epoch_s()
    )


def _message(me: Replica, lines: Sequence[bytes], files: Mapping[str, bytes | None], node: str) -> str:
    """Subject and trailers of a ledger commit. Forges act on @ and #12 in subjects: neutralised."""
    fleet = me.branch.fleet
    events = parse_all(lines)
    if len(events) == 1:
        subject = f"{events[0].actor}: {events[0].type}"
    elif events:
        actors = sorted({event.actor for event in events})
        shown = ", ".join(actors[:5]) + (f" and {len(actors) - 5} more" if len(actors) > 5 else "")
        subject = f"{len(events)} events from {shown}"
    else:
        subject = "snapshot" if files else "repair"
    return (
        f"{subject} [skip ci]\n\nPosition: {fleet.position + len(lines)}\nTerm: {fleet.terms.term}\n"
        f"Sequenced-by: {node}\nNonce: {uid_from(me.chance.randbytes(10))}\n"
    )
