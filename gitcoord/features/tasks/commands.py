"""Commands about tasks. Each refuses an impossible request early; the fold decides."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import Field

from gitcoord.core.commands import Arguments, Command, Context, NewEvent
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.fields import GIVEN_CHARS_MAX, Content, Reason, Words
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import creation, dispatch, events, handover
from gitcoord.features.tasks.creation import answer, bounded
from gitcoord.features.tasks.queries import named
from gitcoord.features.tasks.state import ASSIGNED, CANCELLED, DONE, HELD, OVER, READY, Task, in_a_line

ID = Field(max_length=GIVEN_CHARS_MAX, description="Task id, its beginning, or its event's position")
ATTEMPT = Field(None, ge=1, le=events.ATTEMPTS_MAX, description="Attempt number (default: your latest)")


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
    place = _place(ctx)
    if any(one.branch == place.get("branch") for one in ctx.state("tasks").tasks.values() if one is not task):
        del place["branch"]  # of an earlier task: a worker that has a branch for each task has not switched yet
    return [NewEvent("task_claimed", f"{ctx.actor} claims {task.title!r}", place, re=task.id)]


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
    branch = _place(ctx).get("branch")
    here = {"branch": branch} if branch else {}
    data = {"attempt": attempt, "share": args.share, "text": args.text, **here, **_where(args)}
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


_MADE = ("gitcoord task create 'Fix the parser'",)
_CLAIMED = (*_MADE, "gitcoord task claim 3")

_update = partial(Command, answer=answer, answers_thread=True, tool="task_update")  # a command about a known task

COMMANDS: Mapping[str, Command] = {
    "task create": Command(
        help="Create a task",
        example="gitcoord task create 'Fix the parser' --priority high --needs python",
        arguments=creation.CreateTask,
        decide=creation.create,
        positional=("title",),
        answer=creation.created,
        shows=creation.known,
        tool="task_create",
    ),
    "task claim": _update(
        help="Claim a task; the first claim in the ledger wins",
        example="gitcoord task claim 3",
        before=_MADE,
        arguments=OneTask,
        decide=claim,
        binds=True,
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
        binds=True,
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
