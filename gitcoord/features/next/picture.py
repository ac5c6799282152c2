"""Picture: what one agent needs to know now, as JSON values; empty parts are left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.errors import Refused
from gitcoord.core.names import same_agent
from gitcoord.core.text import cut
from gitcoord.features.conflicts.events import SEVERITIES
from gitcoord.features.messages import queries as message_queries
from gitcoord.features.messages.state import StoredMessage, is_over, is_read
from gitcoord.features.next import choice
from gitcoord.features.reservations import commands as reservation_commands
from gitcoord.features.reservations import state as reservation_state
from gitcoord.features.tasks import leases
from gitcoord.features.tasks.duties import whereabouts
from gitcoord.features.tasks.queries import to_row
from gitcoord.features.tasks.state import ASSIGNED, INPUT_REQUIRED, RUNNING, Attempt, Task
from gitcoord.features.typed import PRIORITIES

MESSAGES_SHOWN = 10
TEXT_SHOWN = 300  # characters of one message
HELD_SHOWN = 20
CONFLICTS_SHOWN = 10
FILES_SHOWN = 5
TASKS_SHOWN = 5
RESULT_SHOWN = 1000  # characters of the result of a task that this one waited for
EMPTY: tuple[Any, ...] = (None, "", [], {}, 0, False)


@dataclass(frozen=True, slots=True)
class HeldTasks:
    """The tasks that an agent has. `assigned`: those that it has not accepted yet."""

    working: list[Task] = field(default_factory=list)
    assigned: list[Task] = field(default_factory=list)


def check_member(ctx: Context) -> None:
    """Raise Refused if `ctx.actor` is not a member of the fleet."""
    known = ctx.fleet.members.get(ctx.actor)
    if known is None or known.left:
        raise Refused("no agent of this fleet is named: name yours with --as or GITCOORD_AGENT, or run `gitcoord init`")


def tasks_of(ctx: Context, agent: str) -> HeldTasks:
    """Return the tasks that an agent has: running ones first, then in the order in which it got them."""
    state = ctx.state("tasks")
    tasks: list[Task] = [state.tasks[uid] for uid in state.held.get(agent.casefold(), ())]
    working = [one for one in tasks if one.status != ASSIGNED]
    working.sort(key=lambda one: one.status not in (RUNNING, INPUT_REQUIRED))
    return HeldTasks(working, [one for one in tasks if one.status == ASSIGNED])


def has_work(ctx: Context) -> bool:
    """Return whether `ctx.actor` has as many accepted tasks as it has slots."""
    return len(tasks_of(ctx, ctx.actor).working) >= choice.worker(ctx).slots


def reservations_of(ctx: Context, agent: str) -> list[dict[str, Any]]:
    """Return an agent's reservations. `here`: made in this work tree of this node."""
    return [
        {**reservation_commands.to_row(one), "here": (one.node, one.place) == (ctx.node, ctx.place)}
        for one in reservation_state.in_force(ctx)
        if same_agent(one.agent, agent)
    ]


def unread(ctx: Context) -> list[StoredMessage]:
    """Return the unread messages to `ctx.actor`, the most urgent first. Raise Refused if it is not a member."""
    state = ctx.state("messages")
    found = [one for one in message_queries.mine(ctx) if not (is_read(state, one, ctx.actor) or is_over(one, ctx))]
    return sorted(found, key=lambda one: PRIORITIES.index(one.priority))


def compose(ctx: Context, *, begins: bool = False) -> dict[str, Any]:
    """Return the picture for `ctx.actor`. `begins`: include all about its first task, in `begin`.

    Raise Refused if `ctx.actor` is not a member.
    """
    check_member(ctx)
    held, waiting, ranking = tasks_of(ctx, ctx.actor), unread(ctx), choice.ranked(ctx)
    task = held.working[0] if begins and held.working else None
    value = {
        "agent": ctx.actor,
        "do": _advice(ctx, held, ranking, task),
        "begin": None if task is None else _begin(ctx, task),
        "unread": len(waiting),
        "messages": [_message(ctx, one) for one in waiting[:MESSAGES_SHOWN]],
        "holds": [_held(ctx, one) for one in held.working[:HELD_SHOWN]],
        "assigned": [_held(ctx, one) for one in held.assigned[:HELD_SHOWN]],
        "reservations": reservations_of(ctx, ctx.actor)[:HELD_SHOWN],
        "conflicts": _conflicts(ctx)[:CONFLICTS_SHOWN],
        "tasks": [] if task else [_candidate(one) for one in ranking.candidates[:TASKS_SHOWN]],
        "more_tasks": 0 if task else max(0, len(ranking.candidates) - TASKS_SHOWN),
        "not_for_me": [] if task else [f"{number}: {why}" for why, number in ranking.unfit.most_common(TASKS_SHOWN)],
    }
    return {name: one for name, one in value.items() if one not in EMPTY}


