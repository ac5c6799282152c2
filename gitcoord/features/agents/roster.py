"""The roster: the agents that take part, their capabilities and dependencies, and their last recorded liveness.

An agent reports for itself. Only the leader reports that another agent is late, gone or back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold.membership import AgentLeft, stripped
from gitcoord.core.liveness import ALIVE, GONE, GOODBYE, LATE
from gitcoord.features.agents import dependencies
from gitcoord.features.agents.events import (
    REGISTERED_MAX,
    AgentDeparted,
    AgentExited,
    AgentLost,
    AgentRegistered,
    AgentReturned,
    AgentStatusChanged,
    AgentSuspected,
    AgentUnregistered,
    BackupActivated,
    SightDoubted,
    Sighting,
    Status,
)
from gitcoord.features.typed import CAPABILITIES_MAX

DEPENDENCIES_MAX = 10_000  # for all agents: ten each for a thousand; the search for a cycle visits all of them
STANDS_IN_MAX = 20  # agents that one agent replaces at a time

LIVENESS_OF: Mapping[type[BaseModel], str] = {
    AgentSuspected: LATE,
    AgentLost: GONE,
    AgentReturned: ALIVE,
    AgentDeparted: GOODBYE,
}


@dataclass(slots=True)
class Agent:
    """A registered agent as the ledger knows it. `depends_on` and `backup` are ids as its registration spells them."""

    id: str
    registration: str  # uid of the event that began it
    own: list[str]  # capabilities
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
    liveness: str = ALIVE  # as last recorded; an agent that just registered is alive
    changes: int = 0  # of liveness, since the registration
    changed: str = ""  # when it last did
    ended: str = ""  # the session that its supervisor saw end
    accept_assignments: bool = False  # otherwise it looks for tasks itself, and claims them
    stands_in: dict[str, list[str]] = field(default_factory=dict)  # replaced agent (casefolded) → its capabilities

    @property
    def key(self) -> str:
        return self.id.casefold()

    @property
    def capabilities(self) -> list[str]:
        """Return the agent's own capabilities, and those of the agents that it replaces."""
        return list(dict.fromkeys([*self.own, *(one for replaced in self.stands_in.values() for one in replaced)]))


@dataclass(slots=True)
class Doubt:
    """A leader's doubt that the silent agents are lost. It holds for that leader's term only."""

    term: int
    since: str
    agents: list[str]  # casefolded
    position: int = 0


@dataclass
class State:
    """Registered agents by casefolded id, in the order of registration. `needs` follows: casefolded as well."""

    agents: dict[str, Agent] = field(default_factory=dict)
    doubt: Doubt | None = None

    def __post_init__(self) -> None:
        self.needs = {key: [one.casefold() for one in agent.depends_on] for key, agent in self.agents.items()}


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    if sequenced.void is not None:
        return None
    gone = stripped(sequenced.payload)
    if gone is not None and gone.casefold() in state.agents:
        _remove(state, gone)
    apply = APPLY.get(type(sequenced.payload))
    return apply(state, sequenced, sequenced.payload) if apply is not None else None


def _register(state: State, sequenced: SequencedEvent, payload: AgentRegistered) -> str | None:
    event, key = sequenced.event, sequenced.event.actor.casefold()
    if payload.backup is not None and payload.backup.casefold() == key:
        return f"{event.actor} cannot be its own backup"
    known, needs = state.agents.get(key), [one.casefold() for one in dict.fromkeys(payload.depends_on)]
    if needs and sum(map(len, state.needs.values())) + len(needs) > DEPENDENCIES_MAX:
        return f"the fleet's agents name {DEPENDENCIES_MAX} dependencies already: name only direct dependencies"
    path = dependencies.cycle(state.needs, key, needs=needs) if needs else []
    if path:
        return describe_cycle(state, path, event.actor)
    if known is None and len(state.agents) >= REGISTERED_MAX:
        return f"{REGISTERED_MAX} agents are registered already: run `gitcoord agent leave` for one of them"
    agent = Agent(
        event.actor,
        known.registration if known else event.uid,
        list(dict.fromkeys(payload.capabilities)),
        payload.role,
        payload.depends_on,
        payload.backup,
        payload.slots,
        payload.about,
        payload.supervised,
        event.node,
        event.timestamp,
        accept_assignments=payload.accept_assignments,
    )
    if known is not None:
        agent.status, agent.task, agent.workload, agent.since = known.status, known.task, known.workload, known.since
        agent.liveness, agent.changes, agent.changed = known.liveness, known.changes, known.changed
        agent.ended, agent.stands_in = known.ended, known.stands_in
    state.agents[key], state.needs[key] = agent, needs
    return None


