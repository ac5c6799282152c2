"""Recovery: an agent that is gone is restarted, or replaced, or its work goes to other agents, or people are alerted.

The leader tries one strategy after the other, in the order of the setting `recovery`, and the state has each outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gitcoord.core.commands import Arguments, Command, Context, Query
from gitcoord.core.fields import Given
from gitcoord.core.lookup import find, member
from gitcoord.features.recovery import circuits
from gitcoord.features.recovery import plan as recovery_plan
from gitcoord.features.recovery import state as recovery_state
from gitcoord.features.recovery.state import AUTOMATIC, Recovery, to_row
from gitcoord.features.typed import AgentGiven

EVENTS = recovery_state.EVENTS
AUTHORITY = recovery_state.AUTHORITY
State = recovery_state.State
fold = recovery_state.fold
duty = recovery_plan.duty


class ListRecoveries(Arguments):
    agent: AgentGiven | None = Field(None, description="Only failures of this agent")
    open: bool = Field(False, description="Only open failures")


class ShowRecovery(Arguments):
    id: Given | None = Field(None, description="Recovery id (default: the newest)")


def list_(ctx: Context, args: ListRecoveries) -> list[dict[str, Any]]:
    agent = member(ctx, args.agent) if args.agent is not None else None
    found: list[Recovery] = list(ctx.state("recovery").recoveries.values())
    return [
        {**to_row(one), "strategies": [step.strategy for step in one.steps if step.strategy]}
        for one in found
        if agent in (None, one.agent) and not (args.open and one.outcome)
    ]


def show(ctx: Context, args: ShowRecovery) -> dict[str, Any]:
    known: Mapping[str, Recovery] = ctx.state("recovery").recoveries
    if args.id is None:
        return to_row(list(known.values())[-1]) if known else {}
    return to_row(known[find(ctx, known, args.id, "recovery", shown_by="recovery list")])


def rate(ctx: Context, args: Arguments) -> dict[str, Any]:
    state = ctx.state("recovery")
    ended = sum(state.outcomes.values())
    automatic = sum(state.outcomes.get(one, 0) for one in AUTOMATIC)
    return {
        "recoveries": ended,
        "automatic": automatic,
        "rate": round(automatic / ended, 5) if ended else None,
        "mean_s": round(state.seconds / ended, 3) if ended else None,
        "outcomes": {name: count for name, count in sorted(state.outcomes.items()) if count},
        "lasting": sum(not one.outcome for one in state.recoveries.values()),
    }


def list_circuits(ctx: Context, args: Arguments) -> list[dict[str, Any]]:
    return [
        circuits.to_row(one, ctx)
        for one in ctx.state("recovery").circuits.values()
        if one.state != circuits.CLOSED or one.failures
    ]


COMMANDS: Mapping[str, Command | Query] = {
    "recovery list": Query(
        help="List agent failures and how they were handled",
        example="gitcoord recovery list --open",
        arguments=ListRecoveries,
        ask=list_,
        columns=("id", "agent", "outcome", "strategies", "lost", "seconds"),
    ),
    "recovery show": Query(
        help="Show a recovery, step by step",
        example="gitcoord recovery show",
        arguments=ShowRecovery,
        ask=show,
        positional=("id",),
    ),
    "recovery rate": Query(
        help="Show how many recoveries were automatic, and how long they took",
        example="gitcoord recovery rate",
        arguments=Arguments,
        ask=rate,
    ),
    "recovery circuits": Query(
        help="List failing agents, and when each is tried again",
        example="gitcoord recovery circuits",
        arguments=Arguments,
        ask=list_circuits,
        columns=("agent", "circuit", "failures", "reason", "half_open_from"),
    ),
}
