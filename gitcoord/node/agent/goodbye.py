"""The goodbye of `agent run`: what its agents have is handed over, the leader resigns, and heartbeats say goodbye."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection

import filelock

from gitcoord.core.errors import GitcoordError, Unreachable
from gitcoord.node.agent.sync_loop import SyncLoop
from gitcoord.node.clock import since_boot_s
from gitcoord.node.node import Node
from gitcoord.node.operations import handover

GOODBYE_S = 10.0  # at most
REST_S = 2.0  # for another process's round, before what is left waits for the next run


def say(node: Node, loop: SyncLoop, *, workers: Collection[str], hands_over: bool) -> None:
    """Push the last heartbeats of all sessions. Raise GitcoordError, or filelock.Timeout.

    With `hands_over`, reservations go back, and tasks are told with the place of their work; the tasks of `workers`
    end with their commands.
    """
    lead = node.local.leading(node.fleet.terms)
    for session in node.local.sessions:
        session.leaving = True
        with contextlib.suppress(GitcoordError, OSError):
            agent = session.agent
            left = handover.session_end(node, agent, tasks=agent not in workers) if hands_over else []
            node.append(*node.drafted(left, actor=agent))
    node.pause = time.sleep
    deadline = since_boot_s() + GOODBYE_S
    if lead is not None:
        words = f"{lead.agent} resigns: goodbye"
        node.append(node.draft("leader_resigned", words, actor=lead.agent, term=node.fleet.terms.term))
    while since_boot_s() < deadline:
        with contextlib.suppress(Unreachable):
            if not node.sync(lock_timeout_s=GOODBYE_S, urgent=True).waiting:
                return
        if loop.offline:
            return
        node.pause(0.2)


def send_rest(node: Node, loop: SyncLoop) -> None:
    """Send results and releases that the end of the components has queued: nobody else is to begin those tasks."""
    with contextlib.suppress(GitcoordError, filelock.Timeout):
        positions = node.fleet.positions
        if not loop.offline and any(event.uid not in positions for event in node.disk.pending()):
            node.sync(lock_timeout_s=REST_S, urgent=True)
