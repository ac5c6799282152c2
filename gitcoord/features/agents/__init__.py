"""Agents: each reports its capabilities, its dependencies and its backup; the leader reports which are gone or back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitcoord.core.commands import Context, NewEvent
from gitcoord.features.agents import admission, presence, roster, watching
from gitcoord.features.agents import commands as agent_commands
from gitcoord.features.agents import events as agent_events
from gitcoord.features.agents.events import AgentRegistered

EVENTS = agent_events.EVENTS
AUTHORITY = agent_events.AUTHORITY
WHOSE = agent_events.WHOSE
COMMANDS = {**agent_commands.COMMANDS, **admission.COMMANDS}
State = roster.State
Agent = roster.Agent
fold = roster.fold
duty = watching.duty

get = presence.get
liveness = presence.liveness
status = presence.status
away = presence.away
available = presence.available


def enrolled(
    ctx: Context, *, capabilities: Sequence[str] = (), slots: int = 1, accepts: bool = False
) -> list[NewEvent]:
    """Return the events to write when `ctx.actor` begins to work: none if the ledger has them already.

    An agent that registered before keeps its role, its dependencies and its backup. `slots`: tasks at a time.
    `accepts`: the leader may assign tasks to the agent.
    """
    known = get(ctx, ctx.actor)
    valid = AgentRegistered.model_validate({"capabilities": list(capabilities)}).capabilities
    wanted: dict[str, Any] = {"capabilities": list(dict.fromkeys(valid)), "slots": slots, "accept_assignments": accepts}
    if known is not None:
        wanted["capabilities"] = wanted["capabilities"] or known.own
        wanted["accept_assignments"] = accepts or known.accept_assignments
    events = []
    if known is None or [known.own, known.slots, known.accept_assignments] != list(wanted.values()):
        events.append(agent_commands.registration(ctx.actor, {**agent_commands.last_registration(known), **wanted}))
    if known is None or known.status in ("idle", "offline"):
        events.append(NewEvent("agent_status_changed", f"{ctx.actor} is active", {"status": "active"}))
    return events


def announced(ctx: Context, **payload: Any) -> list[NewEvent]:
    """Return the events that a supervisor writes for `ctx.actor` BEFORE it starts it: none if the ledger has them.

    `payload`: the fields of `AgentRegistered`. Raise Refused if the registration is not valid.
    """
    known = get(ctx, ctx.actor)
    wanted = AgentRegistered.model_validate({**payload, "supervised": True}).model_dump()
    if known is not None and known.node == ctx.node and agent_commands.last_registration(known) == wanted:
        return []
    return [agent_commands.validated(ctx, wanted)]
