"""Contention: what a node does while others extend the ledger at the same time.

Without this, each of eight writers would push twice, and fetch everything twice, for every event.
"""

from __future__ import annotations

from gitcoord.core.format.event import hash_of
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.leadership.timings import Profile
from gitcoord.core.round.effects import DurableState
from gitcoord.core.round.planning import PushPlan, is_news
from gitcoord.core.round.replica import Replica

CONTENDED_POLLS = 4.0  # after a lost race, expect other writers for so many polls
YIELDS_MAX = 3  # waits for nodes whose turn comes first, each as long as a push takes; no more, for they may be gone


def note_lost_race(replica: Replica, profile: Profile) -> None:
    """Expect other writers for some polls."""
    replica.contended_until_s = replica.clock.monotonic_s() + CONTENDED_POLLS * profile.poll_s


def note_won_race(replica: Replica) -> None:
    """Expect no other writers: the winner of a race sequences for all, until it loses one."""
    replica.contended_until_s = 0.0


def should_offer_first(replica: Replica, disk: DurableState, local: LocalSessions) -> bool:
    """Return whether to push the outbox before anything else: usually the next winner then sequences our lines.

    The leader never does this, and no node does where pushes are counted.
    """
    if not _is_contended(replica) or replica.own.seen is None or local.profile.pushes_per_minute:
        return False
    pending = replica.refusals.unblocked(disk.pending())
    return local.leading(replica.branch.fleet.terms) is None and is_news(replica, disk, pending)


def turns_to_yield(replica: Replica, disk: DurableState, local: LocalSessions, plan: PushPlan) -> int:
    """Return how many of the waiting nodes go before us. Nodes that fetched the same tip draw the same lots."""
    if not _is_contended(replica) or plan.candidate or local.leading(replica.branch.fleet.terms):
        return 0
    lots = {node: hash_of(f"{replica.branch.tip} {node}".encode()) for node in {event.node for event in plan.batch}}
    mine = lots.get(disk.node, "")
    return min(YIELDS_MAX, sum(lot < mine for lot in lots.values()))


def _is_contended(replica: Replica) -> bool:
    return replica.clock.monotonic_s() < replica.contended_until_s