def _unregister(state: State, sequenced: SequencedEvent, payload: AgentUnregistered) -> str | None:
    name = payload.agent or sequenced.event.actor
    if name.casefold() not in state.agents:
        return f"{name} is not registered"
    _remove(state, name)
    return None


def _leave(state: State, sequenced: SequencedEvent, payload: AgentLeft) -> None:
    if sequenced.event.actor.casefold() in state.agents:
        _remove(state, sequenced.event.actor)


def _remove(state: State, agent: str) -> None:
    del state.agents[agent.casefold()], state.needs[agent.casefold()]
    _end_replacement(state, agent)


def _end_replacement(state: State, agent: str) -> None:
    """End the replacement of the agent by its backups."""
    for other in state.agents.values():
        other.stands_in.pop(agent.casefold(), None)


def _activate(state: State, sequenced: SequencedEvent, payload: BackupActivated) -> str | None:
    agent, backup = state.agents.get(payload.agent.casefold()), state.agents.get(payload.backup.casefold())
    if agent is None or backup is None:
        return f"{payload.agent if agent is None else payload.backup} is not registered"
    if agent is backup:
        return f"{agent.id} cannot be its own backup"
    if len(backup.stands_in) >= STANDS_IN_MAX and agent.key not in backup.stands_in:
        return f"{backup.id} is the active backup of {STANDS_IN_MAX} agents already"
    capabilities = agent.capabilities  # also those of the agents that it replaces
    backup.stands_in[agent.key] = capabilities[:CAPABILITIES_MAX]
    return None


def _change_status(state: State, sequenced: SequencedEvent, payload: AgentStatusChanged) -> str | None:
    name = payload.agent or sequenced.event.actor
    agent = state.agents.get(name.casefold())
    if agent is None:
        return f"{name} is not registered"
    if payload.status is not None:
        agent.status, agent.since = payload.status, sequenced.event.timestamp
    agent.task = agent.task if payload.task is None else payload.task
    agent.workload = agent.workload if payload.workload is None else payload.workload
    return None


def _exit(state: State, sequenced: SequencedEvent, payload: AgentExited) -> str | None:
    agent = state.agents.get(sequenced.event.actor.casefold())
    if agent is None:
        return f"{sequenced.event.actor} is not registered"
    _set_liveness(agent, GONE, sequenced)
    agent.ended = payload.session
    return None


def _see(state: State, sequenced: SequencedEvent, payload: Sighting) -> str | None:
    agent = state.agents.get(payload.agent.casefold())
    if agent is None:
        return f"{payload.agent} is not registered"
    _set_liveness(agent, LIVENESS_OF[type(payload)], sequenced)
    if agent.liveness == ALIVE:
        _end_replacement(state, agent.id)
    return None


def _set_liveness(agent: Agent, liveness: str, sequenced: SequencedEvent) -> None:
    agent.liveness, agent.changed = liveness, sequenced.event.timestamp
    agent.changes += 1


def _doubt(state: State, sequenced: SequencedEvent, payload: SightDoubted) -> str | None:
    state.doubt = Doubt(
        sequenced.event.term or 0,
        sequenced.event.timestamp,
        [one.casefold() for one in payload.agents],
        sequenced.position,
    )
    return None


APPLY: Mapping[type[Any], Callable[[State, SequencedEvent, Any], str | None]] = {
    AgentRegistered: _register,
    AgentUnregistered: _unregister,
    AgentLeft: _leave,
    AgentStatusChanged: _change_status,
    AgentExited: _exit,
    BackupActivated: _activate,
    SightDoubted: _doubt,
    **dict.fromkeys(LIVENESS_OF, _see),
}


def graph(state: State) -> dict[str, list[str]]:
    """Return the casefolded ids of the agents that each agent needs, by its casefolded id. Do not change the result."""
    return state.needs


def describe_cycle(state: State, path: list[str], actor: str) -> str:
    """Return a cycle in words, with the agents' ids as they were registered."""
    names = [actor if one == actor.casefold() else state.agents[one].id for one in path]
    return f"the dependencies would form a cycle: {' → '.join(names)}"
