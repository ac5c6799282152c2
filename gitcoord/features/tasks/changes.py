"""How each event changes a task: the table of its statuses, and one function for each type of event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from gitcoord.core import times
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold.authority import ASSIGNEE, Asked, Persons, Resolver, Whose, owned
from gitcoord.core.format.event import Event
from gitcoord.core.format.raw_line import times_in
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import events, revisions
from gitcoord.features.tasks import state as task_state
from gitcoord.features.tasks.state import (
    ACCEPTED,
    ASSIGNED,
    CANCELLED,
    CREATED,
    DEPENDANTS_MAX,
    DONE,
    FAILED,
    HELD,
    INPUT_REQUIRED,
    OPEN_BYTES_MAX,
    OPEN_MAX,
    OVER,
    READY,
    RUNNING,
    Heard,
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
"""The status after an event, by the status before. READY after the last attempt is FAILED; `task_reassigned` to nobody
gives READY."""


def _worker(state: State, asked: Asked, persons: Persons) -> Whose | None:
    """Return the agent of the attempt that the event names. The fold decides whether the attempt is still open."""
    task, number = state.tasks.get(asked.re or ""), getattr(asked.payload, "attempt", 0)
    if task is None or not 0 < number <= task.attempt:
        return None
    return owned(task.attempts[number - 1].agent, f"whose attempt {number} at the task it is")


def _creator(state: State, asked: Asked, persons: Persons) -> Whose | None:
    task = state.tasks.get(asked.re or "")
    if task is None:
        return None
    if task.workflow is not None:
        return Whose("the starter of its workflow", lambda agent: False)
    return owned(task.created_by, "whose task it is")


WHOSE: Mapping[str, Resolver] = {
    **{type_: _worker for type_, who in events.AUTHORITY.items() if who & ASSIGNEE},
    **dict.fromkeys(("task_cancelled", "task_reassigned", "task_edited", "task_labelled", "task_reopened"), _creator),
}


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    if sequenced.void is not None:
        return None
    change = CHANGES.get(type(sequenced.payload))
    reason = change(state, sequenced, sequenced.payload) if change else None
    if sequenced.event.actor.casefold() in state.held:
        state.heard[sequenced.event.actor.casefold()] = _heard(sequenced)
    return reason


def _heard(sequenced: SequencedEvent) -> Heard:
    event = sequenced.event
    written = next(iter(times_in(event.line)), event.timestamp)  # the event has the accepted time
    return Heard(event.timestamp, sequenced.position, written)


def _create(state: State, sequenced: SequencedEvent, new: events.TaskCreated) -> str | None:
    event = sequenced.event
    if len(state.tasks) - len(state.over) >= OPEN_MAX:
        return f"{OPEN_MAX} tasks are open already: finish or cancel some"
    if state.open_bytes + len(event.line) > OPEN_BYTES_MAX:
        return f"the open tasks hold {OPEN_BYTES_MAX >> 20} MiB already: keep long texts in files, and name the files"
    reason = state.full(event.actor, len(event.line)) if event.term is None else None
    if reason is not None:
        return reason
    twin = state.keyed(event.actor, new.key)
    if twin is not None:
        return f"{event.actor} created {twin[:8]} with the key {new.key!r} before"
    unknown = next((key for key in new.after_keys if state.keyed(event.actor, key) is None), None)
    if unknown is not None:
        return f"it would wait for the task with the key {unknown!r}, and {event.actor} created none before it"
    after = list(dict.fromkeys([*new.after, *(state.keyed(event.actor, key) or "" for key in new.after_keys)]))
    # A task waits only for tasks before it in the ledger, so there can be no cycle.
    unknown = next((uid for uid in after if uid not in state.tasks), None)
    if unknown is not None:
        return f"it would wait for {unknown[:8]}, and the ledger has no such task before it"
    waits = [uid for uid in after if state.tasks[uid].status != DONE]
    crowded = next((uid for uid in waits if len(state.dependants.get(uid, ())) >= DEPENDANTS_MAX), None)
    if crowded is not None:
        return f"{DEPENDANTS_MAX} tasks wait for {crowded[:8]} already: put a task in between that waits for it"
    task = Task(
        event.uid,
        new.title,
        event.timestamp,
        event.actor,
        CREATED if waits else READY,
        new.body,
        new.needs,
        new.priority,
        new.deadline if times.seconds(new.deadline or "") else None,
        after,
        new.attempts_max,
        new.timeout_s,
        new.agent,
        new.workflow.model_dump() if new.workflow else None,
        new.data,
        waits,
        "" if waits else event.timestamp,
        0 if waits else sequenced.position,
        size=len(event.line),
    )
    state.put(task)
    if new.key is not None:
        state.note_key(event.actor, new.key, task.id)
    return None


def _assign(state: State, sequenced: SequencedEvent, given: events.TaskAssigned) -> str | None:
    event = sequenced.event
    task = state.tasks.get(event.re or "")
    if task is None or event.type not in NEXT[task.status] or given.attempt != task.attempt + 1:
        return _not_so(task)
    state.give(task, given.agent, at=event.timestamp, position=sequenced.position, status=ASSIGNED, why=given.why)
    return None


def _claim(state: State, sequenced: SequencedEvent, claim: events.TaskClaimed) -> str | None:
    event = sequenced.event
    task = state.tasks.get(event.re or "")
    if task is None or event.type not in NEXT[task.status]:
        return _not_so(task)
    status = NEXT[task.status][event.type]
    if task.status == READY:
        state.give(task, event.actor, at=event.timestamp, position=sequenced.position, status=status)
    elif not same_agent(task.last.agent, event.actor):
        return describe(task)
    task.status = status
    _note_place(task, event, claim)
    return None


def _note_place(
    task: Task, event: Event, report: events.TaskClaimed | events.TaskAccepted | events.TaskStarted
) -> None:
    """Note where the agent works, so that the next one can go on there."""
    task.last.node = event.node
    task.last.place, task.last.branch = report.place or task.last.place, report.branch or task.last.branch
    revisions.note_work(task, report)


def _accept(state: State, sequenced: SequencedEvent, report: events.TaskAccepted) -> str | None:
    event = sequenced.event
    task, reason = _of_attempt(state, event, report.attempt)
    if task is not None:
        task.status = NEXT[task.status][event.type]
        _note_place(task, event, report)
    return reason


def _start(state: State, sequenced: SequencedEvent, report: events.TaskStarted) -> str | None:
    event = sequenced.event
    task, reason = _of_attempt(state, event, report.attempt)
    if task is not None:
        _begin(task, sequenced)
        _note_place(task, event, report)
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
        _again(state, task, "failed", sequenced, report.reason, counts=True)
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
            return _not_so(task)
        if report.only not in (None, task.status):
            return describe(task)
        if report.since is not None and state.heard[task.last.agent.casefold()].position > report.since:
            return f"{task.last.agent} wrote again in the meantime: {describe(task)}"
        reason, lost = None, report.lost and task.status != ASSIGNED
    if task is not None:
        outcome = "unaccepted" if report.only == ASSIGNED else "released"
        _again(state, task, outcome, sequenced, report.reason, counts=lost)
    return reason


def _again(state: State, task: Task, outcome: str, sequenced: SequencedEvent, reason: str, *, counts: bool) -> None:
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


def _reassign(state: State, sequenced: SequencedEvent, given: events.TaskReassigned) -> str | None:
    """Take the task from its agent, which is no failure, and give it to another, or to nobody."""
    event = sequenced.event
    task = state.tasks.get(event.re or "")
    if task is None or event.type not in NEXT[task.status] or given.attempt != task.attempt + 1:
        return _not_so(task)
    if given.agent is None and task.status == READY:
        return describe(task)
    if task.status in HELD:
        reason = f"taken back by {event.actor}" + (f": {given.reason}" if given.reason else "")
        _again(state, task, "released", sequenced, reason, counts=False)
    if given.agent is not None and task.status == READY:
        why = f"{event.actor} reassigned it" + (f": {given.reason}" if given.reason else "")
        state.give(
            task,
            given.agent,
            at=event.timestamp,
            position=sequenced.position,
            status=NEXT[READY][event.type],
            why=why[: task_state.REASON_KEPT],
        )
    return None


def _cancel(state: State, sequenced: SequencedEvent, report: events.TaskCancelled) -> str | None:
    event = sequenced.event
    task = state.tasks.get(event.re or "")
    if task is None or event.type not in NEXT[task.status]:
        return _not_so(task)
    if task.status in HELD:
        state.take_back(
            task,
            "cancelled",
            at=event.timestamp,
            position=sequenced.position,
            reason=report.reason[: task_state.REASON_KEPT],
        )
    task.reason = report.reason[: task_state.REASON_KEPT] or f"cancelled by {event.actor}"
    state.end(task, CANCELLED, at=event.timestamp, position=sequenced.position)
    return None


def _note_overdue(state: State, sequenced: SequencedEvent, _: events.TaskOverdue) -> str | None:
    event = sequenced.event
    task = state.tasks.get(event.re or "")
    if task is None or task.status in OVER:
        return _not_so(task)
    task.overdue = True
    state.dated.pop(task.id, None)
    return None


def _of_attempt(state: State, event: Event, number: int) -> tuple[Task | None, str | None]:
    """Return the task if the author has it and `number` is its current attempt, otherwise the reason for a void."""
    task = state.tasks.get(event.re or "")
    if task is None:
        return None, _not_so(None)
    if number > task.attempt:
        return None, f"there was no attempt {number} yet: {describe(task)}"
    attempt = task.attempts[number - 1]
    if number < task.attempt or task.status not in HELD:
        attempt.late = f"{event.type.removeprefix('task_')} at {event.timestamp}"
        return None, f"attempt {number} is over ({attempt.outcome}): {describe(task)}"
    return task, None


def _not_so(task: Task | None) -> str:
    return task_state.UNKNOWN if task is None else describe(task)


CHANGES: Mapping[type[BaseModel] | type[None], Callable[[State, SequencedEvent, Any], str | None]] = {
    events.TaskCreated: _create,
    events.TaskAssigned: _assign,
    events.TaskClaimed: _claim,
    events.TaskAccepted: _accept,
    events.TaskStarted: _start,
    events.TaskProgressed: _progress,
    events.TaskInputRequested: _ask_for_input,
    events.TaskFinished: _finish,
    events.TaskFailed: _fail,
    events.TaskReleased: _release,
    events.TaskReassigned: _reassign,
    events.TaskCancelled: _cancel,
    events.TaskOverdue: _note_overdue,
    **revisions.CHANGES,
}
