"""The commits of a planned push: the ledger's and the outbox's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitcoord.core import limits
from gitcoord.core.format.event import Event, parse
from gitcoord.core.leadership import control_lines, neighbour_heartbeats
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ledger import outbox
from gitcoord.core.names import uid_from
from gitcoord.core.ports import Update
from gitcoord.core.round import subjects
from gitcoord.core.round.effects import DurableState, RecordOutbox, Steps
from gitcoord.core.round.planning import PushPlan
from gitcoord.core.round.replica import Replica, own_ref


def build_commits(replica: Replica, disk: DurableState, local: LocalSessions, plan: PushPlan, now_s: float) -> Steps:
    """Write the plan's commits, and note the updates that push them."""
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
    """Return where outboxes are cut too: a long queue's lines are then the same objects in both, sent once."""
    chunks = [outbox.chunk_of(event) for event in events]
    return frozenset(index for index in range(1, len(events)) if chunks[index] != chunks[index - 1])


def _control(replica: Replica, disk: DurableState, local: LocalSessions, plan: PushPlan) -> Event | None:
    """Return the election or renewal that opens the commit: it is valid only right after the log as folded."""
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


def _author(replica: Replica, local: LocalSessions, plan: PushPlan, disk: DurableState) -> str:
    if plan.control is not None:
        return plan.control.actor
    lead = local.leading(replica.branch.fleet.terms)
    return lead.agent if lead else next((event.actor for event in plan.batch if event.node == disk.node), disk.node)


def add_outbox(
    replica: Replica, disk: DurableState, local: LocalSessions, plan: PushPlan, now_s: float, *, fresh: bool
) -> Steps:
    """Write the outbox with the plan's lines, and note the update that pushes it. `fresh`: with new heartbeats."""
    heartbeats = local.heartbeats(replica.branch.fleet, now_s, timestamp=replica.clock.timestamp(), fresh=fresh)
    oid = outbox.write(
        replica.objects,
        node=disk.node,
        pending=plan.pending,
        orphans=disk.orphans,
        heartbeats=heartbeats,
        nonce=uid_from(replica.rng.randbytes(10)),
        time_s=replica.clock.epoch_s(),
        parent=replica.own.seen if replica.parented_outbox else None,
    )
    # durable BEFORE it is pushed: otherwise we would not recognise it as ours after a crash
    yield RecordOutbox(oid, neighbour_heartbeats.numbers(heartbeats))
    plan.outbox_oid = oid
    plan.updates.append(Update(own_ref(replica, disk), replica.own.seen, oid))


def _message(replica: Replica, events: Sequence[Event], files: Mapping[str, bytes | None], node: str) -> str:
    """Return subject and trailers of a ledger commit."""
    fleet = replica.branch.fleet
    subject = subjects.subject(events) if events else "snapshot" if files else "repair"
    return (
        f"{subject} [skip ci]\n\n"
        f"Position: {fleet.position + len(events)}\nTerm: {fleet.terms.term}\n"
        f"Sequenced-by: {node}\nNonce: {uid_from(replica.rng.randbytes(10))}\n"
    )
