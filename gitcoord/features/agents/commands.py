"""Commands about agents: register, report a status, mute, and leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gitcoord.core import times
from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fields import Label, Span, Words
from gitcoord.core.fold.membership import Login
from gitcoord.core.lookup import member
from gitcoord.features.agents import admission, dependencies, events, roster
from gitcoord.features.agents.events import NEEDS_MAX, SLOTS_MAX, TaskWords
from gitcoord.features.agents.presence import get
from gitcoord.features.agents.queries import COLUMNS, ListAgents, OrderAgents, ShowAgent, list_, order, show, to_row
from gitcoord.features.agents.roster import Agent
from gitcoord.features.typed import AgentGiven, Capabilities


class RegisterAgent(Arguments):
    capabilities: Capabilities = Field([], description="Its capabilities, such as python,backend")
    role: Label = Field("", description="Its role, in a word")
    depends_on: list[AgentGiven] = Field([], max_length=NEEDS_MAX, description="An agent that it depends on")
    backup: AgentGiven | None = Field(None, description="The agent that replaces it when it is gone")
    slots: int = Field(1, ge=1, le=SLOTS_MAX, description="How many tasks at a time")
    about: Words = Field("", description="One sentence about it")
    accept_assignments: bool = Field(False, description="May be assigned tasks")


class SetAgent(Arguments):
    agent: AgentGiven | None = Field(None, description="Agent id (default: your own)")
    status: events.Status | None = Field(None, description="The agent's status")
    task: TaskWords | None = Field(None, description="The current work, in words; '' for none")
    workload: float | None = Field(None, ge=0, le=1, description="The workload, from 0 to 1")
    capabilities: Capabilities | None = Field(None, description="Replace its capabilities")
    role: Label | None = Field(None, description="Replace its role")
    depends_on: list[AgentGiven] | None = Field(
        None, max_length=NEEDS_MAX, description="Replace the agents that it depends on"
    )
    backup: AgentGiven | None = Field(None, description="The agent that replaces it when it is gone; '' for none")
    slots: int | None = Field(None, ge=1, le=SLOTS_MAX, description="How many tasks it works on at a time")
    github: Login | None = Field(
        None, description="Its GitHub account, to be confirmed by an admin or by `agent prove`"
    )


class WithdrawAgent(Arguments):
    agent: AgentGiven | None = Field(None, description="Agent id (default: your own)")


class MuteAgent(Arguments):
    agent: AgentGiven = Field(description="Agent id")
    for_s: Span | None = Field(
        None, alias="for", description="How long: 90s, 15m, 2h, 3d (default: until it is unmuted)"
    )
    why: Words = Field("", description="The reason, shown to other agents")


class UnmuteAgent(Arguments):
    agent: AgentGiven = Field(description="Agent id")


def last_registration(known: Agent | None) -> dict[str, Any]:
    """Return the payload of the agent's newest registration; empty if it never registered."""
    if known is None:
        return {}
    return {name: getattr(known, name) for name in events.AgentRegistered.model_fields} | {"capabilities": known.own}


def registration(actor: str, data: Mapping[str, Any]) -> NewEvent:
    """Return the event that registers `actor`. `data`: the payload of `AgentRegistered`, which is not checked here."""
    can = f" for {', '.join(data['capabilities'])}" if data["capabilities"] else ""
    return NewEvent("agent_registered", f"{actor} registers{can}", data)


def register(ctx: Context, args: RegisterAgent) -> list[NewEvent]:
    return [validated(ctx, args.model_dump())]


def set_(ctx: Context, args: SetAgent) -> list[NewEvent]:
    agent = member(ctx, args.agent or ctx.actor)
    claims = [] if args.github is None else [admission.claimed(ctx, args.github)]
    known = get(ctx, agent)
    changes = args.model_dump(exclude={"agent", "github"}, exclude_none=True)
    if claims and agent != ctx.actor:
        raise Refused(f"only {agent} can name its account; an admin confirms it with `gitcoord agent confirm`")
    if claims and not changes:
        return claims
    if known is None:
        raise Refused(f"{agent} is not registered: run `gitcoord agent register` first")
    report: dict[str, Any] = {name: changes.pop(name) for name in ("status", "task", "workload") if name in changes}
    if changes and agent != ctx.actor:
        raise Refused(f"only {agent} can change its own registration: act as that agent with --as")
    if not changes and not report:
        raise Refused("nothing to set: name what changes, such as --status busy (`gitcoord agent set --help`)")
    new_events = []
    if changes:
        backup = changes.get("backup", known.backup) or None
        new_events.append(validated(ctx, {**last_registration(known), **changes, "backup": backup}))
    if report:
        words = ", ".join(f"{name} {value}" for name, value in report.items())
        new_events.append(NewEvent("agent_status_changed", f"{known.id}: {words}", {"agent": known.id, **report}))
    return claims + new_events


