"""Creation of tasks: one, or all of a file; a retry of a command that was killed makes no second task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gitcoord.core import times
from gitcoord.core.commands import Context, NewEvent
from gitcoord.core.errors import Refused
from gitcoord.core.fold import quotas
from gitcoord.core.lookup import member
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import task_file
from gitcoord.features.tasks.queries import named
from gitcoord.features.tasks.state import CANCELLED, FAILED, State, Task, in_a_line

TWIN_S = 60.0  # the same title by the same author within this time is asked about
IN_A_FILE = "write longer text to a file, commit it, and name the file"
EMPTY: tuple[Any, ...] = (None, "", [], {})


def of_one(ctx: Context, data: Mapping[str, Any], *, after: Sequence[str], again: bool) -> list[NewEvent]:
    """Return the creation of one task; nothing if the author has created one with its key."""
    if ctx.state("tasks").keyed(ctx.actor, data["key"]) is not None:
        return []
    _check_queued(ctx, data["key"])
    if not again and data["key"] is None:
        _check_twin(ctx, data["title"])
    waits = [_open(named(ctx, text)).id for text in after]
    return [_event(data, after=waits)]


def of_file(ctx: Context, text: str, *, again: bool, others: Collection[str]) -> list[NewEvent]:
    """Return the creation of all tasks of a file, without those whose keys are known. Raise Refused with the line."""
    if others:
        raise Refused(f"--from FILE has all of a task: leave {', '.join(sorted(others))} out")
    state: State = ctx.state("tasks")
    made: list[NewEvent] = []
    keys = set[str]()
    for line, one in task_file.read(text):
        try:
            if one.key in keys:
                raise Refused(f"the key {one.key!r} is there twice")
            keys |= {one.key} - {None}  # type: ignore[arg-type]
            if state.keyed(ctx.actor, one.key) is None:
                made.append(_of_entry(ctx, one, keys, again=again))
        except Refused as wrong:
            raise Refused(f"line {line}: {wrong}") from None
    tasks, _ = state.by_author.get(ctx.actor, (0, 0))
    if tasks + len(made) > quotas.TASKS_OPEN:
        raise Refused(quotas.full(ctx.actor, "tasks open", quotas.TASKS_OPEN, "finish or cancel some"))
    return made


def _of_entry(ctx: Context, one: task_file.FileTask, keys: Collection[str], *, again: bool) -> NewEvent:
    _check_queued(ctx, one.key)
    if not again and one.key is None:
        _check_twin(ctx, one.title)
    by_key = [name for name in one.after if name in keys and name != one.key]
    data: dict[str, Any] = {
        "title": one.title,
        "body": one.body,
        "needs": one.needs,
        "priority": one.priority,
        "deadline": deadline(ctx, one.deadline),
        "attempts_max": one.attempts,
        "timeout_s": one.time_limit,
        "data": {},
        "agent": member(ctx, one.agent) if one.agent else None,
        "key": one.key,
    }
    waits = [_open(named(ctx, name)).id for name in one.after if name not in by_key]
    return _event(data, after=waits, after_keys=by_key)


def _event(data: Mapping[str, Any], **waits: list[str]) -> NewEvent:
    kept = {name: value for name, value in {**data, **waits}.items() if value not in EMPTY}
    return NewEvent("task_created", data["title"], kept)


def _open(task: Task) -> Task:
    if task.status in (FAILED, CANCELLED):
        raise Refused(f"the new task would wait forever for {task.id[:8]}: {in_a_line(task)}")
    return task


def _check_queued(ctx: Context, key: str | None) -> None:
    """Raise Refused if the author's task with that key waits on this node for its place in the ledger."""
    found = next((uid for uid, data, _ in _queued(ctx) if key is not None and data.get("key") == key), None)
    if found is not None:
        raise Refused(f"{found[:8]} has the key {key!r}, is queued, and goes out by itself: `gitcoord queue list`")


def _check_twin(ctx: Context, title: str) -> None:
    """Raise Refused if the author created a task of that title just now: perhaps by a command that was killed."""
    twins = [uid for uid, data, at in _queued(ctx) if data.get("title") == title and _is_new(at, ctx.now)]
    tasks: Mapping[str, Task] = ctx.state("tasks").tasks
    for task in reversed([*tasks.values()]):
        if task.title == title and same_agent(task.created_by, ctx.actor) and _is_new(task.created, ctx.now):
            twins.append(task.id)
    if twins:
        raise Refused(
            f"{ctx.actor} created {twins[0][:8]} {title!r} less than a minute ago: if this is another task, "
            "add --again; for retries, use --key"
        )


def _queued(ctx: Context) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield the author's new tasks that the ledger lacks: id, data, time."""
    for event in ctx.pending() if ctx.pending is not None else ():
        known = event.uid in ctx.fleet.positions
        if event.type == "task_created" and not known and same_agent(event.actor, ctx.actor):
            yield event.uid, event.data, event.timestamp


def _is_new(at: str, now: str) -> bool:
    return abs(times.between_s(at, now)) < TWIN_S


def deadline(ctx: Context, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return times.later(ctx.now, float(str(times.span_s(text))))
    except ValueError:
        pass
    if not times.seconds(text):
        raise Refused(f"the deadline {text!r} is neither a span such as 2h nor a time such as 2026-01-31T08:00Z")
    return times.later(text, 0)


def bounded(what: str, text: str, characters_max: int) -> None:
    if len(text) > characters_max:
        raise Refused(f"the {what} has {len(text)} characters, and {characters_max} fit into an event: {IN_A_FILE}")
