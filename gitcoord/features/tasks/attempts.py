"""How an agent's reports change a task: the table of its statuses, and the life of an attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from gitcoord.core import times
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.format.event import Event
from gitcoord.features.tasks import events, revisions
from gitcoord.features.tasks import state as task_state
from gitcoord.features.tasks.state import (
    ACCEPTED,
    ASSIGNED,
    CANCELLED,
    CREATED,
    DONE,
    FAILED,
    HELD,
    INPUT_REQUIRED,
    READY,
    RUNNING,
    State,
    Task,
    describe,
)

_WORKED_ON: Mapping[str, str] = {
    "task_started": RUNNING,
    "task_progressed": RUNNING,
    "task_input_requested": INPUT_REQUIRED,
    "task_finished": DONE,
    "task_failed": READY,
    "task_released": READY,
    "task_reassigned": ASSIGNED,
    "task_cancelled": CANCELLED,
}
NEXT: Mapping[str, Mapping[str, str]] = {
    CREATED: {"task_cancelled": CANCELLED},  # READY once all that it waits for is done
    READY: {
        "task_assigned": ASSIGNED,
        "task_reassigned": ASSIGNED,
        "task_claimed": ACCEPTED,
        "task_cancelled": CANCELLED,
    },
    ASSIGNED: {"task_claimed": ACCEPTED, "task_accepted": ACCEPTED, **_WORKED_ON},
    ACCEPTED: {"task_claimed": ACCEPTED, "task_accepted": ACCEPTED, **_WORKED_ON},
    RUNNING: {"task_claimed": RUNNING, "task_accepted": RUNNING, **_WORKED_ON},
    INPUT_REQUIRED: {"task_claimed": INPUT_REQUIRED, "task_accepted": INPUT_REQUIRED, **_WORKED_ON},
    DONE: {"task_reopened": READY},
    FAILED: {"task_reopened": READY},
    CANCELLED: {"task_reopened": READY},
}
"""Status before → event type → status after. The last attempt that is permitted ends in FAILED instead of READY;
`task_reassigned` to nobody gives READY."""


def note_place(task: Task, event: Event, report: events.TaskClaimed | events.TaskAccepted | events.TaskStarted) -> None:
    """Note the node, work tree and branch of the agent's work, so that the next agent can continue it."""
    task.last.node = event.node
    task.last.place, task.last.branch = report.place or task.last.place, report.branch or task.last.branch
    revisions.note_work(task, report)


def _accept(state: State, sequenced: SequencedEvent, report: events.TaskAccepted) -> str | None:
    event = sequenced.event
    task, reason = _of_attempt(state, event, report.attempt)
    if task is not None:
        task.status = NEXT[task.status][event.type]
        note_place(task, event, report)
    return reason


def _start(state: State, sequenced: SequencedEvent, report: events.TaskStarted) -> str | None:
    event = sequenced.event
    task, reason = _of_attempt(state, event, report.attempt)
    if task is not None:
        _begin(task, sequenced)
        note_place(task, event, report)
    return reason


def _begin(task: Task, sequenced: SequencedEvent) -> None:
    task.status = NEXT[task.status][sequenced.event.type]
    if not task.last.started:
        task.last.started, task.last.position = sequenced.event.timestamp, sequenced.position
    revisions.note_work(task, sequenced.payload)


def _progress(state: State, sequenced: SequencedEvent, report: events.TaskProgressed) -> str | None:
    event = sequenced.event
    task, reason = _of_attempt(state, event, report.attempt)
    if task is not None:
        if report.session_ended:
            revisions.note_work(task, report)
        else:
            _begin(task, sequenced)
        task.share = task.share if report.share is None else report.share
        task.text = report.text or task.text
    return reason


def _ask_for_input(state: State, sequenced: SequencedEvent, report: events.TaskInputRequested) -> str | None:
    event = sequenced.event
    task, reason = _of_attempt(state, event, report.attempt)
    if task is not None:
        task.status, task.text = NEXT[task.status][event.type], report.text[:500]
    return reason


