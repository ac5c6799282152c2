"""The fold of workflows: which are defined, which run, and which starts are requested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold import quotas
from gitcoord.core.fold.authority import Asked, Persons, Resolver, Whose, owned
from gitcoord.core.format.event import Event
from gitcoord.core.names import same_agent
from gitcoord.features import control
from gitcoord.features.tasks.events import TaskCreated
from gitcoord.features.tasks.state import DONE, FAILED
from gitcoord.features.workflows import events
from gitcoord.features.workflows.events import (
    WorkflowAutomated,
    WorkflowDefined,
    WorkflowFinished,
    WorkflowStarted,
    WorkflowStepEnded,
    WorkflowStepSkipped,
    WorkflowStopped,
)
from gitcoord.features.workflows.file import TASKS_MAX, WorkflowDefinition, condition_characters, faults
from gitcoord.features.workflows.runs import RUNNING, STOPPED, STOPPING, MadeTask, Run

DEFINED_MAX = 200
RUNS_MAX = 200  # open runs
KEPT_MAX = 100  # closed runs that are still known
ECHOES = frozenset({"error", "proposal_made", "proposal_lapsed", "alert_sent", "issue_updated"})
"""The leader writes these because of earlier events: a workflow that they start could start itself without end."""
REQUESTS_MAX = 100  # start requests that the leader has not handled yet
OWN = frozenset({*events.EVENTS, "task_created"})


@dataclass(slots=True)
class StartRequest:
    """A request to the leader to start a workflow."""

    name: str  # of the workflow
    by: str


@dataclass
class State:
    """`runs`: by id, oldest first. `start_requests`: by RequestId. `types`: event type → workflows that it starts."""

    runs: dict[str, Run] = field(default_factory=dict)
    defined: dict[str, WorkflowDefinition] = field(default_factory=dict)
    definers: dict[str, str] = field(default_factory=dict)  # workflow → who defined it first
    automated: dict[str, str] = field(default_factory=dict)  # workflow → type of event
    start_requests: dict[str, StartRequest] = field(default_factory=dict)

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
    word = control.word_in(sequenced, "workflow")
    if word is not None:
        reason = _carry_out(state, sequenced, word)
    echo = sequenced.event.term is not None and sequenced.event.type in ECHOES
    for name in state.types.get(sequenced.event.type, ()) if sequenced.role != "guest" and not echo else ():
        _request_start(state, sequenced.event, f"{sequenced.event.uid}.{name}", name)
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
        run.made.setdefault(key, MadeTask(event.uid, event.timestamp))


def _define(state: State, event: Event, definition: WorkflowDefinition) -> str | None:
    wrong = next(faults(definition), None)
    if wrong is not None:
        return wrong[1]
    name = definition.name
    if len(state.defined) >= DEFINED_MAX and name not in state.defined:
        return f"{DEFINED_MAX} workflows are defined already"
    own = [one for one, by in state.definers.items() if by == event.actor]
    if len(own) >= quotas.WORKFLOWS_DEFINED and name not in state.defined:
        return quotas.full(event.actor, "workflows defined", quotas.WORKFLOWS_DEFINED, "define one of these again")
    state.defined[name] = definition
    state.definers.setdefault(name, event.actor)
    return None


def _start(state: State, event: Event, payload: WorkflowStarted) -> str | None:
    definition, by = payload.definition, event.actor
    if payload.request is not None:
        if event.term is None:
            return "only the leader starts a requested workflow"
        request = state.start_requests.pop(payload.request, None)
        if request is None or request.name not in state.defined:
            return "no start of that workflow is requested"
        definition, by = state.defined[request.name], request.by
    assert definition is not None  # `WorkflowStarted` has a definition or a request
    wrong = next(faults(definition), None) if payload.request is None else None
    if wrong is not None:
        return wrong[1]
    running = [run for run in state.runs.values() if not run.over]
    if len(running) >= RUNS_MAX:
        return f"{RUNS_MAX} workflows run already"
    own, fix = [run.definition for run in running if run.by == by], "stop some, or wait for their end"
    if len(own) >= quotas.WORKFLOWS_RUNNING:
        return quotas.full(by, "workflows running", quotas.WORKFLOWS_RUNNING, fix)
    if sum(map(condition_characters, [definition, *own])) > quotas.CONDITION_CHARACTERS_RUNNING:
        return quotas.full(
            by, "characters of conditions in running workflows", quotas.CONDITION_CHARACTERS_RUNNING, fix
        )
    state.runs[event.uid] = Run(event.uid, definition, by, event.timestamp)
    return None


def _stop(state: State, event: Event, reason: str) -> str | None:
    run = state.runs.get(event.re or "")
    if run is None or run.status != RUNNING:
        return "this run is not running"
    run.status, run.reason = STOPPING, reason or f"{event.actor} stopped it"
    return None


def _automate(state: State, payload: WorkflowAutomated) -> str | None:
    if payload.on is not None and payload.name not in state.defined:
        return f"no workflow {payload.name!r} is defined"
    before = state.automated.pop(payload.name, None)
    if before is not None:
        state.types[before].remove(payload.name)
    if payload.on is None:
        return None if before else "this workflow does not start by itself"
    state.automated[payload.name] = payload.on
    state.types.setdefault(payload.on, []).append(payload.name)
    return None


def _carry_out(state: State, sequenced: SequencedEvent, word: control.ControlWord) -> str | None:
    """Carry out `*workflow:start NAME` or `*workflow:stop RUN` in a message. Return why it has no effect, or None."""
    event = sequenced.event
    if sequenced.role == "guest":
        return f"{event.actor} is a guest, and only members start or stop workflows"
    if word.verb == "start":
        return _request_start(state, event, event.uid, word.rest)
    if word.verb == "stop":
        found = [run for run in state.runs.values() if word.rest and run.id.startswith(word.rest)]
        if len(found) != 1 or found[0].status != RUNNING:
            return f"no run {word.rest!r} is running"
        if sequenced.role != "admin" and not same_agent(found[0].by, event.actor):
            return f"only an admin or {found[0].by}, who started it, may stop it"
        found[0].status, found[0].reason = STOPPING, f"{event.actor} stopped it"
    return None


def _request_start(state: State, event: Event, request: str, name: str) -> str | None:
    if name not in state.defined:
        return f"no workflow {name!r} is defined"
    if len(state.start_requests) >= REQUESTS_MAX:
        return f"{REQUESTS_MAX} starts of workflows are requested already"
    if sum(one.by == event.actor for one in state.start_requests.values()) >= quotas.WORKFLOWS_REQUESTED:
        return quotas.full(event.actor, "requested starts of workflows", quotas.WORKFLOWS_REQUESTED, "wait for them")
    state.start_requests[request] = StartRequest(name, event.actor)
    return None


def _note(
    state: State, event: Event, payload: WorkflowStepEnded | WorkflowStepSkipped | WorkflowFinished
) -> str | None:
    run = state.runs.get(event.re or "")
    if run is None or run.over:
        return "this run is closed, or there is none with this id"
    match payload:
        case WorkflowStepEnded():
            made = run.made.get(payload.key)
            if made is None or made.status:
                return "the end of this step is recorded already"
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
