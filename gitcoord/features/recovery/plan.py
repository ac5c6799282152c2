"""Plan: the leader handles an agent that is gone by one strategy after the other, as the fleet has configured them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.core.liveness import ALIVE, GONE
from gitcoord.features import agents, autonomy
from gitcoord.features.agents import watching
from gitcoord.features.agents.roster import Agent
from gitcoord.features.recovery import circuits
from gitcoord.features.recovery.state import LACKING_MAX, Loss, Recovery, State
from gitcoord.features.tasks import duties as task_duties

WINDOW_S = 3600.0  # the window of the setting `restarts_max`
RECIPIENTS_MAX = 100  # dependants named in one event

Strategy = Literal["restart", "backup", "redistribute", "degrade", "escalate"]


@dataclass(frozen=True, slots=True)
class Case:
    """One agent that is gone, as the leader sees it. `number`: the count of the agent's changes of liveness."""

    ctx: Context
    agent: Agent
    number: int
    loss: Loss
    recovery: Recovery | None  # None: it begins now
    losses: Sequence[str]  # when this agent was lost lately, oldest first

    def duty(self, type_: str, words: str, *, to: Iterable[str] = (), **data: Any) -> Duty:
        return Duty(
            type_,
            f"{self.agent.id} {words}",
            f"{type_}:{self.agent.registration}:{self.number}",
            {"agent": self.agent.id, **data},
            tuple(to)[:RECIPIENTS_MAX],
            self.agent.registration,
        )

    @property
    def repeated(self) -> bool:
        """Return whether the agent was lost more often within WINDOW_S than `restarts_max` permits."""
        since = times.later(self.ctx.now, -WINDOW_S)
        most: int = _settings(self.ctx).restarts_max
        return sum(at >= since for at in self.losses) > most


def duty(state: State, ctx: Context) -> Iterator[Duty]:
    """Yield the duties of all recoveries. A recovery begins in the same tick that finds the agent lost."""
    strategies: Sequence[Strategy] = _settings(ctx).recovery
    yield from circuits.duty(state.circuits, ctx)
    for case in _cases(state, ctx) if strategies else ():
        if case.recovery is None:
            begun = autonomy.gate(
                ctx,
                "recovery",
                case.duty("recovery_started", f"is recovered: {case.loss.reason}", reason=case.loss.reason),
            )
            yield from begun
            if not any(one.type == "recovery_started" for one in begun):
                continue  # it waits for approval
        yield from _steps(case, strategies)


def _cases(state: State, ctx: Context) -> Iterator[Case]:
    known: Mapping[str, Agent] = ctx.state("agents").agents
    for key, loss in state.lost.items():
        agent, recovery = known.get(key), state.recoveries.get(loss.recovery)
        is_open = not loss.recovery or (recovery is not None and not recovery.outcome)
        if agent is not None and agent.liveness == GONE and is_open:
            yield Case(ctx, agent, agent.changes, loss, recovery, state.losses.get(key, ()))
    for agent, seen in watching.lost(ctx.state("agents"), ctx):
        if agent.key not in state.lost:
            loss = Loss(ctx.now, reported=False, reason=f"silent for {seen.silent_s:.1f} s")
            yield Case(ctx, agent, agent.changes + 1, loss, None, [*state.losses.get(agent.key, ()), ctx.now])


def _steps(case: Case, strategies: Sequence[Strategy]) -> Iterator[Duty]:
    """Yield the duties of the next strategy that applies."""
    for strategy in strategies:
        step = case.recovery.tried(strategy) if case.recovery is not None else None
        if step is not None:
            if strategy == "restart" and case.ctx.age_s(step.at, step.position) < _settings(case.ctx).recovery_wait_s:
                return
            continue
        duties, is_enough = STRATEGIES[strategy](case)
        yield from duties
        if is_enough:
            if strategy in ("backup", "redistribute") and case.repeated and "escalate" in strategies:
                yield from _escalate(case)[0]
            return
    if "escalate" not in strategies and not ("degrade" in strategies and _missing(case)):
        yield case.duty("recovery_failed", "is not recovered: every configured strategy was tried")


Done = tuple[list[Duty], bool]  # the duties to append, and whether they are enough


def _restart(case: Case) -> Done:
    """Request a restart, if the agent's supervisor is alive and the agent was not lost too often."""
    ctx, agent = case.ctx, case.agent
    neighbour = any(one.node == agent.node and one.state == ALIVE for one in ctx.liveness.values())
    if not agent.supervised or case.repeated or not (case.loss.reported or neighbour):
        return [], False
    return [case.duty("restart_requested", f"must be restarted on {agent.node}", node=agent.node)], True


def _backup(case: Case) -> Done:
    """Activate the first available agent in the chain of backups: the agent's backup, the backup's backup, …"""
    free = {one.key: one for one in agents.available(case.ctx)}
    passed = {case.agent.key}
    name = case.agent.backup
    while name is not None and name.casefold() not in passed:
        backup = free.get(name.casefold())
        if backup is not None:
            activated = case.duty(
                "backup_activated", f"is gone: {backup.id} replaces it", to=[backup.id], backup=backup.id
            )
            return [activated, *_released(case)], True
        passed.add(name.casefold())
        known = agents.get(case.ctx, name)
        name = known.backup if known is not None else None
    return [], False


def _redistribute(case: Case) -> Done:
    """Release the agent's tasks for other agents. This is not enough if a capability or a dependency is missing."""
    released = _released(case)
    words = f"is gone: {len(released)} of its tasks go to others"
    redistributed = case.duty("work_redistributed", words, tasks=len(released))
    return [*released, redistributed], not _missing(case)


def _degrade(case: Case) -> Done:
    missing = _missing(case)
    if not missing:
        return [], False
    capabilities, dependants = missing
    lacks = "; ".join(
        part
        for part in (
            f"no other agent can do {', '.join(capabilities[:5])}" if capabilities else "",
            f"it is needed by {', '.join(dependants[:5])}" if dependants else "",
        )
        if part
    )
    return [
        case.duty(
            "fleet_degraded",
            f"is gone: {lacks}",
            to=dependants,
            capabilities=capabilities[:LACKING_MAX],
            dependants=dependants[:LACKING_MAX],
        )
    ], False


def _escalate(case: Case) -> Done:
    reason = f"was lost {len(case.losses)} times in a row" if case.repeated else "cannot be recovered"
    return [case.duty("escalated", f"{reason}: a person must take care of it", reason=reason)], True


STRATEGIES: Mapping[str, Any] = {
    "restart": _restart,
    "backup": _backup,
    "redistribute": _redistribute,
    "degrade": _degrade,
    "escalate": _escalate,
}


def _released(case: Case) -> list[Duty]:
    """Return the releases of the agent's assigned tasks.

    An agent that claims tasks itself keeps them until its lease ends, because a person may restart it.
    """
    if not case.agent.accept_assignments:
        return []
    return task_duties.release_all(case.ctx.state("tasks"), case.agent.id, f"{case.agent.id} is gone")


def _missing(case: Case) -> tuple[list[str], list[str]] | None:
    """Return the capabilities that no agent has any more, and the agents that depend on it; None if both are empty."""
    others = {
        capability for one in agents.available(case.ctx) if one.key != case.agent.key for capability in one.capabilities
    }
    capabilities = [one for one in case.agent.capabilities if one not in others]
    dependants = [
        one.id
        for one in case.ctx.state("agents").agents.values()
        if any(needed.casefold() == case.agent.key for needed in one.depends_on)
    ]
    return (capabilities, dependants) if capabilities or dependants else None


def _settings(ctx: Context) -> Any:
    return ctx.state("settings").settings
