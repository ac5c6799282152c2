"""The push budget: one token bucket for all processes of a node; its rate is the node's share of the repository's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gitcoord.core.leadership.budget import Budget
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.round.replica import Replica
from gitcoord.node.clock import since_boot_s
from gitcoord.store.home.records import SyncProgress


def resume(budget: Budget, progress: SyncProgress) -> None:
    """Continue with the tokens that the node's processes have left, so that they all share one budget."""
    if budget.rate is None or progress.tokens is None:
        return
    passed_s = max(
        0.0, time.time() - progress.tokens_at
    )  # by wall clock, because other processes' monotonic clocks may differ
    budget.tokens = min(budget.burst, progress.tokens + passed_s * budget.rate / 60)
    budget.at_s = since_boot_s()


def to_progress(budget: Budget) -> Mapping[str, Any]:
    """Return the fields of `SyncProgress` that pass the tokens on to the node's next process."""
    if budget.rate is None:
        return {"tokens": None, "tokens_at": 0.0}
    budget.refill(since_boot_s())
    return {"tokens": budget.tokens, "tokens_at": time.time()}


def wait_s(budget: Budget, now_s: float, *, poll_s: float) -> float:
    """Return the seconds until the next round, if a push is due and the budget is spent.

    They are at most one poll: only the push waits for the budget. If the fetch waited too, a leader's silence would
    be noticed too late.
    """
    return min(max(0.1, budget.wait_s(now_s)), poll_s)


def share(budget: Budget, local: LocalSessions, replica: Replica, *, node_id: str) -> None:
    """Set the budget to this node's share among the living nodes. Stretch the heartbeat intervals to fit into it."""
    profile = local.profile
    alive = [one for one in replica.heartbeats() if one.data.get("state") == "alive" and one.node != node_id]
    # The number of agents bounds it, so that one agent with heartbeats on a hundred nodes takes one node's share.
    nodes = 1 + min(len({one.node for one in alive}), len({one.actor.casefold() for one in alive}))
    leading = local.leading(replica.branch.fleet.terms) is not None
    budget.share(profile.pushes_per_minute, leading=leading, nodes=nodes)
    period = profile.heartbeat_s if leading else profile.follower_heartbeat_s
    local.stretch = max(1.0, 60 / budget.rate / period) if budget.rate else 1.0
