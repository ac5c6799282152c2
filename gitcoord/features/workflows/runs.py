"""A run of a workflow: the tasks of its steps, how they ended, and the steps that are due."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gitcoord.core.fields import as_name
from gitcoord.features.tasks.state import CANCELLED, DONE, FAILED, OVER, Task
from gitcoord.features.workflows import step_conditions
from gitcoord.features.workflows.file import ITEMS_MAX, PLACES, StepTask, WorkflowDefinition, WorkflowStep

RUNNING, STOPPING, STOPPED = "running", "stopping", "stopped"
WAITING, SKIPPED = "waiting", "skipped"
UNDO = "undo:"  # before the name of a step: the task that compensates it
RESULT_MAX = 4000  # characters of a step's result that other steps can use


@dataclass(slots=True)
class MadeTask:
    """A task that was created for a step. `status` is empty until the leader has recorded how it ended."""

    task: str
    since: str
    status: str = ""
    result: str = ""
    until: str = ""


@dataclass(slots=True)
class Run:
    """One run of a workflow. `made`: tasks by `step`, `step#2` for the third item of a fan-out, or `undo:step`."""

    id: str
    definition: WorkflowDefinition
    by: str
    since: str
    status: str = RUNNING  # running, stopping, done, failed, stopped
    until: str = ""
    reason: str = ""
    made: dict[str, MadeTask] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # step → why

    @property
    def over(self) -> bool:
        return self.status in (DONE, FAILED, STOPPED)


@dataclass(frozen=True, slots=True)
class StepStatus:
    """The present status of a step, from its recorded tasks and their status."""

    status: str  # waiting, running, done, failed, skipped
    result: str = ""
    since: str = ""
    until: str = ""
    tasks: int = 0
    done: int = 0


def ended(made: MadeTask, tasks: Mapping[str, Task]) -> tuple[str, str, str] | None:
    """Return a step's task as (status, result or reason, time of its end); None while it is open."""
    if made.status:
        return made.status, made.result, made.until
    task = tasks.get(made.task)
    if task is None:
        return FAILED, "its task is not known any more (only the newest closed tasks are kept)", made.since
    if task.status not in OVER:
        return None
    return task.status, (task.result if task.status == DONE else task.reason)[:RESULT_MAX], task.over


def step_statuses(run: Run, tasks: Mapping[str, Task]) -> dict[str, StepStatus]:
    """Return the present status of each step, by its name."""
    made: dict[str, list[MadeTask]] = {}
    for key, one in run.made.items():
        made.setdefault(key.partition("#")[0], []).append(one)
    return {name: _status_of(run, name, made.get(name, []), tasks) for name in run.definition.steps}


def _status_of(run: Run, name: str, made_tasks: Sequence[MadeTask], tasks: Mapping[str, Task]) -> StepStatus:
    if name in run.skipped:
        return StepStatus(SKIPPED, run.skipped[name])
    if not made_tasks:
        return StepStatus(WAITING)
    ends = [one for one in (ended(made, tasks) for made in made_tasks) if one is not None]
    since, done = min(made.since for made in made_tasks), sum(status == DONE for status, _, _ in ends)
    if len(ends) < len(made_tasks):
        return StepStatus("running", "", since, "", len(made_tasks), done)
    failed = next((result for status, result, _ in ends if status in (FAILED, CANCELLED)), None)
    status = DONE if failed is None else FAILED
    result = "\n".join(result for _, result, _ in ends) if failed is None else failed
    return StepStatus(status, result[:RESULT_MAX], since, max(until for _, _, until in ends), len(made_tasks), done)


def due(run: Run, steps: Mapping[str, StepStatus]) -> Iterator[tuple[str, str]]:
    """Yield the steps that are due, each with the reason to skip it ("": it starts)."""
    for name, step in run.definition.steps.items():
        before = [steps[other] for other in step.after]
        if steps[name].status != WAITING or any(one.status in (WAITING, "running") for one in before):
            continue
        if step.when is not None:
            try:
                is_met = step_conditions.is_met(
                    step.when, {key: (one.status, one.result) for key, one in steps.items()}
                )
            except ValueError:
                is_met = False
            yield name, "" if is_met else f"its condition is not met: {step.when}"
            continue
        broken = [other for other in step.after if not _is_good(run.definition.steps[other], steps[other])]
        if broken:
            yield name, f"{', '.join(broken)} {'was skipped' if steps[broken[0]].status == SKIPPED else 'failed'}"
        else:
            yield name, "" if items(step, steps) else "its list of items is empty"


def _is_good(step: WorkflowStep, now: StepStatus) -> bool:
    return now.status == DONE or (now.status == FAILED and step.optional)


def failed(run: Run, steps: Mapping[str, StepStatus]) -> list[str]:
    """Return the steps whose failure fails the run, without steps that another step's condition handles."""
    answered = {
        other
        for step in run.definition.steps.values()
        if step.when is not None
        for other in step_conditions.condition_names(step.when)
    }
    return [
        name
        for name, now in steps.items()
        if now.status == FAILED and not run.definition.steps[name].optional and name not in answered
    ]


def to_undo(run: Run, steps: Mapping[str, StepStatus]) -> list[str]:
    """Return the steps to compensate, the last finished one first."""
    done = [name for name, now in steps.items() if now.status == DONE and run.definition.steps[name].undo is not None]
    return sorted(reversed(done), key=lambda name: steps[name].until, reverse=True)


def items(step: WorkflowStep, steps: Mapping[str, StepStatus]) -> list[str]:
    """Return the items of the step, one for each task; one empty item if it is not a fan-out."""
    if step.for_each is None:
        return [""]
    if isinstance(step.for_each, list):
        return step.for_each
    lines = steps[step.for_each.removesuffix(".result")].result.split("\n")
    return [line.strip() for line in lines if line.strip()][:ITEMS_MAX]


def filled(text: str, item: str, steps: Mapping[str, StepStatus]) -> str:
    """Return `text` with `{item}` and `{step.result}` filled in."""

    def value(found: re.Match[str]) -> str:
        if found[1] is None:
            return item
        return steps[found[1]].result if found[1] in steps else found[0]

    return PLACES.sub(value, text)


def task_of(run: Run, key: str, work: StepTask, item: str, steps: Mapping[str, StepStatus]) -> dict[str, object]:
    """Return the payload of `TaskCreated` for a step, or for the task that compensates it (`work`)."""
    step = work if isinstance(work, WorkflowStep) else None
    return {
        "title": as_name(filled(work.title, item, steps)),
        "body": filled(work.body, item, steps)[:16_000],
        "needs": list(work.needs),
        "priority": work.priority,
        "agent": work.agent,
        "attempts_max": step.retries + 1 if step else 3,
        "timeout_s": step.timeout if step else None,
        "workflow": {"run": run.id, "step": key},
        "data": {"item": item} if item else {},
    }
