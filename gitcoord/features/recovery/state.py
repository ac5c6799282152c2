"""The state of recoveries: the lost agents, the strategies tried, and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, Field

from gitcoord.core import times
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fields import NAMED, Agent, Count, Payload, Words
from gitcoord.core.fold.authority import LEADER, MEMBER, Who
from gitcoord.core.fold.membership import AgentExpelled, AgentLeft, RoleChanged
from gitcoord.features.agents.events import (
    REGISTERED_MAX,
    AgentDeparted,
    AgentExited,
    AgentLost,
    AgentReturned,
    AgentUnregistered,
    BackupActivated,
)
from gitcoord.features.recovery import circuits
from gitcoord.features.recovery.circuits import Circuit
from gitcoord.features.tasks.events import TaskFailed, TaskFinished
from gitcoord.features.typed import Capability

HISTORY_MAX = 200  # recoveries kept; the ledger has the older ones
LACKING_MAX = 1000  # capabilities, or agents, that one loss affects
LOSSES_MAX = 50  # remembered per agent


class _RecoveryEvent(Payload):
    agent: Agent


class RecoveryStarted(_RecoveryEvent):
    """The agent is gone, and the leader begins to recover it. `re` is its registration."""

    reason: Words = ""


class RestartRequested(_RecoveryEvent):
    """The leader asks the supervisor on that node to restart the agent."""

    node: Annotated[str, Field(max_length=64), NAMED]


class AgentRestarted(_RecoveryEvent):
    """The supervisor reports, in the agent's name, that it has started its process."""

    pid: Count = 0


class WorkRedistributed(_RecoveryEvent):
    """The leader has released the agent's tasks, for other agents."""

    tasks: Count = 0


class FleetDegraded(_RecoveryEvent):
    """No other agent can do what the agent did. `to` has the agents that depend on it."""

    capabilities: list[Capability] = Field([], max_length=LACKING_MAX)
    dependants: list[Agent] = Field([], max_length=LACKING_MAX)


class Escalated(_RecoveryEvent):
    """A person must take care of the agent."""

    reason: Words = ""


class RecoveryFailed(_RecoveryEvent):
    """Every configured strategy was tried without success."""


EVENTS: Mapping[str, type[BaseModel]] = {
    "recovery_started": RecoveryStarted,
    "restart_requested": RestartRequested,
    "agent_restarted": AgentRestarted,
    "work_redistributed": WorkRedistributed,
    "fleet_degraded": FleetDegraded,
    "escalated": Escalated,
    "recovery_failed": RecoveryFailed,
    **circuits.EVENTS,
}
AUTHORITY: Mapping[str, Who] = {**dict.fromkeys(EVENTS, LEADER), "agent_restarted": MEMBER}

HANDLED: frozenset[type[BaseModel]] = frozenset(
    {
        *EVENTS.values(),
        AgentLost,
        AgentExited,
        AgentReturned,
        AgentDeparted,
        AgentUnregistered,
        AgentLeft,
        AgentExpelled,
        RoleChanged,
        BackupActivated,
        TaskFailed,
        TaskFinished,
    }
)

CONCLUDED: Mapping[type[BaseModel], tuple[str, str]] = {
    # the event: (the strategy, the outcome)
    BackupActivated: ("backup", "backup"),
    WorkRedistributed: ("redistribute", "redistributed"),
    FleetDegraded: ("degrade", "degraded"),
    Escalated: ("escalate", "escalated"),
    RecoveryFailed: ("", "failed"),
}
AUTOMATIC = ("returned", "restarted", "backup", "redistributed")
"""Outcomes that needed no person, and after which no capability is missing."""


@dataclass(slots=True)
class RecoveryStep:
    """A strategy that was tried."""

    strategy: str
    at: str
    text: str
    position: int = 0


@dataclass(slots=True)
class Recovery:
    """The recovery from one loss of one agent. `lost`, `started`, `finished` and `returned` are times."""

    id: str
    agent: str
    reason: str
    lost: str
    started: str
    steps: list[RecoveryStep] = field(default_factory=list)
    outcome: str = ""  # empty while it lasts
    finished: str = ""
    returned: str = ""

    def tried(self, strategy: str) -> RecoveryStep | None:
        return next((step for step in self.steps if step.strategy == strategy), None)


@dataclass(slots=True)
class Loss:
    """An agent that is gone, and the recovery that deals with it."""

    at: str
    reported: bool  # by its supervisor, so its node is alive
    reason: str
    recovery: str = ""


