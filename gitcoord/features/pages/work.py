"""The work as `status` shows it: who does what, what is ready, what is unread, what conflicts.

It follows from the ledger alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gitcoord.core import times
from gitcoord.core.commands import FleetView
from gitcoord.core.text import cut
from gitcoord.features.conflicts.events import SEVERITIES
from gitcoord.features.messages.state import is_for, is_read
from gitcoord.features.tasks.state import CREATED, Task
from gitcoord.features.typed import PRIORITIES

WORKING_MAX = 50  # tasks that agents have, the longest first
READY_MAX = 5
CONFLICTS_MAX = 5
TITLE_SHOWN = 120  # characters


def compose(fleet: FleetView, agents: Collection[str]) -> dict[str, Any]:
    """Return the work of a fleet as JSON values, with the unread messages of `agents`."""
    state = fleet.states["tasks"]
    tasks: Mapping[str, Task] = state.tasks
    working = sorted((tasks[uid] for held in state.held.values() for uid in held), key=lambda one: one.last.since)
    ready = sorted(
        (tasks[uid] for uid in state.ready), key=lambda one: (PRIORITIES.index(one.priority), one.ready_position)
    )
    conflicts = sorted(fleet.states["conflicts"].open.values(), key=lambda one: -SEVERITIES.index(one.severity))
    return {
        "working": [_work(one) for one in working[:WORKING_MAX]],
        "working_count": len(working),
        "ready": [
            {"id": one.id, "title": cut(one.title, TITLE_SHOWN), "priority": one.priority} for one in ready[:READY_MAX]
        ],
        "ready_count": len(ready),
        "blocked_count": sum(one.status == CREATED for one in tasks.values()),
        "unread": {agent: number for agent in sorted(agents) if (number := _unread(fleet, agent))},
        "conflicts": [
            {"a": one.a.name, "b": one.b.name, "severity": one.severity, "since": one.since}
            for one in conflicts[:CONFLICTS_MAX]
        ],
        "conflicts_count": len(conflicts),
    }


def _work(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "title": cut(task.title, TITLE_SHOWN),
        "agent": task.last.agent,
        "status": task.status,
        "since": task.last.since,
        "share": task.share,
        "branch": task.branch or task.last.branch,
    }


def _unread(fleet: FleetView, agent: str) -> int:
    """Return how many messages an agent has not read, without those that are over by ledger time."""
    state, known = fleet.states["messages"], fleet.members.get(agent)
    if known is None or known.left:
        return 0
    return sum(
        is_for(one, known.id, joined=known.joined)
        and not is_read(state, one, known.id)
        and (one.expires_s is None or times.between_s(one.at, fleet.time.now) <= one.expires_s)
        for one in state.messages.values()
    )
