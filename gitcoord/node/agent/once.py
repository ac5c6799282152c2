"""One visit of `agent run --once`, as a scheduled job makes it, and when it is over."""

from __future__ import annotations

from collections.abc import Callable

from gitcoord.core.errors import Lost
from gitcoord.node.agent.sync_loop import SyncLoop
from gitcoord.node.clock import since_boot_s
from gitcoord.node.node import Node

BUSY_S_MAX = 300.0  # for work that a leader has begun outside the ledger, such as ten reviews


def over(node: Node, rounds: SyncLoop, busy: Callable[[], bool], started_s: float) -> Callable[[], bool]:
    """Return a check to call after each turn: true once another leader is alive, or we lead and have done what is due.

    `busy`: whether something is being done outside the ledger; `started_s`: when the visit began, since boot.
    """
    bound_s = node.local.profile.bound_s() * 1.5
    first: object = None
    seen = False

    def done() -> bool:
        nonlocal first, seen
        if rounds.trouble is not None and not isinstance(rounds.trouble, Lost):
            return True
        leading = node.local.leading(node.fleet.terms) is not None
        at_work = busy()
        if since_boot_s() - started_s > (max(bound_s, BUSY_S_MAX) if leading and at_work else bound_s):
            return True
        if at_work:
            return False
        if leading:
            return not node.disk.pending() and not node.replica.publish(node.replica.branch)
        if not any(session.may_lead for session in node.local.sessions):
            return True
        if not seen:
            first, seen = node.local.watch.last_sign, True
        return node.fleet.terms.leader is not None and node.local.watch.last_sign != first

    return done
