"""Handing over: what an agent has goes back to the fleet, with the place where its work is."""

from __future__ import annotations

from gitcoord.core.fields import REASON_CHARS_MAX
from gitcoord.core.format.event import Draft
from gitcoord.core.names import same_agent
from gitcoord.core.text import cut
from gitcoord.features.next import picture
from gitcoord.features.reservations import state as reservations
from gitcoord.node.node import Node
from gitcoord.node.operations import submit
from gitcoord.store.git.worktrees import Worktree


def goodbye(node: Node, agent: str, tree: Worktree | None) -> list[Draft]:
    """Return the events by which an agent gives back all it has, and leaves."""
    ctx = submit.context(node, agent)
    held: dict[str, reservations.Reservation] = ctx.state("reservations").held
    mine = [one for one in held.values() if same_agent(one.agent, agent)]
    drafts = [
        node.draft("paths_released", f"{agent} releases {', '.join(one.paths)}", actor=agent, re=one.id) for one in mine
    ]
    known = picture.tasks_of(ctx, agent)
    branch = tree.branch if tree is not None else ""
    work = f"; its work is on the branch {branch} of node {node.disk.node}" if branch else ""
    for task in (*known.working, *known.assigned):
        data = {"attempt": task.attempt, "reason": cut(f"{agent} leaves{work}", REASON_CHARS_MAX)}
        drafts.append(
            node.draft("task_released", f"{agent} releases {task.title!r}{work}", actor=agent, re=task.id, data=data)
        )
    return [*drafts, node.draft("agent_left", f"{agent} leaves", actor=agent)]