def validated(ctx: Context, data: Mapping[str, Any]) -> NewEvent:
    """Return the actor's registration. Raise Refused if its data is not valid."""
    others = [member(ctx, one) for one in data["depends_on"]]
    backup = member(ctx, data["backup"]) if data["backup"] is not None else None
    key = ctx.actor.casefold()
    if backup is not None and backup.casefold() == key:
        raise Refused(f"{ctx.actor} cannot be its own backup: name another agent")
    state = ctx.state("agents")
    path = dependencies.cycle(roster.graph(state), key, needs=[one.casefold() for one in others])
    if path:
        raise Refused(f"{roster.describe_cycle(state, path, ctx.actor)}: leave out one of these dependencies")
    capabilities = list(dict.fromkeys(data["capabilities"]))
    return registration(ctx.actor, {**data, "capabilities": capabilities, "depends_on": others, "backup": backup})


def leave(ctx: Context, args: WithdrawAgent) -> list[NewEvent]:
    known = get(ctx, args.agent or ctx.actor)
    if known is None:
        raise Refused(f"{args.agent or ctx.actor} is not registered: `gitcoord agent list` shows registered agents")
    tasks = ctx.state("tasks")
    held = tasks.held.get(known.key, ()) if known.id == ctx.actor else ()  # the leader releases another agent's tasks
    given_back = [
        NewEvent(
            "task_released",
            f"{known.id} gives it back",
            {"attempt": tasks.tasks[uid].attempt, "reason": f"{known.id} leaves"},
            re=uid,
        )
        for uid in held
    ]
    words = f"{known.id} no longer takes part in the work"
    return [*given_back, NewEvent("agent_unregistered", words, {"agent": known.id})]


def mute(ctx: Context, args: MuteAgent) -> list[NewEvent]:
    agent = _require_admin(ctx, args.agent)
    if agent == ctx.actor:
        raise Refused(f"{agent} cannot mute itself: name another agent")
    until = times.later(ctx.now, args.for_s) if args.for_s is not None else None
    words = f"{ctx.actor} mutes {agent}" + (f" until {times.shown(until)}" if until else "")
    return [
        NewEvent(
            "agent_muted",
            words + (f": {args.why}" if args.why else ""),
            {"agent": agent, "until": until, "reason": args.why},
        )
    ]


def unmute(ctx: Context, args: UnmuteAgent) -> list[NewEvent]:
    agent = _require_admin(ctx, args.agent)
    if ctx.fleet.quotas.mute_of(agent, "") is None:
        return []
    return [NewEvent("agent_unmuted", f"{ctx.actor} unmutes {agent}", {"agent": agent})]


def _require_admin(ctx: Context, agent: str) -> str:
    """Return the id of the member `agent`. Raise Refused if `ctx.actor` is not an admin."""
    known = ctx.fleet.members.get(ctx.actor)
    if known is None or not known.admin:
        admins = [one.id for one in ctx.fleet.members.by_id.values() if one.admin]
        raise Refused(f"only an admin may do this, and {ctx.actor} is not one: ask {' or '.join(admins[:3])}")
    return member(ctx, agent)


def _answer(ctx: Context, uid: str) -> dict[str, Any]:
    known = get(ctx, ctx.actor)
    return {"agent": to_row(ctx, known)} if known is not None else {}


COMMANDS: Mapping[str, Command | Query] = {
    "agent register": Command(
        help="Register an agent for work in the fleet",
        example="gitcoord agent register --capabilities python,backend",
        arguments=RegisterAgent,
        decide=register,
        answer=_answer,
        idempotent=True,
        tool="agent_register",
    ),
    "agent list": Query(
        help="List agents, their capabilities and their health",
        example="gitcoord agent list --status idle",
        arguments=ListAgents,
        ask=list_,
        columns=COLUMNS,
        tool="fleet_show",
    ),
    "agent show": Query(
        help="Show an agent and its dependencies, in both directions",
        example="gitcoord agent show alice",
        arguments=ShowAgent,
        ask=show,
        positional=("agent",),
        tool="fleet_show",
    ),
    "agent set": Command(
        help="Update an agent's status or its registration",
        example="gitcoord agent set --status busy --task 'the parser' --workload 0.7",
        before=("gitcoord agent register --capabilities python",),
        arguments=SetAgent,
        decide=set_,
        positional=("agent",),
        answer=_answer,
        judged=False,
        idempotent=True,
        tool="agent_register",
    ),
    "agent order": Query(
        help="List agents in the order in which they are started or restored, layer by layer",
        example="gitcoord agent order --down",
        arguments=OrderAgents,
        ask=order,
        positional=("agents",),
        columns=("layer", "agents"),
    ),
    "agent mute": Command(
        help="Mute an agent, such as one that floods the fleet: its events have no effect",
        arguments=MuteAgent,
        decide=mute,
        example="gitcoord agent mute bob --for 2h --why 'it loops'",
        positional=("agent",),
        destructive=True,
    ),
    "agent unmute": Command(
        help="Unmute an agent: its new events count again",
        arguments=UnmuteAgent,
        decide=unmute,
        positional=("agent",),
        example="gitcoord agent unmute bob",
        before=("gitcoord agent mute bob",),
        idempotent=True,
    ),
    "agent leave": Command(
        help="Withdraw an agent from work; it stays a member",
        example="gitcoord agent leave",
        before=("gitcoord agent register",),
        arguments=WithdrawAgent,
        decide=leave,
        positional=("agent",),
        destructive=True,
        tool="agent_register",
    ),
}
