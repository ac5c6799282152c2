"""What an agent can claim now, and why it cannot claim the other open tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from gitcoord.core.commands import Arguments, Context, Query
from gitcoord.core.lookup import member
from gitcoord.core.text import count
from gitcoord.features.tasks import dispatch
from gitcoord.features.tasks.dispatch import Worker
from gitcoord.features.tasks.queries import row
from gitcoord.features.tasks.state import ASSIGNED, CREATED, State, Task
from gitcoord.features.typed import AgentGiven

REASONS_SHOWN = 5


class ListReady(Arguments):
    agent: AgentGiven | None = Field(None, description="The agent (default: you)")


def ready(ctx: Context, args: ListReady) -> list[dict[str, Any]]:
    """Return the tasks that the agent can claim as rows; first those that are assigned to it and not accepted yet."""
    state: State = ctx.state("tasks")
    who = _whose(ctx, args)
    given = [state.tasks[uid] for uid in state.held.get(who.casefold(), ())]
    unaccepted = [task for task in given if task.status == ASSIGNED]
    refusals = _Refusals(ctx, who)
    free = [task for task in dispatch.in_order(state, ctx.age_s) if not refusals.of(task)]
    return [row(task) for task in [*unaccepted, *free]]


def others(ctx: Context, args: ListReady) -> dict[str, Any]:
    """Return the open tasks that the agent cannot claim, counted by reason in `cannot`, and in words in `note`."""
    who = _whose(ctx, args)
    found = Counter(_reasons(ctx, who))
    number = sum(found.values())
    reasons = [{"reason": reason, "tasks": tasks} for reason, tasks in found.most_common()]
    words = "; ".join(f"{one['tasks']}: {one['reason']}" for one in reasons[:REASONS_SHOWN])
    more = "; …" if reasons[REASONS_SHOWN:] else ""
    who = who or "an agent without a registration"
    note = f"{who} cannot claim {count(number, 'more open task')} ({words}{more})" if number else ""
    return {"cannot": reasons, "note": note}


def _whose(ctx: Context, args: ListReady) -> str:
    """Return the id of the agent in question; "" if the command acts for no member."""
    if args.agent is not None:
        return member(ctx, args.agent)
    known = ctx.fleet.members.get(ctx.actor)
    return known.id if known is not None else ""


def _reasons(ctx: Context, who: str) -> Iterator[str]:
    state: State = ctx.state("tasks")
    refusals = _Refusals(ctx, who)
    for uid in state.ready:
        reason = refusals.of(state.tasks[uid])
        if reason:
            yield reason
    waiting: Mapping[str, None] = {uid: None for known in state.dependants.values() for uid in known}
    for uid in waiting:
        if state.tasks[uid].status == CREATED:
            yield "it waits for other tasks"


class _Refusals:
    """Why one agent cannot claim ready tasks."""

    def __init__(self, ctx: Context, who: str) -> None:
        workers = dispatch.workers(ctx)
        self.known = {one.id.casefold(): one for one in workers}
        self.me = self.known.get(who.casefold(), Worker(who, frozenset(), 1, 0))

    def of(self, task: Task) -> str:
        """Return why the agent cannot claim the task; "" if it can."""
        return dispatch.lacks(self.me, task) or dispatch.reserved(task, self.me, self.known)


QUERIES: Mapping[str, Query] = {
    "ready": Query(
        help="List tasks to claim, most urgent first",
        example="gitcoord ready --agent alice",
        before=("gitcoord task create 'Fix the parser' --needs python",),
        arguments=ListReady,
        ask=ready,
        beside=others,
        columns=("id", "status", "priority", "needs", "title"),
        tool="task_show",
    )
}
