"""The sync round, sans I/O: a generator that yields effects. Its driver performs them, for real or in a model.

# Theory of operation

What a node sees. A fetch shows the ledger's tip and the outboxes of all nodes. The node has what it made durable
itself (`DurableState`: the queue, the last tip seen, the highest term, the outbox commits that it pushed) and what it
keeps in memory (`Replica`: the fold of the ledger; `LocalSessions`: the agents of this process). It asks no other node
anything, and compares no clock with another machine's. Whatever it reads from the remote may be a lie.

What it decides, in this order, in `sync`:

 1. `should_offer_first`: after a lost race, push the outbox alone. The next winner then sequences our lines.
 2. `Fetch`. No round pushes the ledger without a fetch before: only so does a winner know the lines of all others.
 3. `follow_ledger`: may we follow the new tip? If it extends the last one seen, fold it. If it is older, push ours
    back. If the two diverged, follow the remote's, and keep as orphans all lines that it lost.
 4. `check_own_outbox`: did we write the outbox under our id? If a copy of this clone did, become a new node.
    `reconcile_queue`: trim the lines that the fold holds. If it holds another line in their place, rechain the queue.
 5. `LocalSessions.observe`: is the leader silent? `do_duties`: if we lead, append what only the leader may write.
 6. `plan_push`: which lines go into a commit (`admit`), does a session campaign (`campaign`), and is it our turn?
    The leader's always, anybody's for lines of its own, and anybody's for lines that have waited for two polls.
 7. `turns_to_yield`, `may_push`: does another node go first, and does the push budget allow a push?
 8. `build_commits`: write the commits. The outbox commit's id is durable BEFORE it is pushed (`RecordOutbox`).
 9. `Push`: outbox and ledger together, each a compare-and-swap of its own: the outbox against the value last seen,
    the ledger against the tip just folded.
10. `apply_results`: accepted: fold our commit. Stale or unknown: begin again with a fetch, after a random wait.
    Denied: back off, and find the event that a hook rejects. Unreachable: raise; the caller tries again later.

Why that is safe:

- Nothing acknowledged is lost. A line leaves the queue only when a fetch shows that very line in the ledger, never on a
  push's answer. The chain's head is durable BEFORE the queue is trimmed. A ledger that was set back is restored from
  the clones that saw more.
- There is one order. A ledger commit's parent is the tip that its writer folded, and the compare-and-swap lets one
  writer win. The losers fold the winner's commit before they try again.
- Nothing counts twice. A line is admitted only as the next one in its node's chain (`FleetState.check_place`), and a
  second event with the same uid is void. So anybody may carry anybody's lines, and offer them again.
- One agent leads each term. An election names the digest of the log that it extends, and is void anywhere else. A
  session leads when the fold of the accepted commit says so. A deposed leader's lines are void: its term is over. What
  a leader does outside the ledger needs its lease (`LeaderLease`): it ends before an election timeout is over, and a
  new leader first waits for as long as an older lease may last.
- A crash between two effects is harmless. Each effect leaves a durable state from which a new round, with an empty
  memory, comes to the same result: what it knew of the remote comes with the next fetch.
- Nobody starves. A winner takes along the lines of all, from another node first each time. A loser that tried
  `ROUND_RACES_MAX` times raises Lost, and its lines are in its outbox for the next winner. (A prototype that pushed
  without a fetch starved 15 of 16 writers.)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from gitcoord.core import limits
from gitcoord.core.errors import Denied, Lost
from gitcoord.core.format.event import Head
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ports import Fetched, Oid, Pushed
from gitcoord.core.round.batch import why_waiting
from gitcoord.core.round.commits import build_commits
from gitcoord.core.round.contention import note_lost_race, should_offer_first, turns_to_yield
from gitcoord.core.round.effects import DurableState, Effect, Fetch, NextStep, Notify, Push, Steps, Wait
from gitcoord.core.round.leader_round import do_duties
from gitcoord.core.round.ledger_sync import follow_ledger, tell_left
from gitcoord.core.round.planning import PushPlan, plan_push
from gitcoord.core.round.reconcile import check_own_outbox, reconcile_queue
from gitcoord.core.round.replica import Replica, own_ref
from gitcoord.core.round.results import Report, apply_results, offer_outbox


def sync(
    replica: Replica,
    disk: DurableState,
    local: LocalSessions,
    *,
    may_push: Callable[[bool], bool] = lambda urgent: True,
    tick: bool = True,
) -> Generator[Effect, Any, Report]:
    """Do one round. `may_push(urgent)` asks the push budget; `tick` says that the leader's duties are due."""
    report = Report()
    goal: int | None = None  # the `seq` of our newest event when the round began
    yields = 0  # times that we let another node go first
    if should_offer_first(replica, disk, local) and may_push(False):
        yield from offer_outbox(replica, disk, local, replica.refusals.unblocked(disk.pending()), report)
        yield Wait(1)
    while True:
        fetched: Fetched = yield Fetch(newcomer=disk.tip is None, first=_first(replica, disk))
        step = yield from follow_ledger(replica, disk, local, fetched.refs)
        if step is NextStep.CONTINUE:
            yield from reconcile(replica, disk, local, fetched)
            plan, now_s = yield from _observe_and_plan(replica, disk, local, fetched.refs, report, tick)
            if plan is None:
                return report
            if goal is None:
                goal = plan.pending[-1].seq or 0 if plan.pending else 0
            elif goal and report.sequenced.seq >= goal and plan.candidate is None:
                return report  # others sequenced it; events queued since then are for the next round
            if not plan.pushes_outbox and yields < turns_to_yield(replica, disk, local, plan):
                yields += 1
                yield Wait(1)
                continue
            if not may_push(plan.candidate is not None):
                report.waiting = True
                return report
            yield from build_commits(replica, disk, local, plan, now_s)
            answers: dict[str, Pushed] = yield Push(tuple(plan.updates))
            step = yield from apply_results(replica, disk, local, plan, answers, report, now_s)
        if step is NextStep.FINISH:
            return report
        yield from _lose_race(replica, local, report)


