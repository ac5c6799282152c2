"""Planning a push: whether it is our turn to extend the ledger, and what else there is to push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gitcoord.core import limits
from gitcoord.core.format.event import Event, Head, parse_all
from gitcoord.core.leadership import neighbour_heartbeats
from gitcoord.core.leadership.campaign import campaign
from gitcoord.core.leadership.session import Session
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ledger.outbox import Outbox
from gitcoord.core.ports import Oid, Update
from gitcoord.core.round.batch import admit
from gitcoord.core.round.effects import DurableState
from gitcoord.core.round.replica import Replica


@dataclass(slots=True)
class PushPlan:
    """The contents of one push. `build_commits` makes its commits."""

    pending: list[Event] = field(default_factory=list)
    batch: list[Event] = field(default_factory=list)
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    candidate: Session | None = None
    reason: str = ""  # of its campaign
    renews_term: bool = False
    writes_ledger: bool = False
    pushes_outbox: bool = True  # the outbox has something new
    renews_heartbeats: bool = False
    deletes: list[Update] = field(default_factory=list)  # outboxes of nodes that are gone
    updates: list[Update] = field(default_factory=list)
    ledger_oid: Oid | None = None  # the ledger's new commit
    outbox_oid: Oid | None = None  # the outbox's new commit
    control: Event | None = None  # the election or renewal


def plan_push(replica: Replica, disk: DurableState, local: LocalSessions, now_s: float) -> PushPlan | None:
    """Return what to push; None when there is nothing to push. Nothing is written yet: the budget may refuse."""
    fleet = replica.branch.fleet
    plan = PushPlan(pending=replica.refusals.unblocked(disk.pending()))
    is_open = fleet.id is not None and not replica.refusals.is_quiet(now_s)  # the ledger may be written
    is_open = is_open and (not fleet.moves.under_way or _arrives(replica, plan.pending))
    holds_own = is_open and _fill_batch(replica, disk, plan, now_s)
    found = campaign(local, fleet, now_s, heartbeats=replica.heartbeats(), term_seen=disk.term) if is_open else None
    if found is not None:
        plan.candidate, plan.reason = found
    waited_s = _longest_wait_s(replica, plan.batch, now_s)
    _stop_claim_if_stuck(replica, local, waited_s)
    leads = _leads(replica, local)
    if leads and is_open and not replica.refusals.suspects:
        plan.files = replica.publish(replica.branch)
    plan.renews_term = _renews_term(replica, local, plan)
    plan.writes_ledger = is_open and (
        plan.candidate is not None
        or holds_own
        or plan.renews_term
        or (leads and bool(plan.batch or plan.files or replica.branch.damaged))
        or waited_s >= 2 * local.profile.poll_s  # two ticks: anyone helps
    )
    if not _plan_outbox(replica, disk, local, plan, now_s):
        return None
    if leads and is_open:
        plan.deletes = _forsaken(replica, disk, now_s)
    return plan


def _arrives(replica: Replica, pending: Sequence[Event]) -> bool:
    """Return whether our queue holds the line by which a fleet that moves arrives: all others wait for it."""
    fleet = replica.branch.fleet
    return any(event.type == "fleet_arrived" and fleet.judge(event)[1] is None for event in pending)


def _fill_batch(replica: Replica, disk: DurableState, plan: PushPlan, now_s: float) -> bool:
    """Choose the events that may be sequenced now; return whether our own are among them."""
    refusals = replica.refusals
    plan.batch, holds_own = admit(replica, disk, plan.pending, refused=refusals.refused)
    if not plan.batch and refusals.refused:
        plan.batch, holds_own = admit(replica, disk, plan.pending, refused=refusals.refused_still(now_s))
    return holds_own


def _leads(replica: Replica, local: LocalSessions) -> bool:
    """Return whether a session here leads, claims the term and is not leaving."""
    lead = local.leading(replica.branch.fleet.terms)
    return lead is not None and lead.claims_term and not lead.leaving


def _is_held_back(replica: Replica, lead: Session) -> bool:
    """Return whether the ledger admits no more lines of the leader today, so that not even a renewal would do."""
    return replica.branch.fleet.places.is_full(lead.agent)


def _stop_claim_if_stuck(replica: Replica, local: LocalSessions, waited_s: float) -> None:
    """Stop claiming the term if events wait too long for their positions: a session of another node may lead then."""
    lead = local.leading(replica.branch.fleet.terms)
    if lead is not None and (_is_held_back(replica, lead) or waited_s >= local.profile.election_timeout_s):
        lead.claims_term = False


def _renews_term(replica: Replica, local: LocalSessions, plan: PushPlan) -> bool:
    """Return whether the leader here asks the ledger, by a renewal, whether it still leads.

    A leader that stopped claiming the term has to ask: an accepted renewal proves to itself and to the others that it
    leads. Others' lines alone would be no sign of life, and the leader would act while another session campaigns.
    """
    lead = local.leading(replica.branch.fleet.terms)
    if lead is None or lead.leaving or plan.candidate is not None:
        return False
    if not lead.claims_term:
        return not _is_held_back(replica, lead)
    return local.lease.wanted and not plan.batch and not plan.files


def _plan_outbox(replica: Replica, disk: DurableState, local: LocalSessions, plan: PushPlan, now_s: float) -> bool:
    """Decide whether to push the outbox, and with new heartbeats; return whether there is anything to push."""
    fleet, box = replica.branch.fleet, replica.outboxes.get(disk.node)
    heartbeat = local.heartbeat_due(fleet, now_s)
    news = is_news(replica, disk, plan.pending) or neighbour_heartbeats.is_due(
        local.neighbours(), box.heartbeats if box else (), fleet.members
    )
    is_quiet = replica.own.is_quiet(now_s)
    plan.renews_heartbeats = heartbeat or (plan.writes_ledger and local.leading(fleet.terms) is not None)
    plan.pushes_outbox = not is_quiet and (news or plan.renews_heartbeats or plan.candidate is not None)
    return plan.writes_ledger or (not is_quiet and (heartbeat or news))


def is_news(replica: Replica, disk: DurableState, pending: Sequence[Event]) -> bool:
    """Return whether our outbox on the remote lacks something that it has to hold."""
    box = replica.outboxes.get(disk.node)
    lines = bool(pending) and pending[-1].head != replica.own.durable
    return lines or tuple(disk.orphans) != (box.orphans if box else ())


def _longest_wait_s(replica: Replica, batch: Sequence[Event], now_s: float) -> float:
    """Return the seconds for which we have seen the longest waiting event wait for its position."""
    waiting = {}
    for event in batch:
        if event.node not in waiting:
            before = replica.waiting.get(event.node)
            since = before[1] if before is not None and before[0] == event.seq else now_s
            waiting[event.node] = (event.seq or 0, since)
    replica.waiting = waiting
    return max((now_s - since for _, since in waiting.values()), default=0.0)


def _forsaken(replica: Replica, disk: DurableState, now_s: float) -> list[Update]:
    """Return deletions of outboxes that this process saw unchanged for a day, and that hold nothing unsequenced.

    Nothing is lost if such a node comes back: it finds no outbox then, and pushes a new one.
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
    """Return whether an outbox holds a line that the ledger does not."""
    last = parse_all(box.lines[-1:])
    unread = bool(box.lines) and not last
    return unread or bool(box.orphans) or any((e.seq or 0) > replica.heads.get(e.node, Head()).seq for e in last)
