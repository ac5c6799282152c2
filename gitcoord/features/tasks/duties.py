"""The leader's part in tasks: it assigns ready tasks, releases those that no agent works on, and reports late ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.features import agents, autonomy
from gitcoord.features.tasks import dispatch, leases
from gitcoord.features.tasks.state import ASSIGNED, INPUT_REQUIRED, Attempt, State, Task

ACCEPT_S = 120.0  # two polls of the slowest profile: an agent that has not accepted by then is not polling
GRACE_S = 60.0  # beyond a task's time limit, which its agent enforces itself


def duties(state: State, ctx: Context) -> Iterator[Duty]:
    for holding in state.held.values():
        for uid in holding:
            yield from _taken_back(state, state.tasks[uid], ctx)
    yield from _assignments(state, ctx)
    for uid in state.dated:
        task = state.tasks[uid]
        if times.between_s(task.deadline or "", ctx.now) > 0:
            since = times.shown(task.deadline or "")
            yield Duty(
                "task_overdue", f"{task.title!r} is overdue since {since}", f"overdue:{uid}:{task.deadline}", re=uid
            )


def _assignments(state: State, ctx: Context) -> Iterator[Duty]:
    workers = dispatch.workers(ctx)
    slots = {worker.id: worker.slots - worker.held for worker in workers if not worker.away}
    for one in dispatch.assignments(state, workers, ctx.age_s, but=_rejected(state, ctx)):
        task, attempt = one.task, one.task.attempt + 1
        wanted = Duty(
            "task_assigned",
            f"{one.agent} gets {task.title!r}: {one.why}",
            occasion(task),
            {"agent": one.agent, "attempt": attempt, "why": one.why},
            to=(one.agent,),
            re=task.id,
        )
        for duty in autonomy.gate(ctx, "assignment", wanted):
            agent = duty.data.get("agent", one.agent)  # an approved proposal may name another agent than now
            if slots.get(agent, 0) > 0:
                slots[agent] -= 1
                yield duty


def occasion(task: Task) -> str:
    """Return the key of the task's next assignment."""
    return f"assign:{task.id}:{task.attempt + 1}"


def _rejected(state: State, ctx: Context) -> set[str]:
    """Return the ids of ready tasks whose assignment was rejected: they must not use up an agent's slot."""
    known = ctx.state("autonomy")
    rejected = {one.occasion for one in known.proposals.values() if one.status == "rejected"}
    return {uid for uid in state.ready if occasion(state.tasks[uid]) in rejected} if rejected else set()


def _taken_back(state: State, task: Task, ctx: Context) -> Iterator[Duty]:
    """Yield releases of tasks whose agent cannot go on."""
    last = task.last
    member = ctx.fleet.members.get(last.agent)
    if member is not None and member.left:
        yield release(task, f"{last.agent} has left the fleet")
    elif task.status == ASSIGNED and ctx.age_s(last.since, last.position) > _accept_s(ctx, last.agent):
        reason = f"{last.agent} did not accept it within {times.in_words(_accept_s(ctx, last.agent))}"
        yield release(task, reason, occasion="unaccepted", only=ASSIGNED)  # it may be accepting the task right now
    elif (
        task.timeout_s is not None
        and task.status not in (ASSIGNED, INPUT_REQUIRED)
        and (ctx.age_s(last.started or last.since, last.position) > task.timeout_s + GRACE_S)
    ):
        yield release(task, f"{last.agent} had it for more than {times.in_words(task.timeout_s)}")
    else:
        lease = leases.of(state, task, ctx)
        if lease is not None and lease.left_s <= 0:
            since = state.heard[last.agent.casefold()].position
            yield release(
                task, lease.why, occasion=f"lease-{since}", lost=lease.crashed, since=since
            )  # it may be writing right now


def _accept_s(ctx: Context, agent: str) -> float:
    """Return the seconds that an agent has to accept a task. An agent that claims tasks itself need not poll."""
    known = agents.get(ctx, agent)
    lease_s: float = ctx.state("settings").settings.task_lease_s
    return ACCEPT_S if known is not None and known.accept_assignments else max(ACCEPT_S, lease_s)


def release(task: Task, reason: str, *, occasion: str = "release", **more: Any) -> Duty:
    """Return the leader's duty to release a task; its text says where the work is. `more` as in `TaskReleased`."""
    where = whereabouts(task.last)
    return Duty(
        "task_released",
        f"{task.title!r} is taken back: {reason}" + (f"; its work is {where}" if where else ""),
        f"{occasion}:{task.id}:{task.attempt}",
        {"attempt": task.attempt, "reason": reason, **more},
        re=task.id,
    )


def whereabouts(attempt: Attempt) -> str:
    """Return in words the branch and work tree of an attempt; "" if its agent reported neither."""
    branch = f"on the branch {attempt.branch}" if attempt.branch else ""
    place = f"in the work tree {attempt.place}" if attempt.place else ""
    words = " ".join(filter(None, (branch, place)))
    return f"{words} of node {attempt.node}" if words and attempt.node else words


def release_all(state: State, agent: str, reason: str) -> list[Duty]:
    """Return the releases of all tasks that an agent has."""
    return [release(state.tasks[uid], reason) for uid in state.held.get(agent.casefold(), ())]
