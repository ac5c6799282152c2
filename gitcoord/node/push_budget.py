"""The push budget: one token bucket for all processes of a node; its rate is the node's share of the repository's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gitcoord.core.round.replica import Replica
from gitcoord.node.clock import since_boot_s

if TYPE_CHECKING:
    from gitcoord.node.node import Node


def resume(node: Node) -> None:
    """Continue with the tokens that the node's processes have left. A hundred short commands are no hundred budgets."""
    progress = node.home.progress()
    if node.budget.rate is None or progress.tokens is None:
        return
    passed_s = max(0.0, time.time() - progress.tokens_at)  # wall clock: monotonic clocks are not shared by processes
    node.budget.tokens = min(node.budget.burst, progress.tokens + passed_s * node.budget.rate / 60)
    node.budget.at_s = since_boot_s()


def to_progress(node: Node) -> Mapping[str, Any]:
    """Return the fields of `SyncProgress` that pass the bucket on."""
    if node.budget.rate is None:
        return {"tokens": None, "tokens_at": 0.0}
    node.budget.refill(since_boot_s())
    return {"tokens": node.budget.tokens, "tokens_at": time.time()}


def wait_s(node: Node, now_s: float) -> float:
    """Return how long until the next round is worth its fetch, when something is due and the budget is spent.

    At most one poll: a push waits for its budget, a look at the remote does not. Otherwise the leader's silence is
    noticed too late.
    """
    return min(max(0.1, node.budget.wait_s(now_s)), node.local.profile.poll_s)


def share(node: Node, replica: Replica) -> None:
    """Share the repository's budget among the nodes seen alive; where it binds, heartbeats stretch."""
    profile, local = node.local.profile, node.local
    alive = {heartbeat.node for heartbeat in replica.heartbeats() if heartbeat.data.get("state") == "alive"}
    leading = local.leading(replica.branch.fleet.terms) is not None
    node.budget.share(profile.pushes_per_minute, leading=leading, nodes=len(alive | {node.disk.node}))
    period = profile.heartbeat_s if leading else profile.follower_heartbeat_s
    local.stretch = max(1.0, 60 / node.budget.rate / period) if node.budget.rate else 1.0
