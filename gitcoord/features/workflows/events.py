"""Events about workflows: members define, start and stop them; the leader records how their steps end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from gitcoord.core.fields import FREE, NAMED, EventType, Payload, Reason, Words
from gitcoord.core.fold.authority import ADMIN, LEADER, MEMBER, OWNER, Who
from gitcoord.features.tasks.events import StepKey
from gitcoord.features.workflows.file import Name, StepName, WorkflowDefinition
from gitcoord.features.workflows.runs import RESULT_MAX

RequestId = Annotated[str, Field(max_length=58, pattern=r"^[0-9a-z]{16}(\.[a-z0-9][a-z0-9_-]{0,40})?$")]
"""The event that asked for a start, and the workflow that starts by itself after such."""


class WorkflowDefined(Payload):
    """From now on it can be started by its name."""

    definition: WorkflowDefinition


class WorkflowStarted(Payload):
    """A run of it begins; its id is the event's. By the leader: it was requested, by the event that `request` names."""

    definition: WorkflowDefinition | None = None
    request: RequestId | None = None

    @model_validator(mode="after")
    def _is_one(self) -> WorkflowStarted:
        if (self.definition is None) == (self.request is None):
            raise ValueError("a run is of a definition, or of what a request names")
        return self


class WorkflowStopped(Payload):
    """The run that the event's `re` names shall end: its open tasks are cancelled, what is done is taken back."""

    reason: Words = ""


class WorkflowAutomated(Payload):
    """It starts by itself after each event of this type; null: no more."""

    name: Name
    on: EventType | None = None

    @field_validator("on")
    @classmethod
    def _is_no_echo(cls, on: str | None) -> str | None:
        if on is not None and (on in EVENTS or on.startswith("task_")):
            raise ValueError("a workflow cannot be started by what workflows write")
        return on


class WorkflowStepEnded(Payload):
    """By the leader: how a task of the run ended, kept for as long as the run."""

    key: StepKey
    status: Literal["done", "failed", "cancelled"]
    result: Annotated[str, Field(max_length=RESULT_MAX), FREE] = ""
    until: Annotated[str, Field(max_length=40), NAMED]


class WorkflowStepSkipped(Payload):
    """By the leader."""

    step: StepName
    reason: Reason = ""


class WorkflowFinished(Payload):
    """By the leader: done, failed or stopped."""

    status: Literal["done", "failed", "stopped"]
    reason: Words = ""


EVENTS: Mapping[str, type[BaseModel]] = {
    "workflow_defined": WorkflowDefined,
    "workflow_started": WorkflowStarted,
    "workflow_stopped": WorkflowStopped,
    "workflow_automated": WorkflowAutomated,
    "workflow_step_ended": WorkflowStepEnded,
    "workflow_step_skipped": WorkflowStepSkipped,
    "workflow_finished": WorkflowFinished,
}
AUTHORITY: Mapping[str, Who] = {
    "workflow_defined": OWNER | ADMIN,
    "workflow_started": MEMBER,
    "workflow_stopped": OWNER | ADMIN | LEADER,
    "workflow_automated": OWNER | ADMIN,
    "workflow_step_ended": LEADER,
    "workflow_step_skipped": LEADER,
    "workflow_finished": LEADER,
}
