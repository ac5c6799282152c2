"""Handing over: an agent gives back its tasks and reservations, and says where its work is."""

from __future__ import annotations

import contextlib
from typing import Any

from gitcoord.core.commands import Command, Context, NewEvent
from gitcoord.core.errors import GitcoordError
from gitcoord.core.fields import REASON_CHARS_MAX, WORDS_CHARS_MAX
from gitcoord.core.format.event import Draft
from gitcoord.core.names import same_agent
from gitcoord.core.text import cut
from gitcoord.features.next import picture
from gitcoord.features.reservations.state import Reservation
from gitcoord.features.tasks.duties import whereabouts
from gitcoord.features.tasks.events import BRANCH_CHARS_MAX
from gitcoord.features.tasks.state import Task
from gitcoord.node.node import Node
from gitcoord.node.operations import submit
from gitcoord.store.git import repo_location, worktrees


def goodbye(node: Node, agent: str) -> list[Draft]:
    """Return drafts of the events by which an agent releases its reservations and tasks, and leaves the fleet."""
    ctx = submit.context(node, agent)
    held: dict[str, Reservation] = ctx.state("reservations").held
    mine = [one for one in held.values() if same_agent(one.agent, agent)]
    drafts = [
        node.draft("paths_released", f"{agent} releases {', '.join(one.paths)}", actor=agent, re=one.id) for one in mine
    ]
    known = picture.tasks_of(ctx, agent)
    for task in (*known.working, *known.assigned):
        where = whereabouts(task.last)
        work = f"; its work is {where}" if where else ""
        data = {"attempt": task.attempt, "reason": cut(f"{agent} leaves{work}", REASON_CHARS_MAX)}
        drafts.append(
            node.draft("task_released", f"{agent} releases {task.title!r}{work}", actor=agent, re=task.id, data=data)
        )
    return [*drafts, node.draft("agent_left", f"{agent} leaves", actor=agent)]


def session_end(node: Node, agent: str, *, tasks: bool = True) -> list[NewEvent]:
    """Return the events at the end of an agent's session in this place.

    Its reservations go back. Of its tasks they say where the work is: they go back after the grace, unless the agent
    is here again by then. Without `tasks`, nothing is said of those.
    """
    ctx = submit.context(node, agent)
    release = submit.named("release")
    assert isinstance(release, Command)
    found = list(release.decide(ctx, submit.arguments(release, {})))
    mine = [one for one in picture.tasks_of(ctx, agent).working if _is_here(ctx, one)] if tasks else []
    if mine and not _has_ended(ctx, agent):
        branch, unsaved = _work(node)
        found += [_ends(ctx, agent, one, branch or one.last.branch, unsaved) for one in mine]
    return found


def session_start(node: Node, agent: str) -> list[NewEvent]:
    """Return the events by which an agent goes on with the tasks that its last session here had at its end."""
    ctx = submit.context(node, agent)
    if not _has_ended(ctx, agent):
        return []
    start = submit.named("task start")
    assert isinstance(start, Command)
    mine = [one for one in picture.tasks_of(ctx, agent).working if _is_here(ctx, one)]
    return [event for one in mine for event in start.decide(ctx, submit.arguments(start, {"task": one.id}))]


def _has_ended(ctx: Context, agent: str) -> bool:
    heard: Any = ctx.state("tasks").heard.get(agent.casefold())
    return heard is not None and heard.ended


def _is_here(ctx: Context, task: Task) -> bool:
    return (task.last.node, task.last.place) == (ctx.node, ctx.place)


def _work(node: Node) -> tuple[str, str]:
    """Return the branch that is checked out here, and what is not committed, in words."""
    top = repo_location.work_tree(node.folder) if node.folder is not None else None
    with contextlib.suppress(GitcoordError):
        if top is not None:
            return worktrees.current_branch(top), worktrees.unsaved(top)
    return "", ""


def _ends(ctx: Context, agent: str, task: Task, branch: str, unsaved: str) -> NewEvent:
    words = [f"on the branch {branch}"] if branch else []
    words += [f"in the work tree {ctx.place}"] if ctx.place else []
    words += [f"with {unsaved}"] if unsaved else []
    where = f"its work is {', '.join(words)}" if words else "it did not say where its work is"
    data: dict[str, Any] = {
        "attempt": task.attempt,
        "text": cut(f"session ended; {where}", WORDS_CHARS_MAX),
        "session_ended": True,
    }
    if 0 < len(branch) <= BRANCH_CHARS_MAX and branch.isprintable():
        data["branch"] = branch
    return NewEvent("task_progressed", f"{agent}'s session ends with {task.title!r} open; {where}", data, re=task.id)
