"""Workflows: graphs of tasks; the leader makes a step's tasks when its turn has come, so a run outlives any agent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from gitcoord.core import values
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.fold import quotas
from gitcoord.core.fold.authority import Asked, Persons, Resolver, Whose, owned
from gitcoord.core.format.event import Event
from gitcoord.core.names import same_agent
from gitcoord.features import autonomy, control
from gitcoord.features.tasks.events import TaskCreated
from gitcoord.features.tasks.state import DONE, FAILED, OVER, Task
from gitcoord.features.workflows import commands as workflow_commands
from gitcoord.features.workflows import events
from gitcoord.features.workflows import runs as workflow_runs
from gitcoord.features.workflows.events import (
    WorkflowAutomated,
    WorkflowDefined,
    WorkflowFinished,
    WorkflowStarted,
    WorkflowStepEnded,
    WorkflowStepSkipped,
    WorkflowStopped,
)
from gitcoord.features.workflows.file import TASKS_MAX, Definition, condition_characters, faults
from gitcoord.features.workflows.runs import RUNNING, STOPPED, STOPPING, UNDO, WAITING, Made, Now, Run

DEFINED_MAX = 200
RUNS_MAX = 200  # open runs
KEPT_MAX = 100  # closed runs that are still known
ECHOES = frozenset({"error", "proposal_made", "proposal_lapsed", "alert_sent", "issue_updated"})
"""The leader writes these of what a start leads to: a workflow that starts after one would start itself without end."""
WISHES_MAX = 100  # to start one, that the leader has not seen yet

EVENTS = events.EVENTS
OWN = frozenset({*EVENTS, "task_created"})
AUTHORITY = events.AUTHORITY
COMMANDS = workflow_commands.COMMANDS


@dataclass(slots=True)
class Wished:
    """A start that somebody asked the leader for."""

    name: str  # of the workflow
    by: str


@dataclass
class State:
    """Runs by id, oldest first; `wishes` by what asked for a start. `types` follows: what each type of event starts."""

    runs: dict[str, Run] = field(default_factory=dict)
    defined: dict[str, Definition] = field(default_factory=dict)
    definers: dict[str, str] = field(default_factory=dict)  # workflow → who defined it first
    automated: dict[str, str] = field(default_factory=dict)  # workflow → type of event
    wishes: dict[str, Wished] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.types: dict[str, list[str]] = {}
        for name, type_ in self.automated.items():
            self.types.setdefault(type_, []).append(name)


def _author(state: State, asked: Asked, persons: Persons) -> Whose | None:
    """Return the agent that defined the workflow first; None for a new name, which any member may take."""
    definition = getattr(asked.payload, "definition", None)
    author = state.definers.get(definition.name if definition is not None else getattr(asked.payload, "name", ""))
    return owned(author, "who defined it") if author is not None else None


def _starter(state: State, asked: Asked, persons: Persons) -> Whose | None:
    run = state.runs.get(asked.re or "")
    return owned(run.by, "who started it") if run is not None else None


WHOSE: Mapping[str, Resolver] = {
    "workflow_defined": _author,
    "workflow_automated": _author,
    "workflow_stopped": _starter,
}


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    if sequenced.void is not None:
        return None
    own = sequenced.payload if sequenced.event.type in OWN else None
    reason = _fold_own(state, sequenced.event, own) if own is not None else None
    word = control.said(sequenced, "workflow")
    if word is not None:
        reason = _obey(state, sequenced, word)
    echo = sequenced.event.term is not None and sequenced.event.type in ECHOES
    for name in state.types.get(sequenced.event.type, ()) if sequenced.role != "guest" and not echo else ():
        _wish(state, sequenced.event, f"{sequenced.event.uid}.{name}", name)
    return reason


def _fold_own(state: State, event: Event, payload: BaseModel) -> str | None:
    match payload:
        case WorkflowDefined():
            return _define(state, event, payload.definition)
        case WorkflowStarted():
            return _start(state, event, payload)
        case WorkflowStopped():
            return _stop(state, event, payload.reason)
        case WorkflowAutomated():
            return _automate(state, payload)
        case TaskCreated() if payload.workflow is not None and event.term is not None:
            run = state.runs.get(payload.workflow.run)
            if run is not None and not run.over:
                _note_made(run, event, payload.workflow.step)
        case WorkflowStepEnded() | WorkflowStepSkipped() | WorkflowFinished():
            return _note(state, event, payload)
    return None


def _note_made(run: Run, event: Event, key: str) -> None:
    if len(run.made) < 2 * TASKS_MAX:  # a definition makes less than half of that
        run.made.setdefault(key, Made(event.uid, event.timestamp))


def _define(state: State, event: Event, definition: Definition) -> str | None:
    wrong = next(faults(definition), None)
    if wrong is not None:
        return wrong[1]
    name = definition.name
    if len(state.defined) >= DEFINED_MAX and name not in state.defined:
        return f"{DEFINED_MAX} workflows are defined already"
    mine = [one for one, by in state.definers.items() if by == event.actor]
    if len(mine) >= quotas.WORKFLOWS_DEFINED and name not in state.defined:
        return quotas.full(event.actor, "workflows defined", quotas.WORKFLOWS_DEFINED, "define one of these again")
    state.defined[name] = definition
    state.definers.setdefault(name, event.actor)
    return None


def _start(state: State, event: Event, payload: WorkflowStarted) -> str | None:
    definition, by = payload.definition, event.actor
    if payload.wish is not None:
        if event.term is None:
            return "only the leader starts a requested workflow"
        wished = state.wishes.pop(payload.wish, None)
        if wished is None or wished.name not in state.defined:
            return "nobody waits for that start"
        definition, by = state.defined[wished.name], wished.by
    assert definition is not None  # as its model says
    wrong = next(faults(definition), None) if payload.wish is None else None
    if wrong is not None:
        return wrong[1]
    running = [run for run in state.runs.values() if not run.over]
    if len(running) >= RUNS_MAX:
        return f"{RUNS_MAX} workflows run already"
    mine, cure = [run.definition for run in running if run.by == by], "stop some, or wait for their end"
    if len(mine) >= quotas.WORKFLOWS_RUNNING:
        return quotas.full(by, "workflows running", quotas.WORKFLOWS_RUNNING, cure)
    if sum(map(condition_characters, [definition, *mine])) > quotas.CONDITION_CHARACTERS_RUNNING:
        return quotas.full(
            by, "characters of conditions in running workflows", quotas.CONDITION_CHARACTERS_RUNNING, cure
        )
    state.runs[event.uid] = Run(event.uid, definition, by, event.timestamp)
    return None


def _stop(state: State, event: Event, reason: str) -> str | None:
    run = state.runs.get(event.re or "")
    if run is None or run.status != RUNNING:
        return "it does not run"
    run.status, run.reason = STOPPING, reason or f"{event.actor} stopped it"
    return None


def _automate(state: State, payload: WorkflowAutomated) -> str | None:
    if payload.on is not None and payload.name not in state.defined:
        return f"no workflow {payload.name!r} is defined"
    before = state.automated.pop(payload.name, None)
    if before is not None:
        state.types[before].remove(payload.name)
    if payload.on is None:
        return None if before else "it does not start by itself"
    state.automated[payload.name] = payload.on
    state.types.setdefault(payload.on, []).append(payload.name)
    return None


def _obey(state: State, sequenced: SequencedEvent, word: control.Word) -> str | None:
    """Obey `*workflow:start NAME` and `*workflow:stop RUN` in a conversation. AUTHORITY says which members may."""
    event = sequenced.event
    if sequenced.role == "guest":
        return f"{event.actor} is a guest, and guests bind no member"
    if word.verb == "start":
        return _wish(state, event, event.uid, word.rest)
    if word.verb == "stop":
        found = [run for run in state.runs.values() if word.rest and run.id.startswith(word.rest)]
        if len(found) != 1 or found[0].status != RUNNING:
            return f"no workflow {word.rest!r} runs"
        if sequenced.role != "admin" and not same_agent(found[0].by, event.actor):
            return f"only an admin or {found[0].by}, who started it, may stop it"
        found[0].status, found[0].reason = STOPPING, f"{event.actor} stopped it"
    return None


def _wish(state: State, event: Event, wish: str, name: str) -> str | None:
    if name not in state.defined:
        return f"no workflow {name!r} is defined"
    if len(state.wishes) >= WISHES_MAX:
        return f"{WISHES_MAX} workflows wait for their start already"
    if sum(one.by == event.actor for one in state.wishes.values()) >= quotas.WORKFLOWS_WISHED:
        return quotas.full(event.actor, "workflows waiting for their start", quotas.WORKFLOWS_WISHED, "wait for these")
    state.wishes[wish] = Wished(name, event.actor)
    return None


def _note(
    state: State, event: Event, payload: WorkflowStepEnded | WorkflowStepSkipped | WorkflowFinished
) -> str | None:
    run = state.runs.get(event.re or "")
    if run is None or run.over:
        return "that run is over"
    match payload:
        case WorkflowStepEnded():
            made = run.made.get(payload.key)
            if made is None or made.status:
                return "that is known"
            made.status, made.result, made.until = payload.status, payload.result, payload.until
        case WorkflowStepSkipped():
            run.skipped.setdefault(payload.step, payload.reason)
        case WorkflowFinished():
            run.status = payload.status if payload.status in (DONE, FAILED, STOPPED) else FAILED
            run.until, run.reason = event.timestamp, payload.reason
            over = [one.id for one in state.runs.values() if one.over]
            for uid in over[:-KEPT_MAX]:
                del state.runs[uid]
    return None


# Duties


def duty(state: State, ctx: Context) -> Iterator[Duty]:
    tasks: Mapping[str, Task] = ctx.state("tasks").tasks
    for wish, one in state.wishes.items():
        if one.name in state.defined:
            wanted = Duty("workflow_started", f"{one.name} starts", f"workflow:{wish}", {"wish": wish})
            yield from autonomy.gate(ctx, "workflow", wanted)
    for run in state.runs.values():
        if not run.over:
            yield from _go_on(run, tasks)


def _go_on(run: Run, tasks: Mapping[str, Task]) -> Iterator[Duty]:
    """Yield the next duties of a run. All of them are repeated until the ledger holds them."""
    yield from _ends(run, tasks)
    steps = workflow_runs.stand(run, tasks)
    if run.status == RUNNING:
        turns = list(workflow_runs.due(run, steps))
        for name, skip in turns:
            if skip:
                yield Duty(
                    "workflow_step_skipped",
                    f"{run.definition.name}: {name} is skipped",
                    f"wf:{run.id}:{name}",
                    {"step": name, "reason": skip[:2000]},
                    re=run.id,
                )
            else:
                yield from _tasks(run, name, steps)
        if turns or any(now.status in (WAITING, "running") for now in steps.values()):
            return
    else:
        yield from _cancellations(run, tasks)
        if any(workflow_runs.ended(made, tasks) is None for made in run.made.values()):
            return
    yield from _end(run, steps, tasks)


def _ends(run: Run, tasks: Mapping[str, Task]) -> Iterator[Duty]:
    for key, made in run.made.items():
        end = workflow_runs.ended(made, tasks)
        if not made.status and end is not None:
            yield Duty(
                "workflow_step_ended",
                f"{run.definition.name}: {key} is {end[0]}",
                f"wf-end:{run.id}:{key}",
                {"key": key, "status": end[0], "result": end[1], "until": end[2]},
                re=run.id,
            )


def _tasks(run: Run, name: str, steps: Mapping[str, Now]) -> Iterator[Duty]:
    step = run.definition.steps[name]
    for number, item in enumerate(workflow_runs.items(step, steps)):
        key = f"{name}#{number}" if step.for_each is not None else name
        yield _task(run, key, workflow_runs.task_of(run, key, step, item, steps))


def _task(run: Run, key: str, data: Mapping[str, Any]) -> Duty:
    return Duty("task_created", str(data["title"]), f"wf-task:{run.id}:{key}", data)


def _cancellations(run: Run, tasks: Mapping[str, Task]) -> Iterator[Duty]:
    for key, made in run.made.items():
        if not key.startswith(UNDO) and made.task in tasks and tasks[made.task].status not in OVER:
            yield Duty(
                "task_cancelled",
                f"{tasks[made.task].title!r} is cancelled: its workflow is stopped",
                f"wf-cancel:{made.task}",
                {"reason": f"its workflow is stopped: {run.reason}"},
                re=made.task,
            )


def _end(run: Run, steps: Mapping[str, Now], tasks: Mapping[str, Task]) -> Iterable[Duty]:
    """End the run. If it failed or was stopped, compensate the finished steps first, one after the other."""
    failed = workflow_runs.failed(run, steps)
    if failed or run.status == STOPPING:
        for name in workflow_runs.to_undo(run, steps):
            made, undo = run.made.get(UNDO + name), run.definition.steps[name].undo
            if made is None and undo is not None:
                return [_task(run, UNDO + name, workflow_runs.task_of(run, UNDO + name, undo, "", steps))]
            if made is not None and workflow_runs.ended(made, tasks) is None:
                return []
    status = STOPPED if run.status == STOPPING else FAILED if failed else DONE
    reason = run.reason if run.status == STOPPING else f"{', '.join(failed)} failed"[:500] if failed else ""
    return [
        Duty(
            "workflow_finished",
            f"{run.definition.name} is {status}",
            f"wf-over:{run.id}",
            {"status": status, "reason": reason},
            re=run.id,
        )
    ]


def dump(state: State) -> Any:
    return values.dump(state)


def load(value: Any) -> State:
    return values.load(State, value)
