"""Handing over: a task's creator, or an admin, takes it from the agent that has it, and may give it to another."""

from __future__ import annotations

from pydantic import Field

from gitcoord.core.commands import Arguments, Context, NewEvent
from gitcoord.core.errors import Refused
from gitcoord.core.fields import GIVEN_CHARS_MAX, Reason
from gitcoord.core.lookup import member
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import events
from gitcoord.features.tasks.queries import named
from gitcoord.features.tasks.state import HELD, READY, in_a_line
from gitcoord.features.typed import AgentGiven


class ReassignTask(Arguments):
    task: str = Field(max_length=GIVEN_CHARS_MAX, description="Task id, its beginning, or its event's position")
    agent: AgentGiven = Field(description="The agent that gets it")
    reason: Reason = Field("", description="The reason")


def reassign(ctx: Context, args: ReassignTask) -> list[NewEvent]:
    task, agent = named(ctx, args.task), member(ctx, args.agent)
    if (task.status in HELD and same_agent(task.last.agent, agent)) or ctx.fleet.members.by_id[agent.casefold()].left:
        why = f"{agent} has it already" if task.status in HELD else f"{agent} has left the fleet"
        raise Refused(f"{task.id[:8]} cannot be reassigned: {why}")
    if task.status not in (READY, *HELD):
        raise Refused(f"{task.id[:8]} cannot be reassigned: {in_a_line(task)}")
    if task.attempt >= events.ATTEMPTS_MAX:
        raise Refused(f"{task.id[:8]} had {task.attempt} attempts, and no task has more: create it again")
    because = f": {args.reason}" if args.reason else ""
    data = {"agent": agent, "attempt": task.attempt + 1, "reason": args.reason}
    to = dict.fromkeys((agent, *([task.last.agent] if task.status in HELD else [])))
    return [
        NewEvent(
            "task_reassigned",
            f"{ctx.actor} reassigns {task.title!r} to {agent}{because}",
            {name: value for name, value in data.items() if value != ""},
            tuple(to),
            task.id,
        )
    ]


def taken_back(ctx: Context, text: str, attempt: int | None, reason: str) -> list[NewEvent]:
    """Return the event that takes a task from the agent that has it. Raise Refused if no agent has it."""
    task = named(ctx, text)
    if task.status not in HELD:
        raise Refused(f"no agent has {task.id[:8]}: {in_a_line(task)}")
    if attempt not in (None, task.attempt):
        raise Refused(f"attempt {attempt} at {task.id[:8]} is over: {in_a_line(task)}")
    because = f": {reason}" if reason else ""
    data = {"attempt": task.attempt + 1, "reason": reason}
    words = f"{ctx.actor} takes {task.title!r} from {task.last.agent}{because}"
    return [NewEvent("task_reassigned", words, data, (task.last.agent,), task.id)]
