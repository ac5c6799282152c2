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
"""The uid of the event that requests a start; if the start is automatic, then also the name of the workflow."""


class WorkflowDefined(Payload):
    """The author defines a workflow: from now on it can be started by its name."""

    definition: WorkflowDefinition


class WorkflowStarted(Payload):
    """A run of a workflow begins; its id is the event's. `request`: the event that asked the leader to start it."""

    definition: WorkflowDefinition | None = None
    request: RequestId | None = None

    @model_validator(mode="after")
    def _is_one(self) -> WorkflowStarted:
        if (self.definition is None) == (self.request is None):
            raise ValueError("a run has a definition, or a request that names a defined workflow")
        return self


class WorkflowStopped(Payload):
    """The run that the event's `re` names is to stop: open tasks are cancelled, finished steps are compensated."""

    reason: Words = ""


class WorkflowAutomated(Payload):
    """The workflow starts after each event of this type; null: it no longer starts by itself."""

    name: Name
    on: EventType | None = None

    @field_validator("on")
    @classmethod
    def _is_no_echo(cls, on: str | None) -> str | None:
        if on is not None and (on in EVENTS or on.startswith("task_")):
            raise ValueError("a workflow cannot be started by events that workflows write")
        return on


class WorkflowStepEnded(Payload):
    """A task of the run ended. The run keeps its status and result."""

    key: StepKey
    status: Literal["done", "failed", "cancelled"]
    result: Annotated[str, Field(max_length=RESULT_MAX), FREE] = ""
    until: Annotated[str, Field(max_length=40), NAMED]


class WorkflowStepSkipped(Payload):
    """A step of the run is skipped, for this reason."""

    step: StepName
    reason: Reason = ""


class WorkflowFinished(Payload):
    """The run is over: done, failed or stopped."""

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