def _finish(state: State, sequenced: SequencedEvent, report: events.TaskFinished) -> str | None:
    event = sequenced.event
    task, reason = _of_attempt(state, event, report.attempt)
    if task is not None:
        begun = task.last.started or task.last.since
        state.note_speed(event.actor, task.needs, max(0.0, times.between_s(begun, event.timestamp)))
        task.result, task.artifacts, task.share = report.result, report.artifacts, 1.0
        revisions.note_work(task, report)
        state.take_back(task, "done", at=event.timestamp, position=sequenced.position, reason="")
        state.end(task, DONE, at=event.timestamp, position=sequenced.position, bytes_more=len(event.line))
    return reason


def _fail(state: State, sequenced: SequencedEvent, report: events.TaskFailed) -> str | None:
    event = sequenced.event
    task, reason = _of_attempt(state, event, report.attempt)
    if task is not None:
        again(state, task, "failed", sequenced, report.reason, counts=True)
    return reason


def _release(state: State, sequenced: SequencedEvent, report: events.TaskReleased) -> str | None:
    """Release the task. If it was lost while in progress, count a failure: the task may be what kills its agents."""
    event = sequenced.event
    if event.term is None:
        task, reason = _of_attempt(state, event, report.attempt)
        lost = False
    else:
        task = state.tasks.get(event.re or "")
        if task is None or task.status not in HELD or report.attempt != task.attempt:
            return not_so(task)
        if report.only not in (None, task.status):
            return describe(task)
        if report.since is not None and state.heard[task.last.agent.casefold()].position > report.since:
            return f"{task.last.agent} wrote again in the meantime: {describe(task)}"
        reason, lost = None, report.lost and task.status != ASSIGNED
    if task is not None:
        outcome = "unaccepted" if report.only == ASSIGNED else "released"
        again(state, task, outcome, sequenced, report.reason, counts=lost)
    return reason


def again(state: State, task: Task, outcome: str, sequenced: SequencedEvent, reason: str, *, counts: bool) -> None:
    event = sequenced.event
    state.take_back(
        task, outcome, at=event.timestamp, position=sequenced.position, reason=reason[: task_state.REASON_KEPT]
    )
    task.failures += counts
    if task.failures >= task.attempts_max or task.attempt >= events.ATTEMPTS_MAX:
        times_ = "once" if task.attempt == 1 else f"{task.attempt} times"
        task.reason = f"tried {times_}; last: {task.last.reason or outcome}"
        state.end(task, FAILED, at=event.timestamp, position=sequenced.position)
    else:
        state.make_ready(task, at=event.timestamp, position=sequenced.position)


def _of_attempt(state: State, event: Event, number: int) -> tuple[Task | None, str | None]:
    """Return the task if the author has it and `number` is its current attempt, otherwise the reason for a void."""
    task = state.tasks.get(event.re or "")
    if task is None:
        return None, not_so(None)
    if number > task.attempt:
        return None, f"there was no attempt {number} yet: {describe(task)}"
    attempt = task.attempts[number - 1]
    if number < task.attempt or task.status not in HELD:
        attempt.late = f"{event.type.removeprefix('task_')} at {event.timestamp}"
        return None, f"attempt {number} is over ({attempt.outcome}): {describe(task)}"
    return task, None


def not_so(task: Task | None) -> str:
    return task_state.UNKNOWN if task is None else describe(task)


CHANGES: Mapping[type[BaseModel] | type[None], Callable[[State, SequencedEvent, Any], str | None]] = {
    events.TaskAccepted: _accept,
    events.TaskStarted: _start,
    events.TaskProgressed: _progress,
    events.TaskInputRequested: _ask_for_input,
    events.TaskFinished: _finish,
    events.TaskFailed: _fail,
    events.TaskReleased: _release,
}