def reconcile(replica: Replica, disk: DurableState, local: LocalSessions, fetched: Fetched) -> Steps:
    """Compare what was fetched with our state: first our outbox, then the queue."""
    yield from tell_left(replica, fetched)
    yield from check_own_outbox(replica, disk, local, fetched)
    yield from reconcile_queue(replica, disk)


def _lose_race(replica: Replica, local: LocalSessions, report: Report) -> Steps:
    """Count a race lost to others, and wait before the next try. Raise Lost, or Denied, after too many."""
    report.races_lost += 1
    note_lost_race(replica, local.profile)
    if report.races_lost >= limits.ROUND_RACES_MAX and report.is_name_taken and report.outbox is not None:
        raise Denied(f"the remote refuses this node's outbox: {report.outbox.reason}; its owner can delete that ref")
    if report.races_lost >= limits.ROUND_RACES_MAX:
        raise Lost(f"{report.races_lost} races for the ledger lost in a row: the events stay queued, sync again")
    if local.leading(replica.branch.fleet.terms) is None:
        yield Wait(report.races_lost)


def _first(replica: Replica, disk: DurableState) -> frozenset[str]:
    """Return the nodes whose outboxes to fetch first, if there are more than can be fetched."""
    return frozenset((*replica.heads, disk.node))


def _observe_and_plan(
    replica: Replica, disk: DurableState, local: LocalSessions, refs: Mapping[str, Oid], report: Report, tick: bool
) -> Generator[Effect, Any, tuple[PushPlan | None, float]]:
    """Note who is alive; append the leader's duties; return what there is to push, and the time."""
    now_s = replica.clock.monotonic_s()
    replica.first_seen.note(replica.branch.fleet.position, now_s)
    mine = refs.get(own_ref(replica, disk))
    # A remote that does not show our outbox as we pushed it may be a stale mirror: its silence proves nothing.
    local.observe(replica.branch.fleet, replica.heartbeats(), now_s, trusted=replica.own.confirm(mine))
    replica.own.seen = mine
    if tick and local.leading(replica.branch.fleet.terms) and not replica.branch.fleet.moves.under_way:
        yield from do_duties(replica, disk, local)
    report.sequenced = replica.heads.get(disk.node, Head())
    report.durable = replica.own.durable
    waiting = why_waiting(replica, disk.pending())
    if waiting is not None and waiting != replica.told_waiting:
        yield Notify("waits", f"what is queued here does not come into the ledger today: {waiting}")
    replica.told_waiting = waiting
    return plan_push(replica, disk, local, now_s), now_s
