"""Planning a push: whose turn it is to extend the ledger, and the commits that are to be pushed."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core import limits
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.core.fold import duties as leader_duties
from gitcoord.core.format.event import Event, Head, parse, parse_all
from gitcoord.core.leadership import control_lines, neighbour_heartbeats
from gitcoord.core.leadership.campaign import campaign
from gitcoord.core.leadership.session import Session
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ledger import outbox
from gitcoord.core.ledger.branch import BadLine
from gitcoord.core.ledger.outbox import Outbox
from gitcoord.core.names import uid_from
from gitcoord.core.ports import Oid, Update
from gitcoord.core.round.batch import admit
from gitcoord.core.round.effects import Append, DurableState, RecordOutbox, Steps
from gitcoord.core.round.replica import Replica, own_ref
from gitcoord.core.text import Place, fit


@dataclass(slots=True)
class Plan:
    """What one push is to say. `build_commits` makes its commits."""

    pending: list[Event] = field(default_factory=list)
    batch: list[Event] = field(default_factory=list)
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    candidate: Session | None = None
    reason: str = ""  # of its standing
    renews_term: bool = False
    writes_ledger: bool = False
    pushes_outbox: bool = True  # the outbox goes along: it has something new
    renews_heartbeats: bool = False
    deletes: list[Update] = field(default_factory=list)  # outboxes of nodes that are gone
    updates: list[Update] = field(default_factory=list)
    ledger_oid: Oid | None = None  # of the ledger
    outbox_oid: Oid | None = None  # of the outbox
    control: Event | None = None  # the election or renewal


def do_duties(replica: Replica, disk: DurableState, local: LocalSessions) -> Steps:
    """What the leader alone appends; a duty that is pending already is not appended again."""
    fleet = replica.branch.fleet
    lead = local.leading(fleet.terms)
    if lead is None or lead.leaving or not lead.claims_term:
        return
    waiting = {duty for event in disk.pending() if isinstance(duty := event.data.get("duty"), str)}
    ctx = Context(
        fleet, replica.clock.timestamp(), lead.agent, disk.node, liveness=local.standings(), seen_s=replica.seen_s
    )
    found = leader_duties.wanted(fleet, ctx, but=waiting) + _bad_lines(replica, waiting)
    drafts = []
    for duty in found:
        if not replica.duties.allows(replica.clock.monotonic_s()):
            break
        draft = leader_duties.draft(
            fleet,
            duty,
            lead.signer,
            actor=lead.agent,
            node=disk.node,
            timestamp=replica.clock.timestamp(),
            uid=uid_from(replica.rng.randbytes(10)),
        )
        if draft is not None:
            replica.duties.spend(replica.clock.monotonic_s())
            drafts.append(draft)
    if drafts:
        yield Append(tuple(drafts))


def _bad_lines(replica: Replica, waiting: Container[str]) -> list[Duty]:
    """One for each commit that somebody tampered with: a commit may hold any number of bad lines."""
    by_commit: dict[Oid, list[BadLine]] = {}
    for bad in replica.branch.bad:
        by_commit.setdefault(bad.commit, []).append(bad)
    found = [(f"bad:{commit[:12]}", bads) for commit, bads in by_commit.items()]
    new = [(key, bads) for key, bads in found if key not in waiting and key not in replica.branch.fleet.done]
    return [Duty("error", _told(bads), key) for key, bads in new[: limits.DUTIES_PER_TICK]]


def _told(bads: Sequence[BadLine]) -> str:
    more = f"; {len(bads) - 1} more bad lines in this commit: `gitcoord verify` names them" if bads[1:] else ""
    return f"{bads[0].where}: {bads[0].reason}"[:400] + more


def plan_push(replica: Replica, disk: DurableState, local: LocalSessions, now_s: float) -> Plan | None:
    """What to push; None when there is nothing to say. Nothing is written yet: the budget may say no."""
    fleet = replica.branch.fleet
    plan = Plan(pending=unblocked(replica, disk.pending()))
    quiet = now_s < replica.quiet_until_s or fleet.id is None
    own = False
    if not quiet:
        plan.batch, own = admit(replica, disk, plan.pending, refused=replica.refused)
        if not plan.batch and replica.refused:
            again = {uid: until for uid, until in replica.refused.items() if now_s < until}
            plan.batch, own = admit(replica, disk, plan.pending, refused=again)
    standing = None if quiet else campaign(local, fleet, now_s, heartbeats=replica.heartbeats(), term_seen=disk.term)
    if standing:
        plan.candidate, plan.reason = standing
    lead = local.leading(fleet.terms)
    waited_s = _longest_wait_s(replica, plan.batch, now_s)
    is_held_back = lead is not None and fleet.places.is_full(lead.agent)  # so would be its renewal
    if lead is not None and (is_held_back or waited_s >= local.profile.election_timeout_s):
        lead.claims_term = False  # it lives, but it does not lead: let another one stand
    leads = lead is not None and lead.claims_term and not lead.leaving
    if leads and not quiet and not replica.suspects:
        plan.files = replica.publish(replica.branch)
    # One that stopped claiming asks the ledger whether it may lead on: a renewal that is accepted says so, also to
    # the others. Others' lines alone would be no sign of life, and it would act again while one of them stands.
    asks = lead is not None and not lead.claims_term and not lead.leaving and not is_held_back
    plan.renews_term = not standing and (asks or (leads and local.lease.wanted and not plan.batch and not plan.files))
    turn = standing or own or plan.renews_term or (leads and (plan.batch or plan.files or replica.branch.damaged))
    turn = turn or waited_s >= 2 * local.profile.poll_s  # two ticks: anyone helps
    plan.writes_ledger = bool(turn) and not quiet
    box = replica.outboxes.get(disk.node)
    heartbeat = local.heartbeat_due(fleet, now_s)
    news = is_news(replica, disk, plan.pending)
    left = neighbour_heartbeats.is_due(local.neighbours(), box.heartbeats if box else (), fleet.members)
    if not (plan.writes_ledger or heartbeat or news or left):
        return None
    if now_s < replica.own_quiet_until_s and not plan.writes_ledger:
        return None
    if leads and not quiet:
        plan.deletes = _forsaken(replica, disk, now_s)
    plan.renews_heartbeats = heartbeat or (plan.writes_ledger and lead is not None)
    plan.pushes_outbox = (
        news or left or plan.renews_heartbeats or plan.candidate is not None
    ) and now_s >= replica.own_quiet_until_s
    return plan


def is_news(replica: Replica, disk: DurableState, pending: Sequence[Event]) -> bool:
    """Whether our outbox on the remote lacks something that it is to hold."""
    box = replica.outboxes.get(disk.node)
    lines = bool(pending) and pending[-1].head != replica.durable
    return lines or tuple(disk.orphans) != (box.orphans if box else ())


def build_commits(replica: Replica, disk: DurableState, local: LocalSessions, plan: Plan, now_s: float) -> Steps:
    """Make the plan's commits."""
    if plan.writes_ledger:
        plan.control = _control(replica, disk, local, plan)
        author = _author(replica, local, plan, disk)
    if plan.pushes_outbox:
        yield from add_outbox(replica, disk, local, plan, now_s, fresh=plan.renews_heartbeats)
    if plan.writes_ledger:
        events = [plan.control, *plan.batch] if plan.control else plan.batch
        log = replica.branch.extend([event.line for event in events], _cuts(events))
        plan.ledger_oid = replica.objects.put_commit(
            tree=replica.branch.write(log, plan.files),
            parents=[replica.branch.tip] if replica.branch.tip else [],
            message=_message(replica, events, plan.files, disk.node),
            author=author,
            time_s=replica.clock.epoch_s(),
        )
        plan.updates.append(Update(replica.ledger_ref, replica.branch.tip, plan.ledger_oid))
    plan.updates.extend(plan.deletes)