def _advice(ctx: Context, held: HeldTasks, ranking: choice.Ranking, task: Task | None) -> str:
    """Return the next step in words, with the command to run."""
    if task is not None:
        return f"work on {task.id[:8]}, then run `gitcoord task finish {task.id[:8]} RESULT`"
    if held.working and has_work(ctx):
        one = held.working[0]
        return f"go on with {one.id[:8]} {one.title!r}, or release it: `gitcoord task release {one.id[:8]} REASON`"
    if held.assigned or ranking.candidates:
        one = (held.assigned or [ranking.candidates[0].task])[0]
        return f"run `gitcoord next --claim`: it claims {one.id[:8]} {one.title!r}"
    return "nothing to claim: no ready task suits this agent; `gitcoord ready` says why"


def _message(ctx: Context, one: StoredMessage) -> dict[str, Any]:
    value = message_queries.to_row(ctx, one)
    value["text"] = cut(value["text"], TEXT_SHOWN)
    wanted = ("id", "from", "type", "priority", "text", "at", "answer_by", "request")
    return {name: value[name] for name in wanted if value[name] not in EMPTY}


def _held(ctx: Context, task: Task) -> dict[str, Any]:
    until = times.later(task.last.started or task.last.since, task.timeout_s) if task.timeout_s else None
    lease = leases.of(ctx.state("tasks"), task, ctx)
    value = {
        "id": task.id,
        "title": task.title,
        "status": task.status,
        "branch": task.branch,
        "lease_left_s": round(max(0.0, lease.left_s), 1) if lease is not None else None,
        "since": task.last.since,
        "until": until,
        "deadline": task.deadline,
        "overdue": task.overdue,
        "share": task.share,
        "text": task.text,
    }
    return {name: one for name, one in value.items() if one not in EMPTY}


def _conflicts(ctx: Context) -> list[dict[str, Any]]:
    """Return the open conflicts of the agent's branches, the most severe first."""
    rows = []
    for one in ctx.state("conflicts").open.values():
        ours = [tip for tip in (one.a, one.b) if tip.agent and same_agent(tip.agent, ctx.actor)]
        if ours:
            other = one.b if ours[0] is one.a else one.a
            files = [place.path for place in one.paths[:FILES_SHOWN]]
            rows.append(
                {
                    "id": one.id,
                    "severity": one.severity,
                    "branch": ours[0].name,
                    "with": other.name,
                    "of": other.agent,
                    "files": files,
                    "more": len(one.paths) - len(files) + one.more,
                    "since": one.since,
                }
            )
    return sorted(rows, key=lambda one: -SEVERITIES.index(one["severity"]))


def _candidate(one: choice.Candidate) -> dict[str, Any]:
    value = {
        "id": one.task.id,
        "title": one.task.title,
        "why": one.why,
        "deadline": one.task.deadline,
        "held": [choice.holder_row(held) for held in one.held[:FILES_SHOWN]],
    }
    return {name: value[name] for name in value if value[name] not in EMPTY}


def _begin(ctx: Context, task: Task) -> dict[str, Any]:
    """Return all that the agent needs for its task: text, results of earlier tasks and attempts, reserved paths."""
    tasks = ctx.state("tasks").tasks
    before = [tasks[uid] for uid in task.after if uid in tasks]
    value = {
        **{name: one for name, one in to_row(ctx, task).items() if name != "attempts"},
        "before": [
            {"id": one.id, "title": one.title, "result": cut(one.result, RESULT_SHOWN), "artifacts": one.artifacts}
            for one in before
        ],
        "earlier": [_earlier(one) for one in task.attempts[:-1][-3:]],
        "paths": choice.named_paths(task),
        "held": [choice.holder_row(one) for one in choice.holders(ctx, task)],
    }
    return {name: one for name, one in value.items() if one not in EMPTY}


def _earlier(one: Attempt) -> dict[str, Any]:
    """Return an earlier attempt, and where its work is."""
    work = whereabouts(one)
    return {"agent": one.agent, "outcome": one.outcome, "reason": one.reason} | ({"work": work} if work else {})
