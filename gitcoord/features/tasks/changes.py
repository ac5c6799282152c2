"""How each event changes a task. `attempts.py` has what its agent reports, `revisions.py` what people change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from gitcoord.core import times
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold.authority import ASSIGNEE, Asked, Persons, Resolver, Whose, owned
from gitcoord.core.format.raw_line import times_in
from gitcoord.core.names import same_agent
from gitcoord.features.tasks import attempts, events, revisions
from gitcoord.features.tasks import state as task_state
from gitcoord.features.tasks.state import (
    ASSIGNED,
    CANCELLED,
    CREATED,
    DEPENDANTS_MAX,
    DONE,
    HELD,
    OPEN_BYTES_MAX,
    OPEN_MAX,
    OVER,
    READY,
    Heard,
    State,
    Task,
    describe,
)


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
    ended = isinstance(sequenced.payload, events.TaskProgressed) and sequenced.payload.session_ended
    return Heard(event.timestamp, sequenced.position, written, ended)


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
    if task is None or event.type not in attempts.NEXT[task.status] or given.attempt != task.attempt + 1:
        return attempts.not_so(task)
    state.give(task, given.agent, at=event.timestamp, position=sequenced.position, status=ASSIGNED, why=given.why)
    return None


def _claim(state: State, sequenced: SequencedEvent, claim: events.TaskClaimed) -> str | None:
    event = sequenced.event
    task = state.tasks.get(event.re or "")
    if task is None or event.type not in attempts.NEXT[task.status]:
        return attempts.not_so(task)
    status = attempts.NEXT[task.status][event.type]
    if task.status == READY:
        state.give(task, event.actor, at=event.timestamp, position=sequenced.position, status=status)
    elif not same_agent(task.last.agent, event.actor):
        return describe(task)
    task.status = status
    attempts.note_place(task, event, claim)
    return None


def _reassign(state: State, sequenced: SequencedEvent, given: events.TaskReassigned) -> str | None:
    """Take the task from its agent, which is no failure, and give it to another, or to nobody."""
    event = sequenced.event
    task = state.tasks.get(event.re or "")
    if task is None or event.type not in attempts.NEXT[task.status] or given.attempt != task.attempt + 1:
        return attempts.not_so(task)
    if given.agent is None and task.status == READY:
        return describe(task)
    if task.status in HELD:
        reason = f"taken back by {event.actor}" + (f": {given.reason}" if given.reason else "")
        attempts.again(state, task, "released", sequenced, reason, counts=False)
    if given.agent is not None and task.status == READY:
        why = f"{event.actor} reassigned it" + (f": {given.reason}" if given.reason else "")
        state.give(
            task,
            given.agent,
            at=event.timestamp,
            position=sequenced.position,
            status=attempts.NEXT[READY][event.type],
            why=why[: task_state.REASON_KEPT],
        )
    return None


def _cancel(state: State, sequenced: SequencedEvent, report: events.TaskCancelled) -> str | None:
    event = sequenced.event
    task = state.tasks.get(event.re or "")
    if task is None or event.type not in attempts.NEXT[task.status]:
        return attempts.not_so(task)
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
        return attempts.not_so(task)
    task.overdue = True
    state.dated.pop(task.id, None)
    return None


CHANGES: Mapping[type[BaseModel] | type[None], Callable[[State, SequencedEvent, Any], str | None]] = {
    events.TaskCreated: _create,
    events.TaskAssigned: _assign,
    events.TaskClaimed: _claim,
    events.TaskReassigned: _reassign,
    events.TaskCancelled: _cancel,
    events.TaskOverdue: _note_overdue,
    **attempts.CHANGES,
    **revisions.CHANGES,
}
