"""Events about agents: each agent registers and reports for itself; only the leader reports on the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from gitcoord.core.fields import FREE, Agent, Label, Payload, Session, Words
from gitcoord.core.fold.authority import ADMIN, LEADER, MEMBER, SELF, Resolver, Who, itself
from gitcoord.features.typed import Capabilities

REGISTERED_MAX = 1000  # at a time
NEEDS_MAX = 50  # dependencies of one agent
SILENT_S_MAX = 1e9  # thirty years: only a wrong clock gives more
SLOTS_MAX = 64  # tasks at a time: more than a machine has cores

TaskWords = Annotated[str, Field(max_length=200), FREE]
Status = Literal["active", "busy", "idle", "input-required", "paused", "offline"]


class AgentRegistered(Payload):
    """The author takes part in the fleet's work. A later registration replaces the earlier one."""

    capabilities: Capabilities = []
    role: Label = ""
    depends_on: list[Agent] = Field([], max_length=NEEDS_MAX)
    backup: Agent | None = None
    slots: int = Field(1, ge=1, le=SLOTS_MAX)
    about: Words = ""
    supervised: bool = False  # a supervisor on its node starts it, and starts it again
    accept_assignments: bool = False  # the leader may give it tasks; otherwise it claims what it wants


class AgentUnregistered(Payload):
    """The author, or the named agent, no longer takes part in the work. It stays a member."""

    agent: Agent | None = None


class AgentStatusChanged(Payload):
    """The author's status, or that of the named agent. A null field stays unchanged; an empty task is none."""

    agent: Agent | None = None
    status: Status | None = None
    task: TaskWords | None = None
    workload: float | None = Field(None, ge=0, le=1)


class AgentExited(Payload):
    """The supervisor reports, in the agent's name, that its process ended without a goodbye."""

    session: Session = ""
    code: int = Field(0, ge=-(2**31), lt=2**32)


class Sighting(Payload):
    """The leader reports on an agent's heartbeats."""

    agent: Agent
    session: Session = ""
    silent_s: float = Field(0, ge=0, le=SILENT_S_MAX)


class AgentSuspected(Sighting):
    """The agent's heartbeat is late."""


class AgentLost(Sighting):
    """The agent has sent no heartbeat for several periods."""


class AgentReturned(Sighting):
    """The agent was lost, late or had said goodbye, and sends heartbeats again."""


class AgentDeparted(Sighting):
    """The agent said goodbye."""


class BackupActivated(Payload):
    """The leader gives the capabilities of `agent` to `backup`, until `agent` is back."""

    agent: Agent
    backup: Agent


class SightDoubted(Payload):
    """Half the fleet fell silent at once. The leader may be the one that is cut off, so it waits and checks again."""

    agents: list[Agent] = Field(max_length=REGISTERED_MAX)


EVENTS: Mapping[str, type[BaseModel]] = {
    "agent_registered": AgentRegistered,
    "agent_unregistered": AgentUnregistered,
    "agent_status_changed": AgentStatusChanged,
    "agent_exited": AgentExited,
    "agent_suspected": AgentSuspected,
    "agent_lost": AgentLost,
    "agent_returned": AgentReturned,
    "agent_departed": AgentDeparted,
    "backup_activated": BackupActivated,
    "sight_doubted": SightDoubted,
}
AUTHORITY: Mapping[str, Who] = {
    "agent_registered": MEMBER,
    "agent_unregistered": SELF | ADMIN | LEADER,
    "agent_status_changed": SELF | ADMIN | LEADER,
    "agent_exited": MEMBER,
    "agent_suspected": LEADER,
    "agent_lost": LEADER,
    "agent_returned": LEADER,
    "agent_departed": LEADER,
    "backup_activated": LEADER,
    "sight_doubted": LEADER,
}
WHOSE: Mapping[str, Resolver] = {"agent_unregistered": itself(), "agent_status_changed": itself()}
