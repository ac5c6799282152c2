"""The roster: which agents take part, what they can do and need, and how they were last known to be.

An agent speaks for itself; that another one is late, gone or back is said by the leader alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from gitcoord.core.fleet import Recorded
from gitcoord.core.liveness import ALIVE, GONE, GOODBYE, LATE
from gitcoord.core.members import AgentLeft
from gitcoord.features import dependencies

REGISTERED_MAX = 1000  # at a time
CAPABILITIES_MAX = 50
NEEDS_MAX = 50
SLOTS_MAX = 64  # tasks at a time: more than a machine has cores

Status = Literal["active", "busy", "idle", "input-required", "paused", "offline"]
Agent_id = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Capability = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=64)]


def _apart(value: object) -> object:
    """`python,backend` is two."""
    if isinstance(value, list):
        return [part for one in value for part in (one.split(",") if isinstance(one, str) else [one])
                if not isinstance(part, str) or part.strip()]
    return value


READS_LIST = BeforeValidator(_apart)
Capabilities = Annotated[list[Capability], READS_LIST, Field(max_length=CAPABILITIES_MAX)]
"""What an agent can do: words that the fleet agrees on, in small letters; `python,backend` is two."""


class AgentRegistered(BaseModel):
    """The author takes part in the fleet's work; said again, it is as if said for the first time."""

    capabilities: Capabilities = []
    role: str = Field("", max_length=100)
    depends_on: list[Agent_id] = Field([], max_length=NEEDS_MAX)
    backup: Agent_id | None = None
    slots: int = Field(1, ge=1, le=SLOTS_MAX)
    about: str = Field("", max_length=500)
    supervised: bool = False  # a supervisor on its node starts it, and starts it again


class AgentUnregistered(BaseModel):
    """The author, or the agent named, takes no more part in the work. It stays a member."""

    agent: Agent_id | None = None


class AgentStatusChanged(BaseModel):
    """Of the author, or of the agent named. What is null stays as it is; an empty task is none."""

    agent: Agent_id | None = None
    status: Status | None = None
    task: str | None = Field(None, max_length=200)
    workload: float | None = Field(None, ge=0, le=1)


class AgentExited(BaseModel):
    """The supervisor, in the agent's name: its process ended without a goodbye."""

    session: str = Field("", max_length=64)
    code: int = 0


class Sighting(BaseModel):
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


class SightDoubted(BaseModel):
    """By the leader: half the fleet fell silent at once, so it may be the leader that hears badly. It looks again."""

    agents: list[Agent_id] = Field(max_length=REGISTERED_MAX)


EVENTS: Mapping[str, type[BaseModel]] = {
    "agent_registered": AgentRegistered, "agent_unregistered": AgentUnregistered,
    "agent_status_changed": AgentStatusChanged, "agent_exited": AgentExited, "agent_suspected": AgentSuspected,
    "agent_lost": AgentLost, "agent_returned": AgentReturned, "agent_departed": AgentDeparted,
    "sight_doubted": SightDoubted,
}

SEEN: Mapping[type[BaseModel], str] = {
    AgentSuspected: LATE, AgentLost: GONE, AgentReturned: ALIVE, AgentDeparted: GOODBYE,
}


@dataclass(slots=True)
class Agent:
    """A registered agent as the ledger knows it. Its `depends_on` and `backup` are as they were written."""

    id: str
    registration: str  # uid of the event that began it
    capabilities: list[str]
    role: str
    depends_on: list[str]
    backup: str | None
    slots: int
    about: str
    supervised: bool
    node: str  # from which it registered
    since: str  # of its status
    status: Status = "idle"
    task: str = ""
    workload: float = 0.0
    liveness: str = ALIVE  # as last recorded; who just registered lives
    changes: int = 0  # of liveness, since the registration
    changed: str = ""  # when it last did
    ended: str = ""  # the session that its supervisor saw end

    @property
    def key(self) -> str:
        return self.id.casefold()


@dataclass(slots=True)
class Doubt:
    """A leader's, about its own sight: good for its own term only."""

    term: int
    since: str
    agents: list[str]  # casefolded


