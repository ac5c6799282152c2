"""Directives and their parts: each agent has one, which is open, done, or failed; the plan may replace a failed one.

If a part fails, the leader carries out the plan by a duty with the key `contingency:ID:AGENT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gitcoord.core import times
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold import quotas
from gitcoord.core.fold.authority import Asked, Persons, Resolver, Whose, owned
from gitcoord.core.format.event import Event
from gitcoord.features.directives.events import (
    TEXT_KEPT,
    ContingencyPlan,
    DirectiveAcknowledged,
    DirectiveDone,
    DirectiveEscalated,
    DirectiveFailed,
    DirectiveIssued,
    DirectiveReassigned,
    DirectiveWithdrawn,
)
from gitcoord.features.typed import Priority

OPEN_MAX = 500  # at a time
PARTS_MAX = 20_000  # of all open directives: the leader checks each part at every tick
OVER_MAX = 200  # closed directives that are kept

CONTINGENCY = "contingency:"


@dataclass(slots=True)
class Part:
    """One agent's part of a directive. `followed`: what the plan did after a failure (task, agent, escalate)."""

    agent: str
    status: Literal["open", "done", "failed"] = "open"
    acknowledged: str = ""  # when
    words: str = ""  # its result, or why it failed
    followed: str = ""

    @property
    def replaced(self) -> bool:
        return self.followed in ("task", "agent")


@dataclass(slots=True)
class Directive:
    """An order. `parts` by casefolded agent."""

    id: str
    position: int
    at: str
    issuer: str
    text: str  # its beginning
    capability: str | None
    priority: Priority
    must_acknowledge: list[str]  # casefolded
    ack_s: float | None
    plan: ContingencyPlan | None
    parts: dict[str, Part]
    withdrawn: bool = False

    @property
    def ack_by(self) -> str | None:
        """Return the ledger time by which it must be acknowledged."""
        return None if self.ack_s is None else times.later(self.at, self.ack_s)

    @property
    def status(self) -> str:
        """Return withdrawn, open, failed (a part failed and nothing replaced it) or done."""
        if self.withdrawn:
            return "withdrawn"
        failed = [part for part in self.parts.values() if part.status == "failed"]
        if any(part.status == "open" for part in self.parts.values()) or (
            self.plan is not None and any(not part.followed for part in failed)
        ):
            return "open"
        return "done" if all(part.replaced for part in failed) else "failed"


@dataclass(slots=True)
class State:
    open: dict[str, Directive] = field(default_factory=dict)  # by id, oldest first
    over: dict[str, Directive] = field(default_factory=dict)


def _assignees(state: State, asked: Asked, persons: Persons) -> Whose | None:
    one = state.open.get(asked.re or "") or state.over.get(asked.re or "")
    return Whose("a recipient of the directive", one.parts.__contains__) if one is not None else None


def _issuer(state: State, asked: Asked, persons: Persons) -> Whose | None:
    one = state.open.get(asked.re or "")
    return owned(one.issuer, "whose directive it is") if one is not None else None


WHOSE: Mapping[str, Resolver] = {
    "directive_acknowledged": _assignees,
    "directive_done": _assignees,
    "directive_failed": _assignees,
    "directive_withdrawn": _issuer,
}


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    event, payload = sequenced.event, sequenced.payload
    if sequenced.void is not None or payload is None:
        return None
    match payload:
        case DirectiveIssued():
            return _issue(state, sequenced, payload)
        case DirectiveAcknowledged() | DirectiveDone() | DirectiveFailed():
            return _report(state, event, payload)
        case DirectiveWithdrawn():
            return _withdraw(state, event)
    duty = event.data.get("duty") if event.term is not None else None
    if isinstance(duty, str) and duty.startswith(CONTINGENCY):
        return _follow(state, duty, sequenced)
    return None


def _issue(state: State, sequenced: SequencedEvent, payload: DirectiveIssued) -> str | None:
    event = sequenced.event
    if len(state.open) >= OPEN_MAX:
        return f"{OPEN_MAX} directives are open already: withdraw some"
    if sum(len(one.parts) for one in state.open.values()) + len(payload.agents) > PARTS_MAX:
        return f"{PARTS_MAX:,} answers to directives are pending already: withdraw some"
    own = [one for one in state.open.values() if one.issuer == event.actor]
    if len(own) >= quotas.DIRECTIVES_OPEN:
        return quotas.full(event.actor, "directives open", quotas.DIRECTIVES_OPEN, "withdraw some")
    if sum(len(one.parts) for one in own) + len(payload.agents) > quotas.PARTS_OPEN:
        return quotas.full(event.actor, "answers to directives pending", quotas.PARTS_OPEN, "withdraw some")
    state.open[event.uid] = Directive(
        event.uid,
        sequenced.position,
        event.timestamp,
        event.actor,
        event.content[:TEXT_KEPT],
        payload.capability,
        payload.priority,
        [one.casefold() for one in payload.acknowledge],
        payload.ack_s,
        payload.plan,
        {agent.casefold(): Part(agent) for agent in payload.agents},
    )
    return None


def why_not(one: Directive | None, agent: str) -> str | None:
    """Return why an agent's report on a directive has no effect; None if its part is open."""
    if one is None or one.status != "open":
        return f"it is {one.status} already" if one is not None else "no directive has this id"
    part = one.parts.get(agent.casefold())
    if part is None:
        return f"it is not for {agent}"  # the fold voids it too; the command refuses it first
    return None if part.status == "open" else f"{agent}'s part is {part.status} already"


def _report(state: State, event: Event, payload: DirectiveAcknowledged | DirectiveDone | DirectiveFailed) -> str | None:
    one = state.open.get(event.re or "") or state.over.get(event.re or "")
    reason = why_not(one, event.actor)
    if reason is not None or one is None:
        return reason
    part = one.parts[event.actor.casefold()]
    part.acknowledged = part.acknowledged or event.timestamp
    match payload:
        case DirectiveDone(result=result):
            part.status, part.words = "done", result[:TEXT_KEPT]
        case DirectiveFailed(reason=why):
            part.status, part.words = "failed", why[:TEXT_KEPT]
    _settle(state, one)
    return None


def _withdraw(state: State, event: Event) -> str | None:
    one = state.open.get(event.re or "")
    if one is None:
        return "this directive is closed already"
    one.withdrawn = True
    _settle(state, one)
    return None


def _follow(state: State, duty: str, sequenced: SequencedEvent) -> str | None:
    """Apply the leader's event that follows the plan for an agent's failure."""
    uid, _, agent = duty.removeprefix(CONTINGENCY).partition(":")
    one = state.open.get(uid)
    part = one.parts.get(agent) if one is not None else None
    if one is None or part is None or part.followed or part.status == "done":
        return "this part is done, or the plan took effect for it already"
    part.status, part.words = "failed", part.words or sequenced.event.content[:TEXT_KEPT]
    match sequenced.payload:
        case DirectiveReassigned(agent=other):
            part.followed = "agent"
            one.parts.setdefault(other.casefold(), Part(other))
        case DirectiveEscalated():
            part.followed = "escalate"
        case _:
            part.followed = "task"
    _settle(state, one)
    return None


def _settle(state: State, one: Directive) -> None:
    if one.status != "open":
        del state.open[one.id]
        state.over[one.id] = one
        if len(state.over) > OVER_MAX:
            del state.over[next(iter(state.over))]
