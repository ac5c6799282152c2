"""The sync round, sans I/O: it yields effects, and whoever drives it performs them for real or in a model.

    fetch → follow the ledger → reconcile outbox and queue → plan (duties, campaign) → push → apply the results

One push carries the outbox, pinned to its own last value, and the ledger, pinned to the tip just folded.
Every round fetches before it pushes, and sequences everyone's events that it fetched: only so does a winner
carry the others along. (A prototype without that starved 15 of 16 writers.)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from gitcoord.core import limits
from gitcoord.core.errors import BadCredentials, Denied, Lost, Unreachable
from gitcoord.core.format.event import Event, Head
from gitcoord.core.leadership.session import Session
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ports import NAME_TAKEN, Fetched, Oid, Pushed, PushOutcome
from gitcoord.core.round.batch import why_waiting
from gitcoord.core.round.commits import add_outbox, build_commits
from gitcoord.core.round.contention import note_lost_race, note_won_race, should_offer_first, turns_to_yield
from gitcoord.core.round.effects import DurableState, Effect, Fetch, NextStep, Notify, Push, SaveTip, Steps, Wait
from gitcoord.core.round.leader_round import do_duties
from gitcoord.core.round.ledger_sync import follow_ledger, tell_left
from gitcoord.core.round.planning import PushPlan, plan_push
from gitcoord.core.round.reconcile import check_own_outbox, reconcile_queue
from gitcoord.core.round.replica import Replica, advance_to, own_ref


@dataclass(slots=True)
class Report:
    """What a round achieved for this node's chain."""

    sequenced: Head = Head()
    durable: Head = Head()
    races_lost: int = 0
    ledger: Pushed | None = None
    outbox: Pushed | None = None
    elected: Session | None = None
    waiting: bool = False  # something is due but the push budget is spent


def sync(
    replica: Replica,
    disk: DurableState,
    local: LocalSessions,
    *,
    may_push: Callable[[bool], bool] = lambda urgent: True,
    tick: bool = True,
) -> Generator[Effect, Any, Report]:
    """Do one round. `may_push(urgent)` asks the budget; `tick`: the leader's duties are due."""
    report = Report()
    goal: int | None = None  # the newest of our own events when the round began
    yields = 0  # times that another node was let go first
    if should_offer_first(replica, disk, local) and may_push(False):
        yield from _offer(replica, disk, local, replica.refusals.unblocked(disk.pending()), report)
        yield Wait(1)
    while True:
        fetched: Fetched = yield Fetch(newcomer=disk.tip is None, first=_first(replica, disk))
        step = yield from follow_ledger(replica, disk, fetched.refs)
        if step is NextStep.CONTINUE:
            yield from reconcile(replica, disk, local, fetched)
            plan, now_s = yield from _observe_and_plan(replica, disk, local, fetched.refs, report, tick)
            if plan is None:
                return report
            if goal is None:
                goal = plan.pending[-1].seq or 0 if plan.pending else 0
            elif goal and report.sequenced.seq >= goal and plan.candidate is None:
                return report  # winners carried it along; what was queued since is for the next round, not a chase
            if not plan.pushes_outbox and yields < turns_to_yield(replica, disk, local, plan):
                yields += 1
                yield Wait(1)
                continue
            if not may_push(plan.candidate is not None):
                report.waiting = True
                return report
            yield from build_commits(replica, disk, local, plan, now_s)
            answers: dict[str, Pushed] = yield Push(tuple(plan.updates))
            step = yield from _apply_results(replica, disk, local, plan, answers, report, now_s)
        if step is NextStep.FINISH:
            return report
        yield from _lose_race(replica, local, report)


def reconcile(replica: Replica, disk: DurableState, local: LocalSessions, fetched: Fetched) -> Steps:
    """Compare what was fetched with what is here: our outbox, then the queue."""
    yield from tell_left(replica, fetched)
    yield from check_own_outbox(replica, disk, local, fetched)
    yield from reconcile_queue(replica, disk)


