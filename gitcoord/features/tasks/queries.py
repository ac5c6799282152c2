"""Queries about tasks: list them, show one, and explain why no agent has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gitcoord.core import times
from gitcoord.core.commands import Arguments, Context, Query
from gitcoord.core.fields import Given
from gitcoord.core.format.event import parse
from gitcoord.core.lookup import find
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import dispatch, leases
from gitcoord.features.tasks import duties as task_duties
from gitcoord.features.tasks.state import CREATED, HELD, INPUT_REQUIRED, OVER, State, Task, in_a_line
from gitcoord.features.typed import AgentGiven, CapabilityGiven, small

BLOCKERS_SHOWN = 3

Status = Literal["created", "ready", "assigned", "accepted", "running", "input-required", "done", "failed", "cancelled"]


class ListTasks(Arguments):
    status: Status | None = Field(None, description="Only tasks with this status")
    agent: AgentGiven | None = Field(None, description="Only tasks that this agent has or did")
    needs: CapabilityGiven | None = Field(None, description="Only tasks that need this capability")
    all: bool = Field(False, description="Include closed tasks")


class ShowTask(Arguments):
    task: Given = Field(description="Task id, its beginning, or its event's position")


def named(ctx: Context, text: str) -> Task:
    """Return the task that `text` names: its id, the id's beginning, or its position.

    Raise Refused if there is none.
    """
    tasks: Mapping[str, Task] = ctx.state("tasks").tasks
    return tasks[find(ctx, tasks, text, "task", shown_by="task list --all")]


def list_(ctx: Context, args: ListTasks) -> list[dict[str, Any]]:
    tasks: Mapping[str, Task] = ctx.state("tasks").tasks
    positions = ctx.fleet.positions
    chosen = [
        task
        for task in tasks.values()
        if (args.all or args.status in OVER or task.status not in OVER)
        and args.status in (None, task.status)
        and (args.needs is None or small(args.needs) in task.needs)
        and (args.agent is None or (task.agent is not None and same_agent(task.agent, args.agent)))
    ]
    state = ctx.state("tasks")
    return [
        {**row(task), **_lease(ctx, state, task)} for task in sorted(chosen, key=lambda task: positions.get(task.id, 0))
    ]


def blocked(task: Task, tasks: Mapping[str, Task]) -> str:
    """Return what keeps an open task from going on; "" if nothing does."""
    if task.status == INPUT_REQUIRED:
        return f"{task.last.agent} asks: {task.text}"
    if task.status != CREATED:
        return ""
    dead = next((uid for uid in task.waits if uid not in tasks or tasks[uid].status in OVER), None)
    if dead is not None:
        how = tasks[dead].status if dead in tasks else "closed long ago"
        return f"{dead[:8]}, which it waits for, is {how}: reopen that one, or cancel this one"
    more = f" and {len(task.waits) - BLOCKERS_SHOWN} more" if len(task.waits) > BLOCKERS_SHOWN else ""
    return f"waits for {', '.join(f'{uid[:8]} ({tasks[uid].status})' for uid in task.waits[:BLOCKERS_SHOWN])}{more}"


def _lease(ctx: Context, state: State, task: Task) -> dict[str, Any]:
    """Return what is left of a lease that is running out, in seconds and in words."""
    lease = leases.of(state, task, ctx)
    left_s = round(max(0.0, lease.left_s), 1) if lease is not None else None
    note = lease.note if lease is not None and lease.stale else ""
    return {"lease_left_s": left_s, "blocked": note or blocked(task, state.tasks)}


def show(ctx: Context, args: ShowTask) -> dict[str, Any]:
    return to_row(ctx, named(ctx, args.task))


def explain(ctx: Context, args: ShowTask) -> dict[str, Any]:
    """Explain the task's state; for a ready task, also what keeps each agent from it."""
    task = named(ctx, args.task)
    answer: dict[str, Any] = {"task": task.id, "title": task.title, "status": task.status, "because": "", "agents": []}
    if task.status == CREATED:
        answer["because"] = "; ".join(_awaited(ctx, uid) for uid in task.waits)
    elif task.status in HELD:
        answer["because"] = in_a_line(task) + f": {task.last.why or 'it claimed it'}"
    elif task.status in OVER:
        answer["because"] = in_a_line(task)
    else:
        workers = dispatch.workers(ctx)
        decided = _decided(ctx, task)
        reasons = {one.id: dispatch.unfit(task, one, workers, ctx.age_s) for one in workers}
        answer["because"] = decided or _unassigned(ctx, task, workers, reasons)
        answer["agents"] = [{"agent": agent, "reason": reason or "it can have it"} for agent, reason in reasons.items()]
    return answer


def _awaited(ctx: Context, uid: str) -> str:
    other: Task | None = ctx.state("tasks").tasks.get(uid)
    if other is None:
        return f"it waits for {uid[:8]}, which failed or was cancelled long ago: cancel it, or create it again"
    if other.status in OVER:
        return f"it waits for {uid[:8]} {other.title!r}, and {in_a_line(other)}: cancel it, or create it again"
    return f"it waits for {uid[:8]} {other.title!r}: {in_a_line(other)}"


