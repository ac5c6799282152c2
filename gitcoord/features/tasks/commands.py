"""Commands about tasks. Each refuses an impossible request early; the fold decides."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from gitcoord.core.commands import FROM_FILE, Arguments, Command, Context, NewEvent
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.fields import GIVEN_CHARS_MAX, Content, Given, Metavar, Reason, Span, Title, Words
from gitcoord.core.lookup import member
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import creation, dispatch, events, handover, task_file
from gitcoord.features.tasks.creation import bounded, deadline
from gitcoord.features.tasks.queries import named, to_row
from gitcoord.features.tasks.state import ASSIGNED, CANCELLED, DONE, HELD, OVER, READY, Task, in_a_line
from gitcoord.features.typed import AgentGiven, AnyCase, Capabilities, JsonObject

ID = Field(max_length=GIVEN_CHARS_MAX, description="Task id, its beginning, or its event's position")
ATTEMPT = Field(None, ge=1, le=events.ATTEMPTS_MAX, description="Attempt number (default: your latest)")


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


class OneTask(Arguments):
    task: str = ID


class WorkOnTask(OneTask):
    branch: events.Branch | None = Field(None, description="The branch of the work")
    pull_request: events.PullRequest | None = Field(None, description="Its pull request")
    attempt: int | None = ATTEMPT


class ReportProgress(WorkOnTask):
    share: float | None = Field(None, ge=0, le=1, description="The share that is done, from 0 to 1")
    text: Words = Field("", description="The current work")
    ask: Reason = Field("", description="A question whose answer you need to go on")


class FinishTask(WorkOnTask):
    result: Content = Field("", description="The result")
    artifacts: list[events.Artifact] = Field(
        [], alias="artifact", max_length=events.ARTIFACTS_MAX, description="A ref or a path that the task produced"
    )


class FailTask(OneTask):
    reason: Reason = Field("", description="The reason")
    attempt: int | None = ATTEMPT


class ReleaseTask(FailTask):
    force: bool = Field(False, description="Take it from the agent that has it; for its creator and admins")


class CancelTask(OneTask):
    reason: Reason = Field("", description="The reason")


def create(ctx: Context, args: CreateTask) -> list[NewEvent]:
    if args.file is not None:
        return creation.of_file(ctx, args.file, again=args.again, others=args.model_fields_set - {"file", "again"})
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
    return creation.of_one(ctx, data, after=args.after, again=args.again)


def claim(ctx: Context, args: OneTask) -> list[NewEvent]:
    task = named(ctx, args.task)
    if task.status in HELD and same_agent(task.last.agent, ctx.actor):
        if task.status != ASSIGNED:
            return []  # the actor has the task
        told = {"attempt": task.attempt, **_place(ctx)}
        return [NewEvent("task_accepted", f"{ctx.actor} accepts {task.title!r}", told, re=task.id)]
    if task.status in HELD or task.status == DONE:
        raise Lost(in_a_line(task))
    if task.status != READY:
        raise Refused(f"{task.id[:8]} cannot be claimed: {in_a_line(task)}")
    crowd = dispatch.workers(ctx)
    me = next((one for one in crowd if same_agent(one.id, ctx.actor)), None)
    if task.needs and (me is None or dispatch.lacks(me, task)):
        raise Refused(
            f"{task.id[:8]} needs {', '.join(task.needs)}: "
            f"`gitcoord agent register --capabilities {','.join(task.needs)}` registers the capabilities"
        )
    return [NewEvent("task_claimed", f"{ctx.actor} claims {task.title!r}", _place(ctx), re=task.id)]


def _place(ctx: Context) -> dict[str, Any]:
    """Return the linked work tree of the actor and its branch, where another agent can go on."""
    branch = ctx.branch() if ctx.branch is not None else ""
    if len(branch) > events.BRANCH_CHARS_MAX or not branch.isprintable():
        branch = ""  # no event can name it, and the claim does not depend on it
    return {name: value for name, value in (("place", ctx.place), ("branch", branch)) if value}


def start(ctx: Context, args: WorkOnTask) -> list[NewEvent]:
    task, attempt = _own(ctx, args.task, args.attempt)
    data = {"attempt": attempt, **_place(ctx), **_where(args)}
    return [NewEvent("task_started", f"{ctx.actor} starts {task.title!r}", data, re=task.id)]


def _where(args: WorkOnTask) -> dict[str, Any]:
    """Return the branch and the pull request that are given."""
    value = {"branch": args.branch, "pull_request": args.pull_request}
    return {name: one for name, one in value.items() if one not in (None, "")}


def progress(ctx: Context, args: ReportProgress) -> list[NewEvent]:
    task, attempt = _own(ctx, args.task, args.attempt)
    if args.ask:
        to = () if same_agent(task.created_by, ctx.actor) else (task.created_by,)
        return [NewEvent("task_input_requested", args.ask, {"attempt": attempt, "text": args.ask}, to, task.id)]
    if args.share is None and not args.text and args.branch is None and args.pull_request is None:
        raise Refused("give a share from 0 to 1, a text, a branch, or a question with --ask")
    data = {"attempt": attempt, "share": args.share, "text": args.text, **_where(args)}
    percent = f"{args.share:.0%} " if args.share is not None else ""
    return [NewEvent("task_progressed", f"{percent}{args.text}".strip(), data, re=task.id)]


def finish(ctx: Context, args: FinishTask) -> list[NewEvent]:
    bounded("result", args.result, events.RESULT_MAX)
    task, attempt = _own(ctx, args.task, args.attempt)
    data = {"attempt": attempt, "result": args.result, "artifacts": args.artifacts, **_where(args)}
    return [NewEvent("task_finished", f"{ctx.actor} has done {task.title!r}", data, re=task.id)]


def fail(ctx: Context, args: FailTask) -> list[NewEvent]:
    return _give_up(ctx, args, "task_failed", "could not do {}")


def release(ctx: Context, args: ReleaseTask) -> list[NewEvent]:
    if args.force:
        return handover.taken_back(ctx, args.task, args.attempt, args.reason)
    return _give_up(ctx, args, "task_released", "releases {}")


def _give_up(ctx: Context, args: FailTask, type_: str, words: str) -> list[NewEvent]:
    task, attempt = _own(ctx, args.task, args.attempt)
    content = f"{ctx.actor} {words.format(repr(task.title))}" + (f": {args.reason}" if args.reason else "")
    return [NewEvent(type_, content, {"attempt": attempt, "reason": args.reason}, re=task.id)]


def cancel(ctx: Context, args: CancelTask) -> list[NewEvent]:
    task = named(ctx, args.task)
    if task.status == CANCELLED:
        return []
    if task.status in OVER:
        raise Refused(f"{task.id[:8]} cannot be cancelled: {in_a_line(task)}")
    because = f": {args.reason}" if args.reason else ""
    return [
        NewEvent("task_cancelled", f"{ctx.actor} cancels {task.title!r}{because}", {"reason": args.reason}, re=task.id)
    ]


def _own(ctx: Context, text: str, attempt: int | None) -> tuple[Task, int]:
    """Return the task and the actor's attempt. A report on a closed attempt is recorded without effect."""
    task = named(ctx, text)
    mine = [number for number, one in enumerate(task.attempts, 1) if same_agent(one.agent, ctx.actor)]
    if not mine:
        cure = f"run `gitcoord task claim {task.id[:8]}` first" if task.status == READY else in_a_line(task)
        raise Refused(f"{ctx.actor} does not have {task.id[:8]}: {cure}")
    if attempt is not None and attempt not in mine:
        raise Refused(f"attempt {attempt} at {task.id[:8]} is not {ctx.actor}'s: {in_a_line(task)}")
    return task, attempt or mine[-1]


