"""Queries about agents: list them, show one with its dependencies, and show the start order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gitcoord.core.commands import Arguments, Context
from gitcoord.core.format.keys import fingerprint
from gitcoord.core.liveness import GONE, GOODBYE, SILENT
from gitcoord.core.lookup import member
from gitcoord.features.agents import dependencies, roster
from gitcoord.features.agents.presence import get, liveness, status
from gitcoord.features.agents.roster import Agent
from gitcoord.features.typed import AgentGiven, Agents, CapabilityGiven

StatusShown = Literal["active", "busy", "idle", "input-required", "paused", "offline", "gone"]


class ListAgents(Arguments):
    capability: CapabilityGiven | None = Field(None, description="Only agents with this capability")
    status: StatusShown | None = Field(None, description="Only agents with this status")
    registered: bool = Field(False, description="Only registered agents, not every member")


class ShowAgent(Arguments):
    agent: AgentGiven = Field(description="Agent id")


class OrderAgents(Arguments):
    agents: Agents = Field([], description="Agents, with all that they depend on (default: all agents)")
    down: bool = Field(False, description="Only agents that are gone or offline, in the order in which to restore them")


def list_(ctx: Context, args: ListAgents) -> list[dict[str, Any]]:
    agents: Mapping[str, Agent] = ctx.state("agents").agents
    rows = [to_row(ctx, agent) for agent in agents.values()]
    if not args.registered:
        rows += [
            _member(ctx, one.id) for key, one in ctx.fleet.members.by_id.items() if key not in agents and not one.left
        ]
    wanted = args.capability.strip().casefold() if args.capability else None
    return [
        row
        for row in rows
        if (wanted is None or wanted in row["capabilities"]) and (args.status is None or args.status == row["status"])
    ]


def show(ctx: Context, args: ShowAgent) -> dict[str, Any]:
    known = get(ctx, args.agent)
    if known is None:
        return _member(ctx, member(ctx, args.agent))
    needs = [
        {"agent": one, "status": status(ctx, other) if (other := get(ctx, one)) else "not registered"}
        for one in known.depends_on
    ]
    dependants = dependencies.dependants(roster.graph(ctx.state("agents")), known.key)
    names = {key: one.id for key, one in ctx.state("agents").agents.items()}
    return {**to_row(ctx, known), "needs": needs, "needed_by": [names[key] for key in dependants]}


def order(ctx: Context, args: OrderAgents) -> list[dict[str, Any]]:
    state = ctx.state("agents")
    graph = roster.graph(state)
    chosen = [member(ctx, one).casefold() for one in args.agents] or list(graph)
    wanted = {one for first in chosen for one in (first, *dependencies.requirements(graph, first))}
    if args.down:
        wanted = {one for one in wanted if _is_down(ctx, one)}
    names = {one: found.id if (found := ctx.fleet.members.get(one)) else one for one in wanted}
    return [
        {"layer": number, "agents": [names[one] for one in layer]}
        for number, layer in enumerate(dependencies.layers(graph, wanted), start=1)
    ]


def _is_down(ctx: Context, agent: str) -> bool:
    known = get(ctx, agent)
    return known is None or liveness(ctx, known) in (GONE, GOODBYE, SILENT) or known.status == "offline"


def to_row(ctx: Context, agent: Agent) -> dict[str, Any]:
    return {
        "agent": agent.id,
        "status": status(ctx, agent),
        "liveness": liveness(ctx, agent),
        "role": agent.role,
        "capabilities": agent.capabilities,
        "task": agent.task,
        "workload": agent.workload,
        "slots": agent.slots,
        "accept_assignments": agent.accept_assignments,
        "depends_on": agent.depends_on,
        "backup": agent.backup,
        "node": agent.node,
        "supervised": agent.supervised,
        "stands_in_for": list(agent.stands_in),
        "about": agent.about,
        "since": agent.since,
        "registered": True,
        **_membership(ctx, agent.id),
    }


def _member(ctx: Context, agent: str) -> dict[str, Any]:
    seen = ctx.liveness.get(agent.casefold())
    return {
        "agent": agent,
        "status": None,
        "liveness": seen.state if seen else SILENT,
        "role": "",
        "capabilities": [],
        "task": "",
        "workload": None,
        "slots": None,
        "accept_assignments": False,
        "depends_on": [],
        "backup": None,
        "node": seen.node if seen else None,
        "supervised": False,
        "stands_in_for": [],
        "about": "",
        "since": None,
        "registered": False,
        **_membership(ctx, agent),
    }


def _membership(ctx: Context, agent: str) -> dict[str, Any]:
    known = ctx.fleet.members.get(agent)
    return {
        "rights": known.role if known else None,
        "key": fingerprint(known.key) if known else None,
        "github": known.github or None if known else None,
    }


COLUMNS = ("agent", "status", "liveness", "role", "capabilities", "task", "workload")
