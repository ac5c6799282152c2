"""Commands and queries about workflows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from gitcoord.core import times
from gitcoord.core.commands import FROM_FILE, Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fields import GIVEN_CHARS_MAX, Given, Words
from gitcoord.core.lookup import find
from gitcoord.core.names import EVENT_TYPE
from gitcoord.features.agents import dependencies
from gitcoord.features.tasks.state import DONE
from gitcoord.features.workflows import file as workflow_file
from gitcoord.features.workflows import runs as workflow_runs
from gitcoord.features.workflows.file import WorkflowDefinition
from gitcoord.features.workflows.runs import RUNNING, SKIPPED, UNDO, Run

FILE = Field(
    max_length=workflow_file.FILE_BYTES_MAX, description="A workflow file, YAML or TOML", json_schema_extra=FROM_FILE
)
RUN = Field(max_length=GIVEN_CHARS_MAX, description="Run id, its beginning, or its event's position")


class WorkflowFile(Arguments):
    file: str = FILE


class StartWorkflow(Arguments):
    workflow: str = Field(
        max_length=workflow_file.FILE_BYTES_MAX,
        description="A workflow file, or the name of a defined workflow",
        json_schema_extra=FROM_FILE,
    )


class StopWorkflow(Arguments):
    run: str = RUN
    why: Words = Field("", description="The reason, shown to other agents")


class AutomateWorkflow(Arguments):
    name: Given = Field(description="The name of a defined workflow")
    on: Given | None = Field(None, description="The event type that starts it (default: none, stop starting it)")


class ListRuns(Arguments):
    all: bool = Field(False, description="Include closed runs")


class WorkflowStatus(Arguments):
    run: Given | None = Field(None, description="Run id, its beginning, or its event's position (default: all runs)")


def check(ctx: Context, args: WorkflowFile) -> dict[str, Any]:
    found = workflow_file.read(args.file)
    layers = dependencies.layers({name: step.after for name, step in found.steps.items()}, found.steps)
    return {"name": found.name, "about": found.about, "steps": len(found.steps), "order": layers}


def define(ctx: Context, args: WorkflowFile) -> list[NewEvent]:
    found = workflow_file.read(args.file)
    return [NewEvent("workflow_defined", f"{ctx.actor} defines {found.name}", {"definition": _plain(found)})]


def start(ctx: Context, args: StartWorkflow) -> list[NewEvent]:
    defined: Mapping[str, WorkflowDefinition] = ctx.state("workflows").defined
    found = defined.get(args.workflow)
    if found is None:
        if "\n" not in args.workflow:
            known = f"defined workflows are {', '.join(defined)}" if defined else "no workflow is defined"
            raise Refused(f"there is no file and no workflow {args.workflow!r}: {known}")
        found = workflow_file.read(args.workflow)
    return [NewEvent("workflow_started", f"{ctx.actor} starts {found.name}", {"definition": _plain(found)})]


def _plain(definition: WorkflowDefinition) -> dict[str, Any]:
    value: dict[str, Any] = definition.model_dump(mode="json", exclude_defaults=True)
    return value


def stop(ctx: Context, args: StopWorkflow) -> list[NewEvent]:
    run = _named(ctx, args.run)
    if run.status != RUNNING:
        raise Refused(f"{run.definition.name} is {run.status}: only a running workflow can be stopped")
    return [NewEvent("workflow_stopped", f"{ctx.actor} stops {run.definition.name}", {"reason": args.why}, re=run.id)]


def auto(ctx: Context, args: AutomateWorkflow) -> list[NewEvent]:
    if args.name not in ctx.state("workflows").defined:
        raise Refused(f"no workflow {args.name!r} is defined: run `gitcoord workflow define FILE` first")
    if args.on is not None and not EVENT_TYPE.match(args.on):
        raise Refused(f"{args.on!r} is not an event type: use a-z, 0-9 and _")
    words = f"{args.name} starts after each {args.on}" if args.on else f"{args.name} no longer starts by itself"
    return [NewEvent("workflow_automated", words, {"name": args.name, "on": args.on})]


def _named(ctx: Context, text: str) -> Run:
    runs: Mapping[str, Run] = ctx.state("workflows").runs
    return runs[find(ctx, runs, text, "run of a workflow", shown_by="workflow list --all")]


def list_(ctx: Context, args: ListRuns) -> list[dict[str, Any]]:
    return [row(ctx, run) for run in ctx.state("workflows").runs.values() if args.all or not run.over]


def defined(ctx: Context, args: Arguments) -> list[dict[str, Any]]:
    state = ctx.state("workflows")
    return [
        {"name": one.name, "steps": len(one.steps), "on": state.automated.get(one.name), "about": one.about}
        for one in state.defined.values()
    ]


def row(ctx: Context, run: Run) -> dict[str, Any]:
    """Return a run as one row. `complete`: the share of its closed steps."""
    steps = workflow_runs.step_statuses(run, ctx.state("tasks").tasks)
    over = sum(now.status in (DONE, "failed", SKIPPED) for now in steps.values())
    return {
        "id": run.id,
        "name": run.definition.name,
        "status": run.status,
        "by": run.by,
        "since": run.since,
        "complete": round(over / len(steps), 3),
        "bottleneck": _bottleneck(ctx, run),
        "reason": run.reason,
    }


def status(ctx: Context, args: WorkflowStatus) -> dict[str, Any]:
    if args.run is None:
        return _overall(ctx)
    run = _named(ctx, args.run)
    steps = workflow_runs.step_statuses(run, ctx.state("tasks").tasks)
    return {
        **row(ctx, run),
        "until": run.until or None,
        "steps": [
            {
                "step": name,
                "status": now.status,
                "tasks": now.tasks,
                "done": now.done,
                "took_s": _took_s(ctx, now.since, now.until),
                "after": run.definition.steps[name].after,
                "result": now.result[:500],
            }
            for name, now in steps.items()
        ],
        "undone": [key.removeprefix(UNDO) for key in run.made if key.startswith(UNDO)],
    }


def _overall(ctx: Context) -> dict[str, Any]:
    """Return counts and rates of the known runs: all open ones, and the newest closed ones."""
    runs: Sequence[Run] = list(ctx.state("workflows").runs.values())
    over = [run for run in runs if run.over]
    counts = {
        status: sum(run.status == status for run in runs)
        for status in ("running", "stopping", "done", "failed", "stopped")
    }
    slow = [found for run in runs if (found := _bottleneck(ctx, run)) is not None]
    return {
        **counts,
        "completion_rate": round(counts["done"] / len(over), 3) if over else None,
        "bottleneck": max(slow, key=lambda one: float(one["took_s"])) if slow else None,
    }


def _bottleneck(ctx: Context, run: Run) -> dict[str, Any] | None:
    """Return the slowest step so far, with its seconds; None if no step has started."""
    took = [
        (name, _took_s(ctx, now.since, now.until))
        for name, now in workflow_runs.step_statuses(run, ctx.state("tasks").tasks).items()
        if now.since
    ]
    if not took:
        return None
    name, seconds = max(took, key=lambda one: one[1] or 0.0)
    return {"workflow": run.definition.name, "step": name, "took_s": seconds}


def _took_s(ctx: Context, since: str, until: str) -> float | None:
    return round(max(0.0, times.between_s(since, until or ctx.now)), 1) if since else None


_MADE = ("gitcoord workflow define examples/release.yaml",)

COMMANDS: Mapping[str, Command | Query] = {
    "workflow start": Command(
        help="Start a workflow",
        example="gitcoord workflow start examples/release.yaml",
        arguments=StartWorkflow,
        decide=start,
        positional=("workflow",),
        tool="fleet_update",
        answer=lambda ctx, uid: {"run": row(ctx, ctx.state("workflows").runs[uid])},
    ),
    "workflow stop": Command(
        help="Stop a run: cancel open tasks, compensate finished ones",
        arguments=StopWorkflow,
        decide=stop,
        example="gitcoord workflow stop 3",
        before=("gitcoord workflow start examples/release.yaml",),
        positional=("run",),
        destructive=True,
        tool="fleet_update",
    ),
    "workflow status": Query(
        help="Show the progress of a run, or of all runs, and their slowest steps",
        example="gitcoord workflow status",
        arguments=WorkflowStatus,
        ask=status,
        positional=("run",),
        tool="fleet_show",
    ),
    "workflow list": Query(
        help="List runs",
        example="gitcoord workflow list --all",
        arguments=ListRuns,
        ask=list_,
        columns=("id", "name", "status", "complete", "since", "reason"),
        tool="fleet_show",
    ),
    "workflow check": Query(
        help="Check a workflow file, and show the order of its steps",
        example="gitcoord workflow check examples/release.yaml",
        arguments=WorkflowFile,
        ask=check,
        positional=("file",),
    ),
    "workflow define": Command(
        help="Define a workflow, to start it by its name",
        example="gitcoord workflow define examples/release.yaml",
        arguments=WorkflowFile,
        decide=define,
        positional=("file",),
        idempotent=True,
    ),
    "workflow defined": Query(
        help="List defined workflows",
        example="gitcoord workflow defined",
        arguments=Arguments,
        ask=defined,
        columns=("name", "steps", "on", "about"),
        before=_MADE,
        tool="fleet_show",
    ),
    "workflow auto": Command(
        help="Start a workflow automatically after events of a type, or stop doing so",
        arguments=AutomateWorkflow,
        decide=auto,
        example="gitcoord workflow auto release --on merged",
        before=_MADE,
        positional=("name",),
        idempotent=True,
    ),
}