def answer(ctx: Context, uid: str) -> dict[str, Any]:
    task = ctx.state("tasks").tasks.get(uid)
    return {"task": to_row(ctx, task)} if task is not None else {}


def _created(ctx: Context, uid: str) -> dict[str, Any]:
    """Return a `warning` if no agent can do the task yet."""
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


def _known(ctx: Context, args: CreateTask) -> dict[str, Any]:
    """Return the task that has the key that is given: the one that was created now, or before."""
    uid = ctx.state("tasks").keyed(ctx.actor, args.key)
    return answer(ctx, uid) if uid is not None else {}


_MADE = ("gitcoord task create 'Fix the parser'",)
_CLAIMED = (*_MADE, "gitcoord task claim 3")

_update = partial(Command, answer=answer, answers_thread=True, tool="task_update")  # a command about a known task

COMMANDS: Mapping[str, Command] = {
    "task create": Command(
        help="Create a task",
        example="gitcoord task create 'Fix the parser' --priority high --needs python",
        arguments=CreateTask,
        decide=create,
        positional=("title",),
        answer=_created,
        shows=_known,
        tool="task_create",
    ),
    "task claim": _update(
        help="Claim a task; the first claim in the ledger wins",
        example="gitcoord task claim 3",
        before=_MADE,
        arguments=OneTask,
        decide=claim,
        positional=("task",),
        urgent=True,
        idempotent=True,
    ),
    "task start": _update(
        help="Mark a task as in progress",
        example="gitcoord task start 3",
        before=_CLAIMED,
        arguments=WorkOnTask,
        decide=start,
        positional=("task",),
        idempotent=True,
    ),
    "task progress": _update(
        help="Report progress, or ask for input",
        before=_CLAIMED,
        example="gitcoord task progress 3 0.5 'tests are written'",
        arguments=ReportProgress,
        decide=progress,
        positional=("task", "share", "text"),
    ),
    "task finish": _update(
        help="Mark a task as done, with its result",
        example="gitcoord task finish 3 'merged' --artifact main",
        before=_CLAIMED,
        arguments=FinishTask,
        decide=finish,
        positional=("task", "result"),
        urgent=True,
    ),
    "task fail": _update(
        help="Mark an attempt as failed",
        before=_CLAIMED,
        example="gitcoord task fail 3 'no access'",
        arguments=FailTask,
        decide=fail,
        positional=("task", "reason"),
    ),
    "task release": _update(
        help="Release a task for another agent",
        example="gitcoord task release 3 'going home'",
        before=_CLAIMED,
        arguments=ReleaseTask,
        decide=release,
        positional=("task", "reason"),
    ),
    "task reassign": _update(
        help="Give a task to another agent",
        example="gitcoord task reassign 3 bob",
        before=_CLAIMED,
        arguments=handover.ReassignTask,
        decide=handover.reassign,
        positional=("task", "agent"),
        tool=None,  # who plans does that; the tools of AI agents are few
    ),
    "task cancel": _update(
        help="Cancel a task",
        example="gitcoord task cancel 3 'no longer needed'",
        before=_MADE,
        arguments=CancelTask,
        decide=cancel,
        positional=("task", "reason"),
        destructive=True,
        idempotent=True,
    ),
}
