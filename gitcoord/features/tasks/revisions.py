"""Revisions: how edits, labels, comments and reopening change a task; `changes.py` has the rest of its life."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from gitcoord.core import times
from gitcoord.core.feature import SequencedEvent
from gitcoord.features.tasks import events
from gitcoord.features.tasks.state import (
    DEPENDANTS_MAX,
    DONE,
    OPEN_BYTES_MAX,
    OPEN_MAX,
    OVER,
    UNKNOWN,
    State,
    Task,
    describe,
)

COMMENTS_KEPT = 20  # positions of the newest comments on one task; the log has all of them
BASES = ("main", "master", "trunk", "develop")  # shared branches, which say nothing about one task's work
OF_A_WORKFLOW = "it belongs to a workflow, which follows its file: change the file, and start the workflow again"


def note_work(task: Task, report: BaseModel | None) -> None:
    """Note where the work is, as its agent reports it."""
    branch = getattr(report, "branch", "")
    task.branch = branch if branch and branch not in BASES else task.branch
    task.pull_request = getattr(report, "pull_request", None) or task.pull_request


def _edit(state: State, sequenced: SequencedEvent, edit: events.TaskEdited) -> str | None:
    task = state.tasks.get(sequenced.event.re or "")
    if task is None or task.status in OVER:
        return UNKNOWN if task is None else f"{describe(task)}: reopen it first"
    if task.workflow is not None:
        return OF_A_WORKFLOW
    before = _text_bytes(task.title, task.body, task.needs)
    title, body = edit.title or task.title, task.body if edit.body is None else edit.body
    needs = task.needs if edit.needs is None else edit.needs
    reason = _resize(state, task, _text_bytes(title, body, needs) - before)
    if reason is not None:
        return reason
    task.title, task.body, task.needs = title, body, needs
    task.priority = edit.priority or task.priority
    note_work(task, edit)
    if edit.no_deadline or (edit.deadline is not None and times.seconds(edit.deadline)):
        task.deadline = None if edit.no_deadline else edit.deadline
        task.overdue = False
        state.dated.pop(task.id, None)
        if task.deadline is not None:
            state.dated[task.id] = None
    return None


def _label(state: State, sequenced: SequencedEvent, change: events.TaskLabelled) -> str | None:
    task = state.tasks.get(sequenced.event.re or "")
    if task is None or task.status in OVER:
        return UNKNOWN if task is None else f"{describe(task)}: reopen it first"
    labels = [one for one in dict.fromkeys([*task.labels, *change.add]) if one not in change.remove]
    if labels == task.labels:
        return "the task has exactly these labels already"
    if len(labels) > events.LABELS_MAX:
        return f"a task has at most {events.LABELS_MAX} labels: remove some"
    reason = _resize(state, task, _text_bytes(labels) - _text_bytes(task.labels))
    if reason is None:
        task.labels = labels
    return reason


def _text_bytes(*texts: object) -> int:
    return len(json.dumps(texts))


def _resize(state: State, task: Task, bytes_more: int) -> str | None:
    """Count `bytes_more` for the task and return None. If they exceed a limit, return why instead."""
    if bytes_more > 0:
        if state.open_bytes + bytes_more > OPEN_BYTES_MAX:
            return f"the open tasks hold {OPEN_BYTES_MAX >> 20} MiB already: keep long texts in files"
        reason = state.full_of_bytes(task.created_by, bytes_more)
        if reason is not None:
            return reason
    state.resize(task, bytes_more)
    return None


def _comment(state: State, sequenced: SequencedEvent, _: events.TaskCommented) -> str | None:
    task = state.tasks.get(sequenced.event.re or "")
    if task is None:
        return UNKNOWN
    task.comments = [*task.comments, sequenced.position][-COMMENTS_KEPT:]
    return None


def _reopen(state: State, sequenced: SequencedEvent, _: events.TaskReopened) -> str | None:
    event, task = sequenced.event, state.tasks.get(sequenced.event.re or "")
    if task is None or task.status not in OVER:
        return UNKNOWN if task is None else describe(task)
    reason = why_closed(state, task, event.actor)
    if reason is not None:
        return reason
    waits = [uid for uid in task.waits if state.tasks[uid].status != DONE]
    state.reopen(task, waits, at=event.timestamp, position=sequenced.position)
    return None


def why_closed(state: State, task: Task, author: str) -> str | None:
    """Return why a closed task cannot be opened again; None if it can."""
    if task.workflow is not None:
        return OF_A_WORKFLOW
    if task.attempt >= events.ATTEMPTS_MAX:
        return f"it had {task.attempt} attempts, and no task has more: create another one"
    gone = next((uid for uid in task.waits if uid not in state.tasks), None)
    if gone is not None:
        return f"it waits for {gone[:8]}, which was closed long ago: create another one without that"
    if any(len(state.dependants.get(uid, ())) >= DEPENDANTS_MAX for uid in task.waits):
        return f"{DEPENDANTS_MAX} tasks wait for one that it waits for"
    if len(state.tasks) - len(state.over) >= OPEN_MAX:
        return f"{OPEN_MAX} tasks are open already"
    if state.open_bytes + task.size > OPEN_BYTES_MAX:
        return f"the open tasks hold {OPEN_BYTES_MAX >> 20} MiB already"
    return state.full(task.created_by, task.size)


CHANGES: Mapping[type[BaseModel] | type[None], Callable[[State, SequencedEvent, Any], str | None]] = {
    events.TaskEdited: _edit,
    events.TaskLabelled: _label,
    events.TaskCommented: _comment,
    events.TaskReopened: _reopen,
}
