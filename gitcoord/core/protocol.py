"""The sync round, sans I/O: it yields effects, and whoever drives it performs them for real or in a model.

    fetch → follow the ledger → know oneself → settle the queue → (lead, stand) → one push → told

One push carries the outbox, pinned to its own last value, and the ledger, pinned to the tip just folded.
Every round fetches before it pushes, and sequences everyone's events that it fetched: only so does a winner
carry the others along. (A prototype without that starved 15 of 16 writers.)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from gitcoord.core import limits
from gitcoord.core.effects import Disk, Effect, Fetch, Push, SaveTip, Steps, Tell, Wait
from gitcoord.core.errors import BadCredentials, Denied, Lost, Unreachable
from gitcoord.core.event import Head
from gitcoord.core.following import follow_ledger
from gitcoord.core.planning import Plan, add_outbox, do_duties, make_plan
from gitcoord.core.ports import Oid, Outcome, Pushed
from gitcoord.core.replica import Replica, own_ref
from gitcoord.core.session import Crew, Session
from gitcoord.core.settling import know_oneself, settle_queue

QUIET_S = 60.0  # after a hook denied the ledger: leave it alone that long


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
    me: Replica, disk: Disk, crew: Crew, *, may_push: Callable[[bool], bool] = lambda urgent: True, tick: bool = True
) -> Generator[Effect, Any, Report]:
    """One round. `may_push(urgent)` asks the budget; `tick`: the leader's duties are due."""
    report = Report()
    while True:
        refs: dict[str, Oid] = yield Fetch()
        yield from follow_ledger(me, disk, refs)
        yield from know_oneself(me, disk, crew, refs)
        yield from settle_queue(me, disk)
        now_s = me.clock.monotonic_s()
        mine = refs.get(own_ref(me, disk))
        # A remote that does not show our outbox as we pushed it may be a stale mirror: its silence proves nothing.
        crew.observe(me.branch.fleet, me.beats(), now_s, trusted=mine in (me.own_seen, disk.pushed_last()))
        me.own_seen = mine
        if tick and crew.leading(me.branch.fleet.terms):
            yield from do_duties(me, disk, crew)
        report.sequenced = me.heads.get(disk.node, Head())
        report.durable = me.durable
        plan = yield from make_plan(me, disk, crew, now_s)
        if plan is None:
            return report
        if not may_push(plan.stander is not None):
            report.waiting = True
            return report
        answers: dict[str, Pushed] = yield Push(tuple(plan.updates))
        again = yield from _conclude(me, disk, crew, plan, answers, report, now_s)
        if not again:
            return report
        report.races_lost += 1
        if report.races_lost >= limits.ROUND_RACES_MAX:
            raise Lost(f"{report.races_lost} races for the ledger lost in a row: the events stay queued, sync again")
        if crew.leading(me.branch.fleet.terms) is None:
            yield Wait(report.races_lost)


def _conclude(
    me: Replica, disk: Disk, crew: Crew, plan: Plan, answers: Mapping[str, Pushed], report: Report, started_s: float
) -> Generator[Effect, Any, bool]:
    """Believe what the remote accepted; True when the round should begin again."""
    unsent = Pushed(Outcome.UNKNOWN)
    report.outbox = answers.get(own_ref(me, disk), unsent) if plan.image else None
    report.ledger = answers.get(me.ledger_ref, unsent) if plan.commit else None
    _raise_if_hopeless(report)
    if report.outbox is not None and report.outbox.outcome is Outcome.ACCEPTED:
        me.own_seen = plan.image
        crew.heard()
        me.durable = report.durable = plan.pending[-1].head if plan.pending else me.durable
    if report.ledger is not None and report.ledger.outcome is Outcome.ACCEPTED and plan.commit is not None:
        me.branch.absorb(plan.commit)
        for session in crew.sessions:
            session.claims = True
        yield SaveTip(plan.commit, max(disk.term, me.branch.fleet.terms.highest))
        report.sequenced = me.heads.get(disk.node, Head())
        if plan.stander is not None and crew.leading(me.branch.fleet.terms) is plan.stander:
            report.elected = plan.stander
        if report.outbox is not None and report.outbox.outcome is Outcome.ACCEPTED:
            # V counts from the START of the push: nobody can have replaced us before T after it.
            crew.act_until_s = started_s + crew.profile.act_s
        return report.outbox is not None and report.outbox.outcome is Outcome.STALE
    if report.ledger is not None and report.ledger.outcome is Outcome.DENIED:
        me.quiet_until_s = me.clock.monotonic_s() + QUIET_S
        lead = crew.leading(me.branch.fleet.terms)
        if lead is not None:
            lead.claims = False
        yield Tell("ledger_denied", f"the remote refuses writes to the ledger: {report.ledger.reason}")
    if report.outbox is not None and report.outbox.outcome is Outcome.DENIED:
        yield from _outbox_alone(me, disk, crew, plan, report, started_s)
        return False
    outcomes = {answer.outcome for answer in (report.outbox, report.ledger) if answer is not None}
    return bool(outcomes & {Outcome.STALE, Outcome.UNKNOWN})


def _raise_if_hopeless(report: Report) -> None:
    for answer in (report.ledger, report.outbox):
        if answer is not None and answer.reason.startswith("credentials:"):
            raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
        if answer is not None and answer.outcome is Outcome.UNREACHABLE:
            raise Unreachable(answer.reason or "the remote did not answer")


def _outbox_alone(me: Replica, disk: Disk, crew: Crew, plan: Plan, report: Report, now_s: float) -> Steps:
    """A hook denied the push. Try without the ledger; then with fewer events, to name the one that it minds."""

    def offer(count: int) -> Generator[Effect, Any, Pushed]:
        part = Plan([], pending=plan.pending[:count])
        yield from add_outbox(me, disk, crew, part, now_s, fresh=False)
        answers = yield Push(tuple(part.updates))
        answer: Pushed = answers.get(own_ref(me, disk), Pushed(Outcome.UNKNOWN))
        if answer.outcome is Outcome.ACCEPTED:
            me.own_seen = part.image
            me.durable = report.durable = part.pending[-1].head if part.pending else Head()
        report.outbox = answer
        return answer

    passes, fails = 0, len(plan.pending)
    answer = yield from offer(fails)
    if answer.outcome is not Outcome.DENIED:
        return
    words = answer.reason
    if fails == 0 or (yield from offer(0)).outcome is Outcome.DENIED:
        raise Denied(f"the remote refuses everything that this node writes: {words}")
    while fails - passes > 1:
        middle = (passes + fails) // 2
        answer = yield from offer(middle)
        if answer.outcome not in (Outcome.DENIED, Outcome.ACCEPTED):
            return
        passes, fails = (passes, middle) if answer.outcome is Outcome.DENIED else (middle, fails)
    event = plan.pending[fails - 1]
    me.blocked = event.uid
    yield Tell("event_denied", f"the remote refuses event {event.uid[:8]} by {event.actor} ({words}): "
               f"`gitcoord queue drop {event.uid[:8]}` removes it; what comes after it waits")
