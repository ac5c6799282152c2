"""Choice: which ready tasks suit an agent best, why, and who holds the paths that they name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.errors import Refused
from gitcoord.core.names import same_agent
from gitcoord.features import paths
from gitcoord.features.overlaps import TooMuch
from gitcoord.features.reservations.state import Reservation, is_over
from gitcoord.features.tasks import dispatch
from gitcoord.features.tasks.state import Task

COMPARED_MAX = 30  # most urgent tasks whose paths are compared with reservations: a comparison takes time
PATHS_MAX = 20  # of one task
_WORD = re.compile(r"[\w./*@+-]{2,200}")
_FILE = re.compile(r"[\w@+-][\w.@+-]*\.[A-Za-z]\w{0,7}\Z")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task that the agent can claim. `held`: the others' reservations of paths that the task names."""

    task: Task
    why: str
    held: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranking:
    """The tasks that an agent can claim, the best first, and how many it cannot claim, by the reason."""

    candidates: list[Candidate]
    unfit: Counter[str]


def ranked(ctx: Context) -> Ranking:
    """Return the tasks that `ctx.actor` can claim: urgent ones first, its own before others', reserved paths last."""
    state, workers = ctx.state("tasks"), dispatch.workers(ctx)
    known = {one.id.casefold(): one for one in workers}
    me = worker(ctx, workers)
    fitting, unfit = [], Counter[str]()
    for task in dispatch.in_order(state, ctx.age_s):
        reason = dispatch.lacks(me, task) or dispatch.reserved(task, me, known) or dispatch.rests(task, me, ctx.age_s)
        if reason:
            unfit[reason] += 1
        else:
            fitting.append(task)
    found = [Candidate(task, _why(ctx, task, me), holders(ctx, task)) for task in fitting[:COMPARED_MAX]]
    found.sort(key=lambda one: (bool(one.held), dispatch.urgency(one.task, ctx.age_s)[0], not _mine(one.task, me)))
    return Ranking([*found, *(Candidate(task, _why(ctx, task, me)) for task in fitting[COMPARED_MAX:])], unfit)


def worker(ctx: Context, workers: list[dispatch.Worker] | None = None) -> dispatch.Worker:
    """Return `ctx.actor` as a worker of dispatch; without a registration it has no capabilities and one slot.

    `workers`: those of `dispatch.workers`, if they are known already.
    """
    workers = dispatch.workers(ctx) if workers is None else workers
    held = len(ctx.state("tasks").held.get(ctx.actor.casefold(), ()))
    blank = dispatch.Worker(ctx.actor, frozenset(), 1, held)
    return next((one for one in workers if same_agent(one.id, ctx.actor)), blank)


def named_paths(task: Task) -> list[str]:
    """Return the paths that a task names: those in `data.paths`, and the words in its text that look like paths."""
    given = task.data.get("paths")
    words = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    words += [found[0].strip(".,") for found in _WORD.finditer(f"{task.title}\n{task.body}")]
    likely = [one for one in dict.fromkeys(words) if _FILE.match(one) or ("/" in one.strip("/") and "//" not in one)]
    return [one for one in likely if _is_pattern(one)][:PATHS_MAX]


def _is_pattern(text: str) -> bool:
    try:
        paths.check(text)
    except Refused:
        return False
    return True


def holders(ctx: Context, task: Task) -> tuple[Reservation, ...]:
    """Return the reservations of others that overlap the paths that the task names; none if a check takes too long."""
    state = ctx.state("reservations")
    if not state.held:
        return ()
    try:
        uids = state.index.owners(named_paths(task), lambda uid: not same_agent(state.held[uid].agent, ctx.actor))
    except TooMuch:
        return ()
    return tuple(one for uid, one in state.held.items() if uid in uids and not is_over(one, ctx))


def holder_row(one: Reservation) -> dict[str, Any]:
    return {"agent": one.agent, "paths": one.paths, "until": one.until, "why": one.why}


def _mine(task: Task, me: dispatch.Worker) -> bool:
    replaces_last = bool(task.attempts) and task.last.agent.casefold() in me.stands_in
    return replaces_last or (task.preferred is not None and same_agent(task.preferred, me.id))


def _why(ctx: Context, task: Task, me: dispatch.Worker) -> str:
    return ", ".join(_reasons(ctx, task, me))


def _reasons(ctx: Context, task: Task, me: dispatch.Worker) -> Iterator[str]:
    waited_s = ctx.age_s(task.ready, task.ready_position)
    yield f"{task.priority}, ready for {times.roughly(max(0.0, waited_s))}"
    if task.overdue:
        yield "overdue"
    if _mine(task, me):
        yield f"meant for {me.id}"
    if task.needs:
        yield f"needs {', '.join(task.needs)}"
    waiting = len(ctx.state("tasks").dependants.get(task.id, ()))
    if waiting:
        yield "1 task waits for it" if waiting == 1 else f"{waiting} tasks wait for it"
    if task.attempts:
        yield f"{task.last.agent} {task.last.outcome or 'had'} it before"