@dataclass(slots=True)
class State:
    recoveries: dict[str, Recovery] = field(default_factory=dict)  # by id, oldest first
    lost: dict[str, Loss] = field(default_factory=dict)  # by casefolded agent, until it is back
    losses: dict[str, list[str]] = field(default_factory=dict)  # by casefolded agent: when it was lost, oldest first
    outcomes: dict[str, int] = field(default_factory=dict)  # how many recoveries ended so, ever
    seconds: float = 0.0  # sum over closed recoveries, from the loss on
    circuits: dict[str, Circuit] = field(default_factory=dict)


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    if sequenced.void is not None or type(sequenced.payload) not in HANDLED:
        return None
    event = sequenced.event
    match sequenced.payload:
        case AgentLost(agent=agent):
            _lose(state, agent, sequenced, reported=False)
        case AgentExited():
            _lose(state, event.actor, sequenced, reported=True)
        case AgentReturned(agent=agent) | AgentDeparted(agent=agent):
            _return(state, agent, sequenced)
        case AgentUnregistered(agent=named):
            _return(state, named or event.actor, sequenced)
        case AgentLeft():
            _return(state, event.actor, sequenced)
        case AgentExpelled(agent=agent) | RoleChanged(agent=agent, role="guest"):
            _return(state, agent, sequenced)
        case RecoveryStarted(agent=agent, reason=reason):
            return _start(state, agent, reason, sequenced)
        case AgentRestarted() | RestartRequested():
            return _restart(state, sequenced)
        case _ if type(sequenced.payload) in CONCLUDED:
            return _conclude(state, sequenced)
    return circuits.fold(state.circuits, sequenced)


def _lose(state: State, agent: str, sequenced: SequencedEvent, *, reported: bool) -> None:
    key, at = agent.casefold(), sequenced.event.timestamp
    if key not in state.lost and len(state.lost) < REGISTERED_MAX:
        state.lost[key] = Loss(at, reported, sequenced.event.content[:200] or f"{agent} is gone")
        state.losses.setdefault(key, []).append(at)
        del state.losses[key][:-LOSSES_MAX]
        while len(state.losses) > REGISTERED_MAX:
            del state.losses[next(iter(state.losses))]


def _return(state: State, agent: str, sequenced: SequencedEvent) -> None:
    loss = state.lost.pop(agent.casefold(), None)
    recovery = state.recoveries.get(loss.recovery) if loss is not None else None
    if recovery is not None:
        recovery.returned = sequenced.event.timestamp
        if not recovery.outcome:
            _finish(state, recovery, "restarted" if recovery.tried("restart") else "returned", sequenced)


def _start(state: State, agent: str, reason: str, sequenced: SequencedEvent) -> str | None:
    loss = state.lost.get(agent.casefold())
    if loss is None:
        return f"{agent} is not gone"
    if loss.recovery:
        return f"{agent} is being recovered already"
    event = sequenced.event
    loss.recovery = event.uid
    state.recoveries[event.uid] = Recovery(event.uid, agent, reason, loss.at, event.timestamp)
    while len(state.recoveries) > HISTORY_MAX:
        del state.recoveries[next(iter(state.recoveries))]
    return None


def _restart(state: State, sequenced: SequencedEvent) -> str | None:
    event = sequenced.event
    agent = event.actor if isinstance(sequenced.payload, AgentRestarted) else getattr(sequenced.payload, "agent", "")
    recovery = _of(state, agent)
    if recovery is None:
        return f"{agent} is not being recovered"
    if len(recovery.steps) < LOSSES_MAX:
        strategy = "restart" if isinstance(sequenced.payload, RestartRequested) else "restarted"
        recovery.steps.append(RecoveryStep(strategy, event.timestamp, event.content[:200], sequenced.position))
    return None


def _conclude(state: State, sequenced: SequencedEvent) -> str | None:
    event, agent = sequenced.event, getattr(sequenced.payload, "agent", "")
    recovery = _of(state, agent)
    if recovery is None:
        return f"{agent} is not being recovered" if not isinstance(sequenced.payload, BackupActivated) else None
    strategy, outcome = CONCLUDED[type(sequenced.payload)] if sequenced.payload is not None else ("", "")
    if len(recovery.steps) < LOSSES_MAX:
        recovery.steps.append(RecoveryStep(strategy, event.timestamp, event.content[:200], sequenced.position))
    _finish(state, recovery, outcome, sequenced)
    return None


def _of(state: State, agent: str) -> Recovery | None:
    """Return the open recovery of an agent that is gone, or None."""
    loss = state.lost.get(agent.casefold())
    return state.recoveries.get(loss.recovery) if loss is not None else None


def _finish(state: State, recovery: Recovery, outcome: str, sequenced: SequencedEvent) -> None:
    """Close the recovery. A later outcome replaces an earlier one: a degraded fleet may get its agent back."""
    took_s = max(0.0, times.between_s(recovery.lost, sequenced.event.timestamp))
    if recovery.outcome:
        state.outcomes[recovery.outcome] -= 1
    else:
        state.seconds += took_s
        recovery.finished = sequenced.event.timestamp
    recovery.outcome = outcome
    state.outcomes[outcome] = state.outcomes.get(outcome, 0) + 1


def to_row(recovery: Recovery) -> dict[str, Any]:
    return {
        "id": recovery.id,
        "agent": recovery.agent,
        "outcome": recovery.outcome or None,
        "lost": recovery.lost,
        "started": recovery.started,
        "finished": recovery.finished or None,
        "returned": recovery.returned or None,
        "seconds": round(times.between_s(recovery.lost, recovery.finished), 3) if recovery.finished else None,
        "automatic": recovery.outcome in AUTOMATIC if recovery.outcome else None,
        "reason": recovery.reason,
        "steps": [{"strategy": step.strategy, "at": step.at, "text": step.text} for step in recovery.steps],
    }
