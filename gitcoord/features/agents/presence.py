"""Presence: which agents are alive, as seen from here, and which of them can be given work."""

from __future__ import annotations

from collections.abc import Mapping

from gitcoord.core import liveness as liveness_
from gitcoord.core.commands import Context
from gitcoord.core.liveness import GONE, GOODBYE, SILENT
from gitcoord.features.agents.roster import Agent


def get(ctx: Context, agent: str) -> Agent | None:
    """Return the registered agent of that id, in upper or lower case."""
    found: Agent | None = ctx.state("agents").agents.get(agent.casefold())
    return found


def liveness(ctx: Context, agent: Agent) -> str:
    """Return the agent's liveness as known here: by its last heartbeats, otherwise by the ledger."""
    return liveness_.shown(
        ctx.liveness.get(agent.key), recorded=agent.liveness, ended=agent.ended, looked=bool(ctx.liveness)
    )


def status(ctx: Context, agent: Agent) -> str:
    """Return the status to show: the agent's own report, unless it is gone or said goodbye."""
    return {GONE: "gone", GOODBYE: "offline"}.get(liveness(ctx, agent), agent.status)


def away(ctx: Context, agent: Agent) -> str:
    """Return why the agent cannot be given work now, whatever its load; "" if it can.

    If this node has seen no heartbeats yet, the ledger's record counts.
    """
    shown_status = status(ctx, agent)
    if shown_status in ("gone", "paused", "offline"):
        return f"it is {shown_status}"
    if liveness(ctx, agent) == SILENT:
        return "no heartbeat of it has been seen"
    circuit = ctx.state("recovery").circuits.get(agent.key)
    return circuit.reason if circuit is not None and circuit.state == "open" else ""


def available(ctx: Context) -> list[Agent]:
    """Return the agents that can be given work now."""
    agents: Mapping[str, Agent] = ctx.state("agents").agents
    return [one for one in agents.values() if not away(ctx, one)]
