"""The leader's part in workflows: it creates the tasks of each step that is due, and ends runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.features import autonomy
from gitcoord.features.tasks.state import DONE, FAILED, OVER, Task
from gitcoord.features.workflows import runs as workflow_runs
from gitcoord.features.workflows.runs import RUNNING, STOPPED, STOPPING, UNDO, WAITING, Run, StepStatus
from gitcoord.features.workflows.state import State


def duty(state: State, ctx: Context) -> Iterator[Duty]:
    tasks: Mapping[str, Task] = ctx.state("tasks").tasks
    for request, one in state.start_requests.items():
        if one.name in state.defined:
            wanted = Duty("workflow_started", f"{one.name} starts", f"workflow:{request}", {"request": request})
            yield from autonomy.gate(ctx, "workflow", wanted)
    for run in state.runs.values():
        if not run.over:
            yield from _go_on(run, tasks)


def _go_on(run: Run, tasks: Mapping[str, Task]) -> Iterator[Duty]:
    """Yield the next duties of a run. Each is repeated until the ledger has it."""
    yield from _ends(run, tasks)
    steps = workflow_runs.step_statuses(run, tasks)
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


def _tasks(run: Run, name: str, steps: Mapping[str, StepStatus]) -> Iterator[Duty]:
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


def _end(run: Run, steps: Mapping[str, StepStatus], tasks: Mapping[str, Task]) -> Iterable[Duty]:
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