def _cuts(events: Sequence[Event]) -> frozenset[int]:
    """Where an outbox is cut as well: a long queue's lines are then the same objects in both, and are sent once."""
    chunks = [outbox.chunk_of(event) for event in events]
    return frozenset(index for index in range(1, len(events)) if chunks[index] != chunks[index - 1])


def _control(replica: Replica, disk: DurableState, local: LocalSessions, plan: Plan) -> Event | None:
    """The election or renewal that opens the commit: it is valid only right after the log as folded."""
    fleet = replica.branch.fleet
    lead = local.leading(fleet.terms)
    stamp: dict[str, Any] = {
        "node": local.node,
        "timestamp": replica.clock.timestamp(),
        "uid": uid_from(replica.rng.randbytes(10)),
    }
    if plan.candidate is not None:
        term = max(fleet.terms.highest, min(disk.term, fleet.terms.highest + limits.TERM_JUMP_MAX - 1)) + 1
        return parse(control_lines.election(fleet, plan.candidate, plan.reason, term=term, **stamp))
    if plan.renews_term and lead is not None:
        return parse(control_lines.renewal(fleet, lead, **stamp))
    return None


def unblocked(replica: Replica, pending: list[Event]) -> list[Event]:
    for place, event in enumerate(pending):
        if event.uid == replica.blocked:
            return pending[:place]
    replica.blocked = None
    return pending


