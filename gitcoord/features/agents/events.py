"""What is said of agents: each registers and speaks for itself; how others look is said by the leader alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

REGISTERED_MAX = 1000  # at a time
CAPABILITIES_MAX = 50
NEEDS_MAX = 50
SLOTS_MAX = 64  # tasks at a time: more than a machine has cores

Status = Literal["active", "busy", "idle", "input-required", "paused", "offline"]
Agent_id = Annotated[str, StringConstraints(min_length=1, max_length=63)]
_SMALL = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def small(text: str) -> str:
    """Write A to Z small; what other letters become depends on the version of Unicode, which is each machine's own."""
    return text.translate(_SMALL)


Capability = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(small)]


def _apart(value: object) -> object:
    """`python,backend` is two."""
    if isinstance(value, list):
        return [part for one in value for part in (one.split(",") if isinstance(one, str) else [one])
                if not isinstance(part, str) or part.strip()]
    return value


READS_LIST = BeforeValidator(_apart)
Capabilities = Annotated[list[Capability], READS_LIST, Field(max_length=CAPABILITIES_MAX)]
"""What an agent can do: words that the fleet agrees on, in small letters; `python,backend` is two."""


class _Model(BaseModel):
    model_config = ConfigDict(defer_build=True)


class AgentRegistered(_Model):
    """The author takes part in the fleet's work; said again, it is as if said for the first time."""

    capabilities: Capabilities = []
    role: str = Field("", max_length=100)
    depends_on: list[Agent_id] = Field([], max_length=NEEDS_MAX)
    backup: Agent_id | None = None
    slots: int = Field(1, ge=1, le=SLOTS_MAX)
    about: str = Field("", max_length=500)
    supervised: bool = False  # a supervisor on its node starts it, and starts it again


class AgentUnregistered(_Model):
    """The author, or the agent named, takes no more part in the work. It stays a member."""

    agent: Agent_id | None = None


class AgentStatusChanged(_Model):
    """Of the author, or of the agent named. What is null stays as it is; an empty task is none."""

    agent: Agent_id | None = None
    status: Status | None = None
    task: str | None = Field(None, max_length=200)
    workload: float | None = Field(None, ge=0, le=1)


class AgentExited(_Model):
    """The supervisor, in the agent's name: its process ended without a goodbye."""

    session: str = Field("", max_length=64)
    code: int = 0


class Sighting(_Model):
    """By the leader: how an agent's beats look."""

    agent: Agent_id
    session: str = Field("", max_length=64)
    silent_s: float = Field(0, ge=0)


class AgentSuspected(Sighting):
    """Its beat is late."""


class AgentLost(Sighting):
    """It has not been heard of for several beats."""


class AgentReturned(Sighting):
    """It was lost, late or had said goodbye, and is heard again."""


class AgentDeparted(Sighting):
    """It said goodbye."""


class BackupActivated(_Model):
    """By the leader: `backup` can do what `agent` could, until that one is back."""

    agent: Agent_id
    backup: Agent_id


class SightDoubted(_Model):
    """By the leader: half the fleet fell silent at once, so it may be the leader that hears badly. It looks again."""

    agents: list[Agent_id] = Field(max_length=REGISTERED_MAX)


EVENTS: Mapping[str, type[BaseModel]] = {
    "agent_registered": AgentRegistered, "agent_unregistered": AgentUnregistered,
    "agent_status_changed": AgentStatusChanged, "agent_exited": AgentExited, "agent_suspected": AgentSuspected,
    "agent_lost": AgentLost, "agent_returned": AgentReturned, "agent_departed": AgentDeparted,
    "backup_activated": BackupActivated, "sight_doubted": SightDoubted,
}
