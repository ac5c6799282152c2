"""The command that creates tasks: one, or all of a file. A retry after a killed command makes no second task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from gitcoord.core import times
from gitcoord.core.commands import FROM_FILE, Arguments, Context, NewEvent
from gitcoord.core.errors import Refused
from gitcoord.core.fields import Content, Given, Metavar, Span, Title
from gitcoord.core.fold import quotas
from gitcoord.core.lookup import member
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import events, task_file
from gitcoord.features.tasks.queries import named, to_row
from gitcoord.features.tasks.state import CANCELLED, FAILED, State, Task, in_a_line
from gitcoord.features.typed import AgentGiven, AnyCase, Capabilities, JsonObject

TWIN_S = 60.0  # a second task of the same title and author within this time needs --again
IN_A_FILE = "write longer text to a file, commit it, and name the file"
EMPTY: tuple[Any, ...] = (None, "", [], {})


BODY = "The full description; - reads standard input"


class CreateTask(Arguments):
    title: Title | None = Field(None, description="The task, in one line")
    body: Content = Field("", description=BODY)
    needs: Capabilities = Field([], description="A capability that the agent must have")
    priority: AnyCase = Field("MEDIUM", description="The priority")
    deadline: Annotated[Given, Metavar("SPAN|TIME")] | None = Field(
        None, description="The deadline: a span such as 2h, or a time (UTC)"
    )
    after: list[Annotated[Given, Metavar("TASK")]] = Field(
        [], max_length=events.AFTER_MAX, description="A task that must be done first"
    )
    attempts: int = Field(3, ge=1, le=events.ATTEMPTS_MAX, description="The number of attempts")
    time_limit: Span | None = Field(None, le=events.TIMEOUT_S_MAX, description="The time limit of each attempt")
    agent: AgentGiven | None = Field(None, description="The preferred agent; another one gets the task if it is away")
    data: JsonObject = Field({}, description="A JSON object for the agent")
    key: events.Key | None = Field(None, description="Your own name for it: a retry with it makes no second task")
    again: bool = Field(False, description="Another task of the same title")
    file: Annotated[str, Metavar("FILE")] | None = Field(
        None,
        alias="from",
        max_length=task_file.FILE_CHARS_MAX,
        description="Tasks in YAML, TOML or a Markdown check list",
        json_schema_extra=FROM_FILE,
    )


def create(ctx: Context, args: CreateTask) -> list[NewEvent]:
    if args.file is not None:
        return of_file(ctx, args.file, again=args.again, others=args.model_fields_set - {"file", "again"})
    if args.title is None:
        raise Refused("title: is missing, and so is --from FILE")
    bounded("body", args.body, events.BODY_MAX)
    data = {
        "title": args.title,
        "body": args.body,
        "needs": list(dict.fromkeys(args.needs)),
        "priority": args.priority,
        "deadline": deadline(ctx, args.deadline),
        "attempts_max": args.attempts,
        "timeout_s": args.time_limit,
        "data": args.data,
        "agent": member(ctx, args.agent) if args.agent else None,
        "key": args.key,
    }
    return of_one(ctx, data, after=args.after, again=args.again)


def answer(ctx: Context, uid: str) -> dict[str, Any]:
    """Return the task with that id for the answer of a command; empty if it is not in the ledger yet."""
    task = ctx.state("tasks").tasks.get(uid)
    return {"task": to_row(ctx, task)} if task is not None else {}


def created(ctx: Context, uid: str) -> dict[str, Any]:
    """Return the new task, with a `warning` if no agent has the capabilities that it needs."""
    made = answer(ctx, uid)
    lacking = (
        [
            need
            for need in made["task"]["needs"]
            if not any(need in one.capabilities for one in ctx.state("agents").agents.values())
        ]
        if made
        else []
    )
    if lacking:
        made["warning"] = (
            f"no agent can {', '.join(map(repr, lacking))}: it waits until one that can registers "
            "(`gitcoord agent list` lists capabilities)"
        )
    return made


def known(ctx: Context, args: CreateTask) -> dict[str, Any]:
    """Return the task with the given key, whether it was created now or before; empty if there is none."""
    uid = ctx.state("tasks").keyed(ctx.actor, args.key)
    return answer(ctx, uid) if uid is not None else {}


def of_one(ctx: Context, data: Mapping[str, Any], *, after: Sequence[str], again: bool) -> list[NewEvent]:
    """Return the event that creates a task; none if the author's key is taken. `data` as in `TaskCreated`.

    Raise Refused if a task in `after` is unknown or closed, or if the task looks like a repetition (see `again`).
    """
    if ctx.state("tasks").keyed(ctx.actor, data["key"]) is not None:
        return []
    _check_queued(ctx, data["key"])
    if not again and data["key"] is None:
        _check_twin(ctx, data["title"])
    waits = [_open(named(ctx, text)).id for text in after]
    return [_event(data, after=waits)]


def of_file(ctx: Context, text: str, *, again: bool, others: Collection[str]) -> list[NewEvent]:
    """Return the events that create the tasks of a file, without those whose keys are taken.

    `others`: names of other arguments that were given. Raise Refused, with the line number, on a mistake in the file.
    """
    if others:
        raise Refused(f"--from FILE defines the whole task: leave out {', '.join(sorted(others))}")
    state: State = ctx.state("tasks")
    made: list[NewEvent] = []
    keys = set[str]()
    for line, one in task_file.read(text):
        try:
            if one.key in keys:
                raise Refused(f"the key {one.key!r} appears twice: rename one of them")
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
    """Raise Refused if the author's task with that key is in this node's queue."""
    found = next((uid for uid, data, _ in _queued(ctx) if key is not None and data.get("key") == key), None)
    if found is not None:
        raise Refused(
            f"task {found[:8]} with the key {key!r} is queued already, and is pushed without your help: "
            "`gitcoord queue list` shows it"
        )


def _check_twin(ctx: Context, title: str) -> None:
    """Raise Refused if the author created a task of that title within TWIN_S, perhaps by a command that was killed."""
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
    """Yield id, data and time of the author's new tasks that are in the queue and not in the ledger."""
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