def _longest_wait_s(replica: Replica, batch: Sequence[Event], now_s: float) -> float:
    """How long the event that waits longest for its place has been seen to wait."""
    waiting = {}
    for event in batch:
        if event.node not in waiting:
            before = replica.waiting.get(event.node)
            since = before[1] if before is not None and before[0] == event.seq else now_s
            waiting[event.node] = (event.seq or 0, since)
    replica.waiting = waiting
    return max((now_s - since for _, since in waiting.values()), default=0.0)


def _forsaken(replica: Replica, disk: DurableState, now_s: float) -> list[Update]:
    """Outboxes that this process has seen unchanged for a day, with nothing in them that the ledger lacks.

    Nothing is lost if their node comes back: it then finds no outbox, and pushes a new one.
    """
    since = {}
    for node, box in replica.outboxes.items():
        before = replica.unchanged.get(node)
        since[node] = before if before is not None and before[0] == box.oid else (box.oid, now_s)
    replica.unchanged = since
    gone = [node for node, (_, at_s) in since.items() if now_s - at_s >= limits.OUTBOX_FORSAKEN_S]
    done = [node for node in gone if node != disk.node and not _lacks(replica, replica.outboxes[node])]
    return [
        Update(replica.outbox_prefix + node, since[node][0], None) for node in done[: limits.OUTBOXES_RETIRED_AT_ONCE]
    ]


def _lacks(replica: Replica, box: Outbox) -> bool:
    """Whether an outbox holds a line that the ledger does not."""
    last = parse_all(box.lines[-1:])
    unread = bool(box.lines) and not last
    return unread or bool(box.orphans) or any((e.seq or 0) > replica.heads.get(e.node, Head()).seq for e in last)


def _author(replica: Replica, local: LocalSessions, plan: Plan, disk: DurableState) -> str:
    if plan.control is not None:
        return plan.control.actor
    lead = local.leading(replica.branch.fleet.terms)
    return lead.agent if lead else next((event.actor for event in plan.batch if event.node == disk.node), disk.node)


def add_outbox(
    replica: Replica, disk: DurableState, local: LocalSessions, plan: Plan, now_s: float, *, fresh: bool
) -> Steps:
    heartbeats = local.heartbeats(replica.branch.fleet, now_s, timestamp=replica.clock.timestamp(), fresh=fresh)
    oid = outbox.write(
        replica.objects,
        node=disk.node,
        pending=plan.pending,
        orphans=disk.orphans,
        heartbeats=heartbeats,
        nonce=uid_from(replica.rng.randbytes(10)),
        time_s=replica.clock.epoch_s(),
        parent=replica.own_seen if replica.parented_outbox else None,
    )
    # durable BEFORE it is pushed: else we would not know it for ours
    yield RecordOutbox(oid, neighbour_heartbeats.numbers(heartbeats))
    plan.outbox_oid = oid
    plan.updates.append(Update(own_ref(replica, disk), replica.own_seen, oid))


def _message(replica: Replica, events: Sequence[Event], files: Mapping[str, bytes | None], node: str) -> str:
    """Subject and trailers of a ledger commit. Forges act on @ and #12 in subjects: neutralised."""
    fleet = replica.branch.fleet
    if len(events) == 1:
        subject = f"{events[0].actor}: {events[0].type}"
    elif events:
        actors = sorted({event.actor for event in events})
        shown = ", ".join(actors[:5]) + (f" and {len(actors) - 5} more" if len(actors) > 5 else "")
        subject = f"{len(events)} events from {shown}"
    else:
        subject = "snapshot" if files else "repair"
    return (
        f"{fit(subject, Place.SUBJECT)} [skip ci]\n\n"
        f"Position: {fleet.position + len(events)}\nTerm: {fleet.terms.term}\n"
        f"Sequenced-by: {node}\nNonce: {uid_from(replica.rng.randbytes(10))}\n"
    )