def _lose_race(replica: Replica, local: LocalSessions, report: Report) -> Steps:
    """Count a race lost to others, and wait before the next try. Raise Lost after too many."""
    report.races_lost += 1
    note_lost_race(replica, local.profile)
    if report.races_lost >= limits.ROUND_RACES_MAX:
        raise Lost(f"{report.races_lost} races for the ledger lost in a row: the events stay queued, sync again")
    if local.leading(replica.branch.fleet.terms) is None:
        yield Wait(report.races_lost)


def _first(replica: Replica, disk: DurableState) -> frozenset[str]:
    """Return the nodes whose outboxes matter most, where there are more than can be fetched."""
    return frozenset((*replica.heads, disk.node))


def _observe_and_plan(
    replica: Replica, disk: DurableState, local: LocalSessions, refs: Mapping[str, Oid], report: Report, tick: bool
) -> Generator[Effect, Any, tuple[PushPlan | None, float]]:
    """Note who lives, after a fetch; append the leader's duties; return what there is to push, and the time."""
    now_s = replica.clock.monotonic_s()
    replica.first_seen.note(replica.branch.fleet.position, now_s)
    mine = refs.get(own_ref(replica, disk))
    # A remote that does not show our outbox as we pushed it may be a stale mirror: its silence proves nothing.
    local.observe(replica.branch.fleet, replica.heartbeats(), now_s, trusted=replica.own.confirm(mine))
    replica.own.seen = mine
    if tick and local.leading(replica.branch.fleet.terms):
        yield from do_duties(replica, disk, local)
    report.sequenced = replica.heads.get(disk.node, Head())
    report.durable = replica.own.durable
    waiting = why_waiting(replica, disk.pending())
    if waiting is not None and waiting != replica.told_waiting:
        yield Notify("waits", f"what is queued here does not come into the ledger today: {waiting}")
    replica.told_waiting = waiting
    return plan_push(replica, disk, local, now_s), now_s


def _apply_results(
    replica: Replica,
    disk: DurableState,
    local: LocalSessions,
    plan: PushPlan,
    answers: Mapping[str, Pushed],
    report: Report,
    started_s: float,
) -> Generator[Effect, Any, NextStep]:
    """Apply the push results. The round begins again if the remote had moved."""
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
        if report.outbox is not None and report.outbox.reason.startswith(NAME_TAKEN) and not report.races_lost:
            # somebody made a ref below ours since our look: the next one shows it, and it is removed
            return NextStep.RESTART
        yield from _outbox_alone(replica, disk, local, plan, report)
        return NextStep.FINISH
    has_moved = any(
        _is(answer, bad)
        for answer in (report.outbox, report.ledger)
        for bad in (PushOutcome.STALE, PushOutcome.UNKNOWN)
    )
    return NextStep.RESTART if has_moved else NextStep.FINISH


def _offer(
    replica: Replica, disk: DurableState, local: LocalSessions, pending: list[Event], report: Report
) -> Generator[Effect, Any, Pushed]:
    """Push the outbox alone, with these of our lines."""
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
    """Raise what the caller must know: credentials that were rejected, or no answer."""
    for answer in (report.ledger, report.outbox):
        if answer is not None and answer.reason.startswith("credentials:"):
            raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
        if answer is not None and answer.outcome is PushOutcome.UNREACHABLE:
            raise Unreachable(answer.reason or "the remote did not answer")


def _outbox_alone(replica: Replica, disk: DurableState, local: LocalSessions, plan: PushPlan, report: Report) -> Steps:
    """Push the outbox alone, since a hook denied the push; then with fewer events, to name the one that it rejects."""

    def offer(count: int) -> Generator[Effect, Any, Pushed]:
        report.outbox = yield from _offer(replica, disk, local, plan.pending[:count], report)
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
