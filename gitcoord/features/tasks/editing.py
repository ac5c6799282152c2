"""Commands that change a task's text, not its agent: edit, label, comment, reopen; and the search for tasks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fields import Content, Given, Metavar, Reason, Title
from gitcoord.features.tasks import events, revisions
from gitcoord.features.tasks.commands import OneTask
from gitcoord.features.tasks.creation import BODY, answer, bounded, deadline
from gitcoord.features.tasks.queries import blocked, named, row
from gitcoord.features.tasks.state import OVER, Task, in_a_line
from gitcoord.features.typed import AnyCase, Capabilities

NO_DEADLINE = "none"
WORDS_MAX = 20  # in one search


class EditTask(OneTask):
    title: Title | None = Field(None, description="The task, in one line")
    body: Content | None = Field(None, description=BODY)
    needs: Capabilities | None = Field(None, description="A capability that the agent must have, in place of all")
    priority: AnyCase | None = Field(None, description="The priority")
    deadline: Annotated[Given, Metavar("SPAN|TIME|none")] | None = Field(
        None, description="The deadline: a span such as 2h, a time (UTC), or none"
    )
    branch: events.Branch | None = Field(None, description="The branch of the work")
    pull_request: events.PullRequest | None = Field(None, description="The number of its pull request")


class LabelTask(OneTask):
    add: events.Labels = Field([], description="A label to add")
    remove: events.Labels = Field([], description="A label to remove")


class CommentTask(OneTask):
    text: Content = Field(min_length=1, description="The comment; - reads standard input")


class ReopenTask(OneTask):
    reason: Reason = Field("", description="The reason")


class SearchTasks(Arguments):
    words: list[Given] = Field(min_length=1, max_length=WORDS_MAX, description="Words that the task must have")
    status: Literal["open", "closed", "any"] = Field("any", description="Which tasks to search")


def edit(ctx: Context, args: EditTask) -> list[NewEvent]:
    task = _open(ctx, args.task)
    bounded("body", args.body or "", events.BODY_MAX)
    values = {
        "title": args.title,
        "body": args.body,
        "needs": None if args.needs is None else list(dict.fromkeys(args.needs)),
        "priority": args.priority,
        "deadline": None if args.deadline == NO_DEADLINE else deadline(ctx, args.deadline),
        "branch": args.branch,
        "pull_request": args.pull_request,
    }
    new = {name: one for name, one in values.items() if one is not None and one != getattr(task, name)}
    if args.deadline == NO_DEADLINE and task.deadline is not None:
        new["no_deadline"] = True
    if not new:
        if all(one is None for one in values.values()) and args.deadline is None:
            raise Refused("nothing to change is given: for example --priority high (`gitcoord task edit --help`)")
        return []
    words = ", ".join(name.replace("no_", "").replace("_", " ") for name in new)
    return [NewEvent("task_edited", f"{ctx.actor} edits {task.title!r}: {words}", new, re=task.id)]


def label(ctx: Context, args: LabelTask) -> list[NewEvent]:
    task = _open(ctx, args.task)
    if not args.add and not args.remove:
        raise Refused("no label is given: add one with --add LABEL, or remove one with --remove LABEL")
    labels = [one for one in dict.fromkeys([*task.labels, *args.add]) if one not in args.remove]
    if len(labels) > events.LABELS_MAX:
        raise Refused(f"a task has at most {events.LABELS_MAX} labels: remove some with --remove")
    if labels == task.labels:
        return []
    words = [f"+{one}" for one in args.add] + [f"-{one}" for one in args.remove]
    data = {"add": args.add, "remove": args.remove}
    return [NewEvent("task_labelled", f"{ctx.actor} labels {task.title!r}: {', '.join(words)}", data, re=task.id)]


def _open(ctx: Context, text: str) -> Task:
    """Return the open task that `text` names. Raise Refused if it is closed, or a workflow's."""
    task = named(ctx, text)
    if task.status in OVER:
        raise Refused(f"{in_a_line(task)}: `gitcoord task reopen {task.id[:8]}` opens it again")
    if task.workflow is not None:
        raise Refused(f"{task.id[:8]} cannot be changed: {revisions.OF_A_WORKFLOW}")
    return task


def comment(ctx: Context, args: CommentTask) -> list[NewEvent]:
    task = named(ctx, args.task)
    holder = task.last.agent if task.attempts and task.status not in OVER else task.created_by
    to = () if holder.casefold() == ctx.actor.casefold() else (holder,)
    return [NewEvent("task_commented", args.text, to=to, re=task.id)]


def reopen(ctx: Context, args: ReopenTask) -> list[NewEvent]:
    task = named(ctx, args.task)
    if task.status not in OVER:
        return []
    reason = revisions.why_closed(ctx.state("tasks"), task, ctx.actor)
    if reason is not None:
        raise Refused(f"{task.id[:8]} cannot be reopened: {reason}")
    because = f": {args.reason}" if args.reason else ""
    content = f"{ctx.actor} reopens {task.title!r}{because}"
    return [NewEvent("task_reopened", content, {"reason": args.reason}, re=task.id)]


def search(ctx: Context, args: SearchTasks) -> list[dict[str, Any]]:
    """Return the tasks that contain all the words as rows: open ones first, then the newest first."""
    tasks: Mapping[str, Task] = ctx.state("tasks").tasks
    words = [one.casefold() for one in args.words]
    found = [
        task
        for task in tasks.values()
        if args.status in ("any", "closed" if task.status in OVER else "open") and _has(task, words)
    ]
    found.sort(key=lambda task: (task.status in OVER, -ctx.fleet.positions.get(task.id, 0)))
    return [{**row(task), "blocked": blocked(task, tasks)} for task in found]


def _has(task: Task, words: list[str]) -> bool:
    texts = (task.id, task.title, task.body, task.result, task.branch, *task.labels, *task.needs, *task.artifacts)
    text = "\n".join(texts).casefold()
    return all(word in text for word in words)


_MADE = ("gitcoord task create 'Fix the parser'",)
_change = partial(Command, answer=answer, answers_thread=True, before=_MADE)

COMMANDS: Mapping[str, Command | Query] = {
    "task edit": _change(
        help="Change what an open task says: by its creator, or an admin",
        example="gitcoord task edit 3 --priority high --deadline 2h",
        arguments=EditTask,
        decide=edit,
        positional=("task",),
        idempotent=True,
    ),
    "task label": _change(
        help="Add labels to an open task, or remove labels",
        example="gitcoord task label 3 --add parser --add urgent",
        arguments=LabelTask,
        decide=label,
        positional=("task",),
        idempotent=True,
    ),
    "task comment": _change(
        help="Comment on a task, as a message to its agent",
        example="gitcoord task comment 3 'The lexer has changed: see abc1234'",
        arguments=CommentTask,
        decide=comment,
        positional=("task", "text"),
        tool="task_update",
    ),
    "task reopen": _change(
        help="Open a task again that is done, failed or cancelled: by its creator, or an admin",
        example="gitcoord task reopen 3 'the test fails again'",
        before=(*_MADE, "gitcoord task cancel 3"),
        arguments=ReopenTask,
        decide=reopen,
        positional=("task", "reason"),
        idempotent=True,
    ),
    "task search": Query(
        help="Search tasks for words, closed ones too",
        example="gitcoord task search parser",
        before=_MADE,
        arguments=SearchTasks,
        ask=search,
        columns=("id", "status", "agent", "title"),
        positional=("words",),
    ),
}
