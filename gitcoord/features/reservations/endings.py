"""Endings: what ends a reservation before its time: its task, or the session of its agent.

The fold ends it when its agent finishes, fails or releases the task, or leaves the fleet. The leader ends the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import leases
from gitcoord.features.tasks import state as task_state
from gitcoord.features.tasks.state import HELD, Heard

if TYPE_CHECKING:
    from gitcoord.features.reservations.state import Reservation, State

GRACE_S = 60.0  # before the leader ends a reservation itself: usually the next event moves ledger time past its end
ENDS_TASK = ("task_finished", "task_failed", "task_released")


def of_task(one: Reservation, tasks: task_state.State) -> str:
    """Return why the task of a reservation ends it; "" if the agent still has that task, or there is none."""
    if not one.task:
        return ""
    task = tasks.tasks.get(one.task)
    if task is None:
        return "its task was closed long ago"
    if task.status in HELD and same_agent(task.last.agent, one.agent):
        return ""
    return f"its task {task.title!r} went on ({task_state.in_a_line(task)})"


def duty(state: State, ctx: Context) -> Iterable[Duty]:
    """Yield the end of each reservation whose time, task or session is over, as far as the ledger does not show it."""
    for one in state.held.values():
        why = _why(one, ctx)
        if why:
            yield Duty(
                "paths_released",
                f"{one.agent}'s reservation of {', '.join(one.paths[:3])} is over: {why}",
                f"reservation:{one.id}",
                re=one.id,
            )


def _why(one: Reservation, ctx: Context) -> str:
    span_s = times.between_s(one.since, one.until)
    if one.until > ctx.fleet.time.now and ctx.age_s(one.since, one.position) > span_s + GRACE_S:
        return "its time is up"
    tasks: task_state.State = ctx.state("tasks")
    why = of_task(one, tasks)
    if why:
        return why
    heard = tasks.heard.get(one.agent.casefold(), Heard(one.since, one.position, one.since))
    ended_s = leases.session_ended_s(ctx, one.agent, heard)
    grace_s: float = ctx.state("settings").settings.task_grace_s
    return "the session of its agent has ended" if ended_s is not None and ended_s >= grace_s else ""