@dataclass(slots=True)
class State:
    """Registered agents by casefolded id, in the order of registration."""

    agents: dict[str, Agent] = field(default_factory=dict)
    doubt: Doubt | None = None


def fold(state: State, recorded: Recorded) -> str | None:
    if recorded.void is not None:
        return None
    apply = APPLY.get(type(recorded.payload))
    return apply(state, recorded, recorded.payload) if apply is not None else None


def _register(state: State, recorded: Recorded, said: AgentRegistered) -> str | None:
    event, key = recorded.event, recorded.event.actor.casefold()
    if said.backup is not None and said.backup.casefold() == key:
        return f"{event.actor} cannot be its own backup"
    way = dependencies.cycle({**graph(state), key: [one.casefold() for one in said.depends_on]}, key)
    if way:
        return circle(state, way, event.actor)
    known = state.agents.get(key)
    if known is None and len(state.agents) >= REGISTERED_MAX:
        return f"{REGISTERED_MAX} agents are registered already: let one leave"
    agent = Agent(
        event.actor, known.registration if known else event.uid, list(dict.fromkeys(said.capabilities)), said.role,
        said.depends_on, said.backup, said.slots, said.about, said.supervised, event.node, event.timestamp,
    )
    if known is not None:
        agent.status, agent.task, agent.workload, agent.since = known.status, known.task, known.workload, known.since
        agent.liveness, agent.changes = known.liveness, known.changes
        agent.changed, agent.ended = known.changed, known.ended
    state.agents[key] = agent
    return None


def _unregister(state: State, recorded: Recorded, said: AgentUnregistered) -> str | None:
    name = said.agent or recorded.event.actor
    if state.agents.pop(name.casefold(), None) is None:
        return f"{name} is not registered"
    return None


def _leave(state: State, recorded: Recorded, said: AgentLeft) -> None:
    state.agents.pop(recorded.event.actor.casefold(), None)


def _change_status(state: State, recorded: Recorded, said: AgentStatusChanged) -> str | None:
    name = said.agent or recorded.event.actor
    agent = state.agents.get(name.casefold())
    if agent is None:
        return f"{name} is not registered"
    if said.status is not None:
        agent.status, agent.since = said.status, recorded.event.timestamp
    agent.task = agent.task if said.task is None else said.task
    agent.workload = agent.workload if said.workload is None else said.workload
    return None


def _exit(state: State, recorded: Recorded, said: AgentExited) -> str | None:
    agent = state.agents.get(recorded.event.actor.casefold())
    if agent is None:
        return f"{recorded.event.actor} is not registered"
    _becomes(agent, GONE, recorded)
    agent.ended = said.session
    return None


def _see(state: State, recorded: Recorded, said: Sighting) -> str | None:
    if recorded.event.term is None:
        return "only the leader says how others are"
    agent = state.agents.get(said.agent.casefold())
    if agent is None:
        return f"{said.agent} is not registered"
    _becomes(agent, SEEN[type(said)], recorded)
    return None


def _becomes(agent: Agent, liveness: str, recorded: Recorded) -> None:
    agent.liveness, agent.changed = liveness, recorded.event.timestamp
    agent.changes += 1


def _doubt(state: State, recorded: Recorded, said: SightDoubted) -> str | None:
    if recorded.event.term is None:
        return "only the leader looks at all"
    state.doubt = Doubt(recorded.event.term, recorded.event.timestamp, [one.casefold() for one in said.agents])
    return None


APPLY: Mapping[type[Any], Callable[[State, Recorded, Any], str | None]] = {
    AgentRegistered: _register, AgentUnregistered: _unregister, AgentLeft: _leave,
    AgentStatusChanged: _change_status, AgentExited: _exit, SightDoubted: _doubt,
    **dict.fromkeys(SEEN, _see),
}


def graph(state: State) -> dict[str, list[str]]:
    """Casefolded id → casefolded ids of those it needs."""
    return {key: [one.casefold() for one in agent.depends_on] for key, agent in state.agents.items()}


def circle(state: State, way: list[str], actor: str) -> str:
    """A cycle in words, with the names as they were written."""
    names = [actor if one == actor.casefold() else state.agents[one].id for one in way]
    return f"the dependencies would go in a circle: {' → '.join(names)}"
