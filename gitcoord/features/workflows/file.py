"""A workflow's file: steps in YAML or TOML, checked as a whole before the start; an error names its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from gitcoord.core.errors import Refused
from gitcoord.core.fields import FREE, NAMED, Agent, Payload, Span, Words
from gitcoord.features import numbered_lines
from gitcoord.features.agents import dependencies
from gitcoord.features.tasks.events import ATTEMPTS_MAX, TIMEOUT_S_MAX
from gitcoord.features.typed import Capabilities, Priority
from gitcoord.features.workflows.step_conditions import condition_names

FILE_BYTES_MAX = 40_000  # it goes into one event
STEPS_MAX = 100
CONDITION_CHARS_MAX = 1000
ITEMS_MAX = 100  # per fan-out
TASKS_MAX = 1000  # per run: the leader checks all of them at every tick
PLACES = re.compile(r"\{(?:item|([a-z][a-z0-9_]*)\.result)\}")  # {item} has no name
PLACES_MAX = 20  # in one text: the results that are filled in may be long

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
StepName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]  # conditions use it as a name
Item = Annotated[str, Field(max_length=200), NAMED]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


StepNames = Annotated[list[StepName], BeforeValidator(_listed), Field(max_length=STEPS_MAX)]


class StepTask(Payload):
    """A step's task. `{item}` and `{step.result}` in title and body are filled in when it starts."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=150), NAMED]
    body: Annotated[str, Field(max_length=8000), FREE] = ""
    needs: Annotated[Capabilities, BeforeValidator(_listed)] = []
    priority: Priority = "MEDIUM"
    agent: Agent | None = None


class WorkflowStep(StepTask):
    """A step. `when`: a condition, instead of "all earlier steps are done". `undo`: the task that compensates it."""

    after: StepNames = []
    when: Annotated[str, Field(max_length=CONDITION_CHARS_MAX), NAMED] | None = None
    for_each: Annotated[list[Item], Field(max_length=ITEMS_MAX)] | Item | None = None
    retries: int = Field(2, ge=0, lt=ATTEMPTS_MAX)
    timeout: Annotated[Span, Field(le=TIMEOUT_S_MAX)] | None = None
    optional: bool = False
    undo: StepTask | None = None


class WorkflowDefinition(Payload):
    """A graph of steps by name."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    about: Words = ""
    steps: dict[StepName, WorkflowStep] = Field(min_length=1, max_length=STEPS_MAX)


def read(text: str) -> WorkflowDefinition:
    """Parse a workflow file. Raise Refused, with the line number of the first mistake."""
    if len(text.encode("utf-8", "surrogatepass")) > FILE_BYTES_MAX:
        raise Refused(f"a workflow file has at most {FILE_BYTES_MAX} bytes: move long texts to other files")
    value, lines = numbered_lines.read(text, "a workflow's file")
    try:
        definition = WorkflowDefinition.model_validate(value)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False)
        # A mistyped field is also a missing one: the first error helps more.
        first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
        place = [part for part in first["loc"] if part != "[key]" and not str(part).startswith(("function-", "list["))]
        fields = (
            WorkflowDefinition.model_fields
            if len(place) < 2
            else StepTask.model_fields
            if "undo" in place[2:-1]
            else WorkflowStep.model_fields
        )
        unknown = f"there is no such field; there are: {', '.join(fields)}"
        reason = unknown if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise numbered_lines.at(lines, place, reason) from None
    for place, reason in faults(definition):
        raise numbered_lines.at(lines, place, reason)
    return definition


def faults(definition: WorkflowDefinition) -> Iterator[tuple[list[str | int], str]]:
    """Yield the mistakes that no single field shows, as (path, reason): in references, cycles, the number of tasks."""
    steps = definition.steps
    if sum(_tasks(step) for step in steps.values()) > TASKS_MAX:
        yield (
            ["steps"],
            f"its steps can make more than {TASKS_MAX} tasks: split it into workflows that start each other",
        )
    for name, step in steps.items():
        for other in step.after:
            if other not in steps:
                yield ["steps", name, "after"], f"no step {other!r}; there are: {', '.join(steps)}"
    before = _before(steps)
    for name, step in steps.items():
        if name not in before:
            path = dependencies.cycle({name: step.after for name, step in steps.items()}, name)
            if path:
                yield ["steps", name, "after"], f"the steps wait for each other: {' → '.join(reversed(path))}"
                return
        yield from _references(name, step, before.get(name, frozenset()))


def _tasks(step: WorkflowStep) -> int:
    """Return how many tasks a step can make, with the one that compensates it."""
    items = len(step.for_each) if isinstance(step.for_each, list) else 1 if step.for_each is None else ITEMS_MAX
    return items + (step.undo is not None)


def _before(steps: Mapping[str, WorkflowStep]) -> dict[str, frozenset[str]]:
    """Return all predecessors of each step, direct or not, without steps that wait for each other."""
    before: dict[str, frozenset[str]] = {}
    waiting = {name: {other for other in step.after if other in steps} for name, step in steps.items()}
    dependants: dict[str, list[str]] = {}
    for name, others in waiting.items():
        for other in others:
            dependants.setdefault(other, []).append(name)
    free = [name for name, others in waiting.items() if not others]
    for name in free:  # grows
        after = {other for other in steps[name].after if other in steps}
        before[name] = frozenset(after).union(*(before[other] for other in after))
        for later in dependants.get(name, ()):
            waiting[later].discard(name)
            if not waiting[later]:
                free.append(later)
    return before


def _references(name: str, step: WorkflowStep, before: Set[str]) -> Iterator[tuple[list[str | int], str]]:
    for field, text in (("title", step.title), ("body", step.body)):
        used = PLACES.findall(text)
        if len(used) > PLACES_MAX:
            yield ["steps", name, field], f"more than {PLACES_MAX} placeholders"
        for other in dict.fromkeys(used):
            if other and other not in before:
                reason = f"{{{other}.result}} is not available: {name!r} is not after {other!r}"
                yield ["steps", name, field], reason
    if step.undo is not None and len(PLACES.findall(step.undo.title + step.undo.body)) > PLACES_MAX:
        yield ["steps", name, "undo"], f"more than {PLACES_MAX} placeholders"
    if isinstance(step.for_each, str) and step.for_each.removesuffix(".result") not in before:
        yield (
            ["steps", name, "for_each"],
            "give a list, or STEP.result of an earlier step: one task for each of its lines",
        )
    if step.when is not None:
        try:
            unknown = [one for one in condition_names(step.when) if one not in before]
        except ValueError as wrong:
            yield ["steps", name, "when"], str(wrong)
            return
        for other in sorted(unknown):
            yield ["steps", name, "when"], f"{other!r} is not available: {name!r} is not after it"


def condition_characters(definition: WorkflowDefinition) -> int:
    """Return the total length of the conditions, in characters: the leader evaluates them at every tick."""
    return sum(len(step.when) for step in definition.steps.values() if step.when is not None)
