"""Circuit breakers: an agent that fails repeatedly gets no work for a while, then a trial, then work as before.

A breaker belongs to the agent that fails. The agents that depend on it are informed, and send it no requests. Their own
failures do not count meanwhile, so one failing agent does not open the circuits of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.fields import Agent, Payload, Words
from gitcoord.core.liveness import GONE
from gitcoord.features import agents
from gitcoord.features.agents import roster
from gitcoord.features.tasks.events import TaskFailed, TaskFinished

FAILURES_MAX = 5  # failed tasks in a row: two or three may be the fault of the tasks
OPEN_S = 30.0  # the first pause; doubled after each failed trial
OPEN_S_MAX = 600.0
QUIET_S = 30.0  # a half-open circuit without a failure for so long is closed
KNOWN_MAX = 1000

OPEN: Literal["open"] = "open"
HALF_OPEN: Literal["half-open"] = "half-open"
CLOSED: Literal["closed"] = "closed"


class _CircuitEvent(Payload):
    """The leader changes an agent's circuit. The event's `to` has the agents that depend on that agent."""

    agent: Agent
    reason: Words = ""


class CircuitOpened(_CircuitEvent):
    """The agent fails: it gets no work and no requests."""


class CircuitHalfOpened(_CircuitEvent):
    """The agent gets one task as a trial."""


class CircuitClosed(_CircuitEvent):
    """The agent works again."""


EVENTS: Mapping[str, type[BaseModel]] = {
    "circuit_opened": CircuitOpened,
    "circuit_half_opened": CircuitHalfOpened,
    "circuit_closed": CircuitClosed,
}

STATE_AFTER: Mapping[type[BaseModel], Literal["open", "half-open", "closed"]] = {
    CircuitOpened: OPEN,
    CircuitHalfOpened: HALF_OPEN,
    CircuitClosed: CLOSED,
}


IS_GONE = "it is gone, send it no requests"


@dataclass(slots=True)
class Circuit:
    """The circuit breaker of one agent."""

    agent: str
    state: Literal["open", "half-open", "closed"] = CLOSED
    since: str = ""
    position: int = 0  # of the event that changed it
    reason: str = ""
    turns: int = 0  # how often it changed
    tries: int = 0  # how often it opened since it was last closed
    failures: int = 0  # failed tasks in a row
    tried: Literal["", "failed", "done"] = ""  # how the trial went

    @property
    def wait_s(self) -> float:
        """Return the seconds to wait BEFORE the next trial: 0 after a first absence, then twice as long each time."""
        if self.reason == IS_GONE and self.tries <= 1:
            return 0.0
        return min(OPEN_S * float(2 ** min(max(self.tries - 1, 0), 20)), OPEN_S_MAX)


Circuits = dict[str, Circuit]  # by casefolded agent


def fold(circuits: Circuits, sequenced: SequencedEvent) -> str | None:
    match sequenced.payload:
        case TaskFailed():
            one = _of(circuits, sequenced.event.actor)
            one.failures, one.tried = one.failures + 1, "failed"
        case TaskFinished():
            if sequenced.event.actor.casefold() in circuits:
                one = circuits[sequenced.event.actor.casefold()]
                one.failures, one.tried = 0, "done"
        case _CircuitEvent() as change:
            return _change_state(circuits, sequenced, change)
    return None


def _change_state(circuits: Circuits, sequenced: SequencedEvent, change: _CircuitEvent) -> str | None:
    one = _of(circuits, change.agent)
    one.state, one.since, one.reason = STATE_AFTER[type(change)], sequenced.event.timestamp, change.reason
    one.position = sequenced.position
    one.turns, one.tried, one.failures = one.turns + 1, "", 0
    one.tries = {OPEN: one.tries + 1, HALF_OPEN: one.tries, CLOSED: 0}[one.state]
    return None


def _of(circuits: Circuits, agent: str) -> Circuit:
    key = agent.casefold()
    if key not in circuits:
        if len(circuits) >= KNOWN_MAX:
            del circuits[next(iter(circuits))]
        circuits[key] = Circuit(agent)
    return circuits[key]


def duty(circuits: Circuits, ctx: Context) -> Iterator[Duty]:
    """Yield the state changes of circuits that are due."""
    needed: dict[str, list[str]] = {}
    for agent in ctx.state("agents").agents.values():
        for other in agent.depends_on:
            needed.setdefault(other.casefold(), []).append(agent.id)
    for key, agent in ctx.state("agents").agents.items():
        one = circuits.get(key)
        if one is None and agent.liveness == GONE and key in needed:
            one = Circuit(agent.id)
        change = TRANSITIONS[one.state](one, agent, ctx, key in needed) if one is not None else None
        if one is not None and change is not None:
            type_, reason = change
            yield Duty(
                type_,
                f"{agent.id}: {reason}",
                f"circuit:{agent.registration}:{one.turns}",
                {"agent": agent.id, "reason": reason},
                tuple(needed.get(key, ())[:100]),
                agent.registration,
            )


def _when_closed(one: Circuit, agent: roster.Agent, ctx: Context, needed: bool) -> tuple[str, str] | None:
    if agent.liveness == GONE and needed:
        return "circuit_opened", IS_GONE
    if one.failures >= FAILURES_MAX:
        return "circuit_opened", f"{one.failures} of its tasks failed in a row: send it no requests"
    return None


def _when_open(one: Circuit, agent: roster.Agent, ctx: Context, needed: bool) -> tuple[str, str] | None:
    if agent.liveness != GONE and ctx.age_s(one.since, one.position) >= one.wait_s:
        return "circuit_half_opened", "it gets one task as a trial"
    return None


def _when_half_open(one: Circuit, agent: roster.Agent, ctx: Context, needed: bool) -> tuple[str, str] | None:
    if agent.liveness == GONE:
        return "circuit_opened", "it is gone again, send it no requests"
    if one.tried == "failed":
        return "circuit_opened", "the trial failed, send it no requests"
    if one.tried == "done" or ctx.age_s(one.since, one.position) >= QUIET_S:
        return "circuit_closed", "it works again"
    return None


Transition = Callable[[Circuit, roster.Agent, Context, bool], "tuple[str, str] | None"]
TRANSITIONS: Mapping[str, Transition] = {CLOSED: _when_closed, OPEN: _when_open, HALF_OPEN: _when_half_open}


def to_row(one: Circuit, ctx: Context) -> dict[str, Any]:
    tried_from = times.later(one.since, one.wait_s) if one.state == OPEN else None
    return {
        "agent": one.agent,
        "circuit": one.state,
        "since": one.since or None,
        "reason": one.reason,
        "failures": one.failures,
        "half_open_from": tried_from,
    }


def why_not_ask(ctx: Context, agent: str) -> str | None:
    """Return why nobody should send `agent` a request now; None unless its circuit is open."""
    one: Circuit | None = ctx.state("recovery").circuits.get(agent.casefold())
    if one is None or one.state != OPEN:
        return None
    known = agents.get(ctx, agent)
    is_gone = known is not None and known.liveness == GONE
    again = "when it is back" if is_gone else f"from {times.later(one.since, one.wait_s)}"
    return f"{one.agent}: {one.reason} (try again {again})"
