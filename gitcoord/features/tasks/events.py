"""Events about tasks: each event after the first names its task by `re`, so that all of them are one thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from gitcoord.core.fields import FREE, NAMED, Agent, Count, Json, Moment, Payload, Reason, Title, Uid, Words
from gitcoord.core.fold.authority import ADMIN, ASSIGNEE, LEADER, MEMBER, OWNER, Who
from gitcoord.features.typed import Capabilities, Priority

BODY_MAX = 16_000  # characters: four in UTF-8 still fit into an event
RESULT_MAX = 16_000
AFTER_MAX = 200  # tasks that one task waits for; a wider join needs a task in between
ARTIFACTS_MAX = 50
ATTEMPTS_MAX = 100  # with any outcome: a task that had so many agents fails, and needs a person
TIMEOUT_S_MAX = 30 * 86_400.0
BRANCH_CHARS_MAX = 250
KEY_CHARS_MAX = 100
LABELS_MAX = 20
LABEL_CHARS_MAX = 50

StepKey = Annotated[str, Field(max_length=60, pattern=r"^(undo:)?[a-z][a-z0-9_]{0,40}(#[0-9]{1,3})?$")]
"""The place in a workflow: `step`, `step#2` for the third item of a fan-out, or `undo:step`."""

Attempt = Annotated[int, Field(ge=1, le=ATTEMPTS_MAX)]
Body = Annotated[str, Field(max_length=BODY_MAX), FREE]
Result = Annotated[str, Field(max_length=RESULT_MAX), FREE]
Place = Annotated[str, Field(max_length=200), NAMED]
Artifact = Annotated[str, Field(min_length=1, max_length=500), NAMED]
Key = Annotated[str, Field(min_length=1, max_length=KEY_CHARS_MAX), NAMED]
Branch = Annotated[str, Field(max_length=BRANCH_CHARS_MAX), NAMED]
PullRequest = Annotated[int, Field(ge=1, le=2**31)]
Label = Annotated[str, Field(min_length=1, max_length=LABEL_CHARS_MAX), NAMED]
Labels = Annotated[list[Label], Field(max_length=LABELS_MAX)]


class WorkflowPlace(Payload):
    """The place of a task in a workflow."""

    run: Uid
    step: StepKey


class TaskCreated(Payload):
    """A task for an agent that has all capabilities in `needs`, as soon as the tasks in `after` are done.

    An author's second task with the same `key` has no effect. `after_keys` names tasks of the author by their keys.
    """

    title: Title
    body: Body = ""
    needs: Capabilities = Field(default_factory=list)
    priority: Priority = "MEDIUM"
    deadline: Moment | None = None
    after: list[Uid] = Field(default_factory=list, max_length=AFTER_MAX)
    attempts_max: int = Field(3, ge=1, le=ATTEMPTS_MAX)
    timeout_s: float | None = Field(None, gt=0, le=TIMEOUT_S_MAX)
    agent: Agent | None = None
    workflow: WorkflowPlace | None = None
    key: Key | None = None
    after_keys: list[Key] = Field(default_factory=list, max_length=AFTER_MAX)
    data: Json = Field(default_factory=dict)


class TaskAssigned(Payload):
    """The leader assigns the task to an agent, as the attempt of that number."""

    agent: Agent
    attempt: Attempt
    why: Words = ""


class TaskClaimed(Payload):
    """The author claims the task as its next attempt, or accepts the task that it was assigned.

    `place` and `branch`: the work tree of its node in which it works, and what that has checked out.
    """

    place: Place = ""
    branch: Branch = ""


class TaskAccepted(Payload):
    """The author accepts the task that it was assigned. `place` and `branch` as in `TaskClaimed`."""

    attempt: Attempt
    place: Place = ""
    branch: Branch = ""


class TaskWork(Payload):
    """The attempt that an event reports on, and the branch and pull request of the work, if there are any."""

    attempt: Attempt
    branch: Branch = ""
    pull_request: PullRequest | None = None


class TaskStarted(TaskWork):
    """The author starts to work on the task, or goes on. `place` and `branch` as in `TaskClaimed`."""

    place: Place = ""


class TaskProgressed(TaskWork):
    """The author reports the share of the task that is done, from 0 to 1.

    `session_ended`: it says only where the work is, because its session ends. It keeps the task for the grace, unless
    it writes again.
    """

    share: float | None = Field(None, ge=0, le=1)
    text: Words = ""
    session_ended: bool = False


class TaskInputRequested(Payload):
    """The author cannot go on without an answer. It counts as a question in the conversation."""

    CONVERSATION: ClassVar[bool] = True

    attempt: Attempt
    text: Reason = ""


class TaskFinished(TaskWork):
    """The task is done. Artifacts are refs or paths."""

    result: Result = ""
    artifacts: list[Artifact] = Field(default_factory=list, max_length=ARTIFACTS_MAX)


class TaskFailed(Payload):
    """The attempt failed."""

    attempt: Attempt
    reason: Reason = ""


class TaskReleased(Payload):
    """The agent or the leader releases the task. `only`: no effect unless the task still has this status.

    `lost`: the leader says whether the task may be what ended its agent; then it counts as a failure. `since`: no
    effect if the agent wrote anything after this position.
    """

    attempt: Attempt
    reason: Reason = ""
    lost: bool = True
    since: Count | None = None
    only: Literal["assigned", "accepted", "running", "input-required"] | None = None


class TaskReassigned(Payload):
    """The task is taken from its agent, and given to another as the attempt of that number, or to nobody."""

    agent: Agent | None = None
    attempt: int = Field(ge=1, le=ATTEMPTS_MAX + 1)
    reason: Reason = ""


class TaskCancelled(Payload):
    """The task is not needed any more."""

    reason: Reason = ""


class TaskOverdue(Payload):
    """The deadline of the task has passed."""


class TaskEdited(Payload):
    """The fields that are given replace those of the open task."""

    title: Title | None = None
    body: Body | None = None
    needs: Capabilities | None = None
    priority: Priority | None = None
    deadline: Moment | None = None
    no_deadline: bool = False
    branch: Branch | None = None
    pull_request: PullRequest | None = None


class TaskLabelled(Payload):
    """Labels are added to the task, or removed from it."""

    add: Labels = Field(default_factory=list)
    remove: Labels = Field(default_factory=list)


class TaskCommented(Payload):
    """The content comments on the task."""

    CONVERSATION: ClassVar[bool] = True


class TaskReopened(Payload):
    """The closed task is to be done again; its failures count from zero again."""

    reason: Reason = ""


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
    "task_reassigned": TaskReassigned,
    "task_cancelled": TaskCancelled,
    "task_overdue": TaskOverdue,
    "task_edited": TaskEdited,
    "task_labelled": TaskLabelled,
    "task_commented": TaskCommented,
    "task_reopened": TaskReopened,
}
AUTHORITY: Mapping[str, Who] = {
    "task_created": MEMBER,
    "task_assigned": LEADER,
    "task_claimed": MEMBER,
    "task_accepted": ASSIGNEE,
    "task_started": ASSIGNEE,
    "task_progressed": ASSIGNEE,
    "task_input_requested": ASSIGNEE,
    "task_finished": ASSIGNEE,
    "task_failed": ASSIGNEE,
    "task_released": ASSIGNEE | LEADER,
    "task_reassigned": OWNER | ADMIN,
    "task_cancelled": OWNER | ADMIN | LEADER,
    "task_overdue": LEADER,
    "task_edited": OWNER | ADMIN,
    "task_labelled": OWNER | ADMIN,
    "task_commented": MEMBER,
    "task_reopened": OWNER | ADMIN,
}
