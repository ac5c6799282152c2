"""The results of a push: what the remote's answers change here, and what is pushed after a refusal.

Only an accepted ledger is folded at once. Nothing is trimmed by an answer: that needs a fetch (`reconcile.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from gitcoord.core.errors import BadCredentials, Denied, Unreachable
from gitcoord.core.format.event import Event, Head
from gitcoord.core.leadership.session import Session
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ports import NAME_TAKEN, Pushed, PushOutcome
from gitcoord.core.round.commits import add_outbox
from gitcoord.core.round.contention import note_won_race
from gitcoord.core.round.effects import DurableState, Effect, NextStep, Notify, Push, SaveTip, Steps
from gitcoord.core.round.planning import PushPlan
from gitcoord.core.round.replica import Replica, advance_to, own_ref


@dataclass(slots=True)
class Report:
    """The results of one round for this node."""

    sequenced: Head = Head()
    durable: Head = Head()
    races_lost: int = 0
    ledger: Pushed | None = None
    outbox: Pushed | None = None
    elected: Session | None = None
    waiting: bool = False  # something is to be pushed, but the push budget is used up

    @property
    def is_name_taken(self) -> bool:
        """Return whether the remote could not make our outbox, because a ref below its name exists."""
        return self.outbox is not None and self.outbox.reason.startswith(NAME_TAKEN)


def apply_results(
    replica: Replica,
    disk: DurableState,
    local: LocalSessions,
    plan: PushPlan,
    answers: Mapping[str, Pushed],
    report: Report,
    started_s: float,
) -> Generator[Effect, Any, NextStep]:
    """Apply the push results; return RESTART if the remote had moved, or may have."""
    unsent = Pushed(PushOutcome.UNKNOWN)
    report.outbox = answers.get(own_ref(replica, disk), unsent) if plan.outbox_oid else None
    report.ledger = answers.get(replica.ledger_ref, unsent) if plan.ledger_oid else None
    if _is(report.outbox, PushOutcome.ACCEPTED):
        _own_accepted(replica, local, plan, report)
    if plan.ledger_oid is not None and _is(report.ledger, PushOutcome.ACCEPTED):
        yield from _ledger_accepted(replica, disk, local, plan, report, started_s)
        return NextStep.RESTART if _is(report.outbox, PushOutcome.STALE) else NextStep.FINISH
    _raise_if_hopeless(report)
    if report.ledger is not None and _is(report.ledger, PushOutcome.DENIED):
        yield from _ledger_denied(replica, local, plan, report.ledger)
    if _is(report.outbox, PushOutcome.DENIED):
        if report.is_name_taken:  # by a ref below ours: the next fetch shows it, and it is removed
            return NextStep.RESTART
        yield from _outbox_alone(replica, disk, local, plan, report)
        return NextStep.FINISH
    has_moved = any(
        _is(answer, bad)
        for answer in (report.outbox, report.ledger)
        for bad in (PushOutcome.STALE, PushOutcome.UNKNOWN)
    )
    return NextStep.RESTART if has_moved else NextStep.FINISH


def offer_outbox(
    replica: Replica, disk: DurableState, local: LocalSessions, pending: list[Event], report: Report
) -> Generator[Effect, Any, Pushed]:
    """Push the outbox alone, with the lines of `pending`."""
    part = PushPlan(pending=pending)
    yield from add_outbox(replica, disk, local, part, replica.clock.monotonic_s(), fresh=False)
    answers: dict[str, Pushed] = yield Push(tuple(part.updates))
    answer = answers.get(own_ref(replica, disk), Pushed(PushOutcome.UNKNOWN))
    if answer.outcome is PushOutcome.ACCEPTED:
        replica.own.empty()
        _own_accepted(replica, local, part, report)
    return answer


def _is(answer: Pushed | None, outcome: PushOutcome) -> bool:
    return answer is not None and answer.outcome is outcome


def _own_accepted(replica: Replica, local: LocalSessions, plan: PushPlan, report: Report) -> None:
    replica.own.accept(plan.outbox_oid, plan.pending[-1].head if plan.pending else None)
    report.durable = replica.own.durable
    local.confirm_heartbeats()


def _ledger_accepted(
    replica: Replica, disk: DurableState, local: LocalSessions, plan: PushPlan, report: Report, started_s: float
) -> Generator[Effect, Any, None]:
    assert plan.ledger_oid is not None
    events = [plan.control, *plan.batch] if plan.control else plan.batch
    advance_to(replica, plan.ledger_oid, known={event.line: event for event in events})
    yield SaveTip(plan.ledger_oid, max(disk.term, replica.branch.fleet.terms.highest))
    local.claim_again()
    note_won_race(replica)
    replica.refusals.accept(plan.batch, started_s)
    report.sequenced = replica.heads.get(disk.node, Head())
    if plan.candidate is not None and local.leading(replica.branch.fleet.terms) is plan.candidate:
        report.elected = plan.candidate
    if _is(report.outbox, PushOutcome.ACCEPTED):
        local.renew_lease(replica.branch.fleet.terms, started_s, replica.clock.monotonic_s())


def _ledger_denied(replica: Replica, local: LocalSessions, plan: PushPlan, answer: Pushed) -> Steps:
    """Back off for a minute and stop claiming leadership. A hook may reject one event, so try a smaller batch."""
    replica.refusals.back_off(replica.clock.monotonic_s())
    lead = local.leading(replica.branch.fleet.terms)
    if lead is not None:
        lead.claims_term = False
    yield Notify("ledger_denied", f"the remote refuses writes to the ledger: {answer.reason}")
    event = replica.refusals.deny(plan.batch)
    if event is not None:
        yield Notify(
            "event_refused",
            f"the remote refuses the ledger with event {event.uid[:8]} by {event.actor}: "
            "going on without it, if the remote lets us",
        )


def _raise_if_hopeless(report: Report) -> None:
    """Raise BadCredentials or Unreachable if the caller has to act on it, or to wait."""
    for answer in (report.ledger, report.outbox):
        if answer is not None and answer.reason.startswith("credentials:"):
            raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
        if answer is not None and answer.outcome is PushOutcome.UNREACHABLE:
            raise Unreachable(answer.reason or "the remote did not answer")


def _outbox_alone(replica: Replica, disk: DurableState, local: LocalSessions, plan: PushPlan, report: Report) -> Steps:
    """Push the outbox alone, since a hook denied the push; then with fewer events, to find the one that it rejects."""

    def offer(count: int) -> Generator[Effect, Any, Pushed]:
        report.outbox = yield from offer_outbox(replica, disk, local, plan.pending[:count], report)
        return report.outbox

    passes, fails = 0, len(plan.pending)
    answer = yield from offer(fails)
    if answer.outcome is not PushOutcome.DENIED:
        return
    words = answer.reason
    if fails == 0 or (yield from offer(0)).outcome is PushOutcome.DENIED:
        raise Denied(f"the remote refuses everything that this node writes: {words}")
    while fails - passes > 1:
        middle = (passes + fails) // 2
        answer = yield from offer(middle)
        if answer.outcome not in (PushOutcome.DENIED, PushOutcome.ACCEPTED):
            return
        passes, fails = (passes, middle) if answer.outcome is PushOutcome.DENIED else (middle, fails)
    event = plan.pending[fails - 1]
    replica.refusals.block(event)
    local.claim_again()
    yield Notify(
        "event_denied",
        f"the remote refuses event {event.uid[:8]} by {event.actor} ({words}): "
        f"`gitcoord queue drop {event.uid[:8]}` removes it; what comes after it waits",
    )
