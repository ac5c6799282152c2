"""When `agent run --once`, as a scheduled job runs it, has done its work."""

from __future__ import annotations

from collections.abc import Callable

from gitcoord.core.errors import Lost
from gitcoord.node.agent.sync_loop import SyncLoop
from gitcoord.node.clock import since_boot_s
from gitcoord.node.node import Node

BUSY_S_MAX = 300.0  # for work that the leader has begun outside the ledger, such as ten reviews


def over(node: Node, rounds: SyncLoop, busy: Callable[[], bool], started_s: float) -> Callable[[], bool]:
    """Return a predicate to call after each turn. It is True as soon as another leader is known to be alive, or we lead
    and have done what is due, or a round failed, or the time is up.

    `busy` tells whether work outside the ledger goes on. `started_s` is the start of the run, in seconds since boot.
    """
    bound_s = node.local.profile.bound_s() * 1.5
    first_sign: object = None
    seen = False

    def done() -> bool:
        nonlocal first_sign, seen
        if rounds.trouble is not None and not isinstance(rounds.trouble, Lost):
            return True
        leading = node.local.leading(node.fleet.terms) is not None
        is_busy = busy()
        if since_boot_s() - started_s > (max(bound_s, BUSY_S_MAX) if leading and is_busy else bound_s):
            return True
        if is_busy:
            return False
        if leading:
            return not node.disk.pending() and not node.replica.publish(node.replica.branch)
        if not any(session.may_lead for session in node.local.sessions):
            return True
        if not seen:
            first_sign, seen = node.local.watch.last_sign, True
        return node.fleet.terms.leader is not None and node.local.watch.last_sign != first_sign

    return done
