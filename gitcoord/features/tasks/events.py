"""What is said of tasks: each event but the first names its task by `re`, so that they share one thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gitcoord.features.agents.events import Capabilities
from gitcoord.features.typed import Priority

TITLE_MAX = 200  # characters: what a table can show
BODY_MAX = 16_000  # characters: four in UTF-8 still fit into an event
RESULT_MAX = 16_000
REASON_MAX = 2000
AFTER_MAX = 200  # tasks that one waits for; a wider join takes a task in between
ARTIFACTS_MAX = 50
ATTEMPTS_MAX = 100  # of all kinds: what went from hand to hand so often goes to a person
TIMEOUT_S_MAX = 30 * 86_400.0

Uid = Annotated[str, StringConstraints(min_length=1, max_length=16)]
Agent = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Attempt = Annotated[int, Field(ge=1, le=ATTEMPTS_MAX)]
Reason = Annotated[str, StringConstraints(max_length=REASON_MAX)]
Artifact = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class _Model(BaseModel):
    model_config = ConfigDict(defer_build=True)


class Step(_Model):
    """The place of a task in a workflow."""

    run: str = Field(max_length=100)
    step: str = Field(max_length=100)


class TaskCreated(_Model):
    """Work for whoever has all that it `needs`, once the tasks that it comes `after` are done."""

    title: str = Field(min_length=1, max_length=TITLE_MAX)
    body: str = Field("", max_length=BODY_MAX)
    needs: Capabilities = Field(default_factory=list)
    priority: Priority = "MEDIUM"
    deadline: str | None = Field(None, max_length=40)
    after: list[Uid] = Field(default_factory=list, max_length=AFTER_MAX)
    attempts_max: int = Field(3, ge=1, le=ATTEMPTS_MAX)
    timeout_s: float | None = Field(None, gt=0, le=TIMEOUT_S_MAX)
    agent: Agent | None = None
    workflow: Step | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class TaskAssigned(_Model):
    """The leader gives it to an agent, as its attempt of that number."""

    agent: Agent
    attempt: Attempt
    why: str = Field("", max_length=500)


class TaskClaimed(_Model):
    """The author takes it, as its next attempt, or takes on what it was assigned."""


class TaskAccepted(_Model):
    """The author takes on what it was assigned."""

    attempt: Attempt


class TaskStarted(_Model):
    """The author works on it from now on, or again."""

    attempt: Attempt


class TaskProgressed(_Model):
    """How much of it is done, from 0 to 1."""

    attempt: Attempt
    share: float | None = Field(None, ge=0, le=1)
    text: str = Field("", max_length=500)


class TaskInputRequested(_Model):
    """The author cannot go on without an answer. It is a question like any other."""

    SAID: ClassVar[bool] = True

    attempt: Attempt
    text: str = Field("", max_length=REASON_MAX)


class TaskFinished(_Model):
    """It is done. Artifacts are refs or paths."""

    attempt: Attempt
    result: str = Field("", max_length=RESULT_MAX)
    artifacts: list[Artifact] = Field(default_factory=list, max_length=ARTIFACTS_MAX)


class TaskFailed(_Model):
    """This attempt came to nothing."""

    attempt: Attempt
    reason: Reason = ""


class TaskReleased(_Model):
    """The attempt is given back by its agent, or taken back by the leader. `only`: if the task still stands so."""

    attempt: Attempt
    reason: Reason = ""
    only: str | None = Field(None, max_length=20)


class TaskCancelled(_Model):
    """Nobody needs to do it any more."""

    reason: Reason = ""


class TaskOverdue(_Model):
    """The leader saw its deadline pass."""


EVENTS: Mapping[str, type[BaseModel]] = {
    "task_created": TaskCreated,
    "task_assigned": TaskAssigned,
    "task_claimed": TaskClaimed,
    "task_accepted": TaskAccepted,
    "task_started": TaskStarted,
    "task_progressed": TaskProgressed,
    "task_input_requested": TaskInputRequested,
    "task_finished": TaskFinished,
    "task_failed": TaskFailed,
    "task_released": TaskReleased,
    "task_cancelled": TaskCancelled,
    "task_overdue": TaskOverdue,
}
