"""Presence: who takes part, how each agent is as far as one can see from here, and who can be given work."""

from __future__ import annotations

from collections.abc import Mapping

from gitcoord.core.commands import Context
from gitcoord.core.liveness import ALIVE, GONE, GOODBYE, SILENT
from gitcoord.features.agents.roster import Agent


def get(ctx: Context, agent: str) -> Agent | None:
    """The registered agent of that id, in any case."""
    found: Agent | None = ctx.state("agents").agents.get(agent.casefold())
    return found


def liveness(ctx: Context, agent: Agent) -> str:
    """How it is as far as one knows here: by its heartbeats as they were last seen, else by the ledger's word."""
    standing = ctx.liveness.get(agent.key)
    if standing is None:
        return SILENT if ctx.liveness and agent.liveness == ALIVE else agent.liveness
    return GONE if agent.ended and standing.session == agent.ended else standing.state


def status(ctx: Context, agent: Agent) -> str:
    """As shown: what it says of itself, unless it is gone or has said goodbye."""
    return {GONE: "gone", GOODBYE: "offline"}.get(liveness(ctx, agent), agent.status)


def away(ctx: Context, agent: Agent) -> str:
    """Why it cannot be given work now, whatever its load; "" when it can.

    Where nothing has been seen at all yet, the ledger's word counts.
    """
    shown_status = status(ctx, agent)
    if shown_status in ("gone", "paused", "offline"):
        return f"it is {shown_status}"
    if liveness(ctx, agent) == SILENT:
        return "it does not run anywhere that is seen"
    circuit = ctx.state("recovery").circuits.get(agent.key)
    return circuit.reason if circuit is not None and circuit.state == "open" else ""


def available(ctx: Context) -> list[Agent]:
    """Who can be given work now."""
    agents: Mapping[str, Agent] = ctx.state("agents").agents
    return [one for one in agents.values() if not away(ctx, one)]