def _decided(ctx: Context, task: Task) -> str:
    """Return in words the decision on the task's assignment, made or pending; "" if no approval is needed."""
    state = ctx.state("autonomy")
    args = state.proposals.get(state.newest.get(task_duties.occasion(task), ""))
    if args is None or args.status not in ("pending", "approved", "rejected"):
        return ""
    if args.status == "pending":
        return f"it waits for approval: `gitcoord autonomy approve {args.id[:8]}` ({args.content})"
    if args.status == "approved":
        return f"{args.judge} approved it, and the task waits until {args.data.get('agent')} is free"
    why = f" ({args.why})" if args.why else ""
    return f"{args.judge} rejected it{why}: it can be claimed, or created again"


def _unassigned(ctx: Context, task: Task, workers: list[dispatch.Worker], reasons: Mapping[str, str]) -> str:
    if not workers:
        return "no agent is registered for work: run `gitcoord agent register` for one"
    capable = [one for one in workers if not dispatch.lacks(one, task)]
    if not capable:
        for need in task.needs:
            if not any(need in one.capabilities for one in workers):
                return f"no agent has the capability {need}: `gitcoord agent list` lists capabilities"
        return f"no agent has all of {', '.join(task.needs)}: `gitcoord agent list` lists capabilities"
    again_s = dispatch.offered_again_s(task, ctx.age_s)
    if again_s > 0:
        return f"no agent accepted it: it is offered again in {times.roughly(again_s)}, and can be claimed before"
    pulling = [one.id for one in capable if one.pulls and not one.away]
    if pulling and all(reasons[one.id] for one in capable):
        return f"it waits until {' or '.join(pulling[:5])} claims it: `gitcoord task claim {task.id[:8]}`"
    if all(reasons[one.id] for one in capable):
        who = "; ".join(f"{one.id}: {reasons[one.id]}" for one in capable)
        return f"no capable agent is free ({who})"
    free = next(one for one in capable if not reasons[one.id])
    return f"{free.id} can have it: the leader assigns it in its next round, the most urgent first"


def row(task: Task) -> dict[str, Any]:
    """Return the main fields of a task as a JSON row."""
    return {
        "id": task.id,
        "status": task.status,
        "priority": task.priority,
        "title": task.title,
        "needs": task.needs,
        "agent": task.agent,
        "attempt": task.attempt,
        "share": task.share,
        "deadline": task.deadline,
        "overdue": task.overdue,
        "labels": task.labels,
        "branch": task.branch,
        "pull_request": task.pull_request,
    }


def to_row(ctx: Context, task: Task) -> dict[str, Any]:
    """Return all fields of a task as JSON values, with its attempts and comments."""
    return {
        **row(task),
        **_lease(ctx, ctx.state("tasks"), task),
        "position": ctx.fleet.positions.get(task.id),
        "body": task.body,
        "data": task.data,
        "created": task.created,
        "created_by": task.created_by,
        "preferred": task.preferred,
        "after": task.after,
        "waits_for": task.waits,
        "attempts_max": task.attempts_max,
        "failures": task.failures,
        "timeout_s": task.timeout_s,
        "workflow": task.workflow,
        "text": task.text,
        "over": task.over or None,
        "reason": task.reason,
        "result": task.result,
        "artifacts": task.artifacts,
        "comments": comments(ctx, task),
        "attempts": [
            {
                "agent": one.agent,
                "since": one.since,
                "why": one.why,
                "started": one.started or None,
                "until": one.until or None,
                "outcome": one.outcome or None,
                "reason": one.reason,
                "late": one.late,
                "node": one.node or None,
                "place": one.place or None,
                "branch": one.branch or None,
            }
            for one in task.attempts
        ],
    }


def comments(ctx: Context, task: Task) -> list[dict[str, Any]]:
    """Return the newest comments on a task, the oldest of them first; empty without access to the log (`ctx.read`)."""
    if ctx.read is None:
        return []
    found = [parse(ctx.read(position)) for position in task.comments]
    return [{"by": one.actor, "at": one.timestamp, "text": one.content} for one in found]


_MADE = ("gitcoord task create 'Fix the parser' --needs python",)

QUERIES: Mapping[str, Query] = {
    "task list": Query(
        help="List open tasks",
        example="gitcoord task list --status ready",
        before=_MADE,
        arguments=ListTasks,
        ask=list_,
        columns=("id", "status", "priority", "agent", "title", "blocked"),
        tool="task_show",
    ),
    "task show": Query(
        help="Show a task and its attempts",
        example="gitcoord task show 3",
        before=_MADE,
        arguments=ShowTask,
        ask=show,
        positional=("task",),
        tool="task_show",
    ),
    "task explain": Query(
        help="Explain why a task is assigned to its agent, or to none",
        example="gitcoord task explain 3",
        before=_MADE,
        arguments=ShowTask,
        ask=explain,
        positional=("task",),
        tool="task_show",
    ),
}
