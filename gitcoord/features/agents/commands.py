"""What people ask of agents: to register, to say how they are, to be listed, and in which order they start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gitcoord.core import times
from gitcoord.core.commands import Arguments, Command, Look, Proposal, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fields import Label, Span, Words
from gitcoord.core.format.keys import fingerprint
from gitcoord.core.leadership.liveness import GONE, GOODBYE, SILENT
from gitcoord.core.lookup import member
from gitcoord.core.fold.membership import Login
from gitcoord.features.agents import events as said
from gitcoord.features.agents import admission, dependencies, roster
from gitcoord.features.agents.events import NEEDS_MAX, SLOTS_MAX, TaskWords
from gitcoord.features.agents.presence import get, liveness, status
from gitcoord.features.agents.roster import Agent
from gitcoord.features.typed import AgentGiven, Agents, Capabilities, CapabilityGiven

Shown = Literal["active", "busy", "idle", "input-required", "paused", "offline", "gone"]


class Register(Arguments):
    capabilities: Capabilities = Field([], description="What it can do, such as python,backend")
    role: Label = Field("", description="What it is there for, in a word or two")
    depends_on: list[AgentGiven] = Field([], max_length=NEEDS_MAX, description="An agent that it needs")
    backup: AgentGiven | None = Field(None, description="The agent that stands in for it when it is gone")
    slots: int = Field(1, ge=1, le=SLOTS_MAX, description="How many tasks it does at a time")
    about: Words = Field("", description="A sentence about it")


class Set(Arguments):
    agent: AgentGiven | None = Field(None, description="Whose; none: one's own")
    status: said.Status | None = Field(None, description="What it is doing")
    task: TaskWords | None = Field(None, description="What it is at, in words; '' is nothing")
    workload: float | None = Field(None, ge=0, le=1, description="How loaded it is, 0 to 1")
    capabilities: Capabilities | None = Field(None, description="In place of those that it had")
    role: Label | None = Field(None, description="What it is there for")
    depends_on: list[AgentGiven] | None = Field(
        None, max_length=NEEDS_MAX, description="In place of those that it needed")
    backup: AgentGiven | None = Field(None, description="Who stands in for it; '' is nobody")
    slots: int | None = Field(None, ge=1, le=SLOTS_MAX, description="How many tasks it does at a time")
    github: Login | None = Field(
        None, description="Its account on GitHub, to be confirmed by an admin or by `agent prove`")


class Leave(Arguments):
    agent: AgentGiven | None = Field(None, description="Who; none: oneself")


class Mute(Arguments):
    agent: AgentGiven = Field(description="Whose words shall have no effect")
    for_s: Span | None = Field(
        None, alias="for", description="For how long: 90s, 15m, 2h, 3d; none: until it is unmuted")
    why: Words = Field("", description="Why, to be shown to the others")


class Unmute(Arguments):
    agent: AgentGiven = Field(description="Whose words shall count again")


class List(Arguments):
    capability: CapabilityGiven | None = Field(None, description="Only those that can do this")
    status: Shown | None = Field(None, description="Only those that are so")
    registered: bool = Field(False, description="Only those that registered, not every member")


class Show(Arguments):
    agent: AgentGiven = Field(description="Its id")


class Order(Arguments):
    agents: Agents = Field([], description="These and all that they need; none: everybody")
    down: bool = Field(False, description="Only those that are gone or offline: the order to restore them in")


def said_before(known: Agent | None) -> dict[str, Any]:
    if known is None:
        return {}
    return {name: getattr(known, name) for name in said.AgentRegistered.model_fields} | {"capabilities": known.own}


def registration(actor: str, data: Mapping[str, Any]) -> Proposal:
    can = f" for {', '.join(data['capabilities'])}" if data["capabilities"] else ""
    return Proposal("agent_registered", f"{actor} registers{can}", data)


def register(look: Look, asked: Register) -> list[Proposal]:
    return [checked(look, asked.model_dump())]


def set_(look: Look, asked: Set) -> list[Proposal]:
    whose = member(look, asked.agent or look.actor)
    claims = [] if asked.github is None else [admission.claimed(look, asked.github)]
    known = get(look, whose)
    if claims and whose != look.actor:
        raise Refused(f"only {whose} can say which account it is: `gitcoord agent confirm` is what an admin says")
    if claims and not asked.model_dump(exclude={"agent", "github"}, exclude_none=True):
        return claims
    if known is None:
        raise Refused(f"{whose} is not registered: `gitcoord agent register` comes first")
    given = asked.model_dump(exclude={"agent", "github"}, exclude_none=True)
    told: dict[str, Any] = {name: given.pop(name) for name in ("status", "task", "workload") if name in given}
    if given and whose != look.actor:
        raise Refused(f"only {whose} can say what it is able to do and needs: act as it with --as")
    if not given and not told:
        raise Refused("nothing to set: see `gitcoord agent set --help`")
    events = [checked(look, {**said_before(known), **given, "backup": given.get("backup", known.backup) or None})] \
        if given else []
    if told:
        words = ", ".join(f"{name} {value}" for name, value in told.items())
        events.append(Proposal("agent_status_changed", f"{known.id}: {words}", {"agent": known.id, **told}))
    return claims + events


def checked(look: Look, data: Mapping[str, Any]) -> Proposal:
    """A registration of the actor's. Raises Refused when it cannot be."""
    others = [member(look, one) for one in data["depends_on"]]
    backup = member(look, data["backup"]) if data["backup"] is not None else None
    key = look.actor.casefold()
    if backup is not None and backup.casefold() == key:
        raise Refused(f"{look.actor} cannot be its own backup: name another agent")
    state = look.state("agents")
    way = dependencies.cycle(roster.graph(state), key, needs=[one.casefold() for one in others])
    if way:
        raise Refused(f"{roster.circle(state, way, look.actor)}: leave one of these out")
    capabilities = list(dict.fromkeys(data["capabilities"]))
    return registration(look.actor, {**data, "capabilities": capabilities, "depends_on": others, "backup": backup})


def leave(look: Look, asked: Leave) -> list[Proposal]:
    known = get(look, asked.agent or look.actor)
    if known is None:
        raise Refused(f"{asked.agent or look.actor} is not registered: `gitcoord agent list` shows who is")
    tasks = look.state("tasks")
    held = tasks.held.get(known.key, ()) if known.id == look.actor else ()  # another one's are the leader's to take
    given_back = [
        Proposal("task_released", f"{known.id} gives it back",
                 {"attempt": tasks.tasks[uid].attempt, "reason": f"{known.id} leaves"}, re=uid) for uid in held
    ]
    words = f"{known.id} takes no more part in the work"
    return [*given_back, Proposal("agent_unregistered", words, {"agent": known.id})]


def mute(look: Look, asked: Mute) -> list[Proposal]:
    whose = _for_admins(look, asked.agent)
    if whose == look.actor:
        raise Refused(f"{whose} would mute itself: name another agent")
    until = times.later(look.now, asked.for_s) if asked.for_s is not None else None
    words = f"{look.actor} mutes {whose}" + (f" until {times.shown(until)}" if until else "")
    return [Proposal("agent_muted", words + (f": {asked.why}" if asked.why else ""),
                     {"agent": whose, "until": until, "reason": asked.why})]


def unmute(look: Look, asked: Unmute) -> list[Proposal]:
    whose = _for_admins(look, asked.agent)
    if look.fleet.quotas.mute_of(whose, "") is None:
        return []
    return [Proposal("agent_unmuted", f"{look.actor} unmutes {whose}", {"agent": whose})]


def _for_admins(look: Look, agent: str) -> str:
    known = look.fleet.members.get(look.actor)
    if known is None or not known.admin:
        admins = [one.id for one in look.fleet.members.by_id.values() if one.admin]
        raise Refused(f"{look.actor} is no admin: ask {' or '.join(admins[:3])}")
    return member(look, agent)


def list_(look: Look, asked: List) -> list[dict[str, Any]]:
    agents: Mapping[str, Agent] = look.state("agents").agents
    rows = [shown(look, agent) for agent in agents.values()]
    if not asked.registered:
        rows += [_member(look, one.id) for key, one in look.fleet.members.by_id.items()
                 if key not in agents and not one.left]
    wanted = asked.capability.strip().casefold() if asked.capability else None
    return [row for row in rows if (wanted is None or wanted in row["capabilities"])
            and (asked.status is None or asked.status == row["status"])]


def show(look: Look, asked: Show) -> dict[str, Any]:
    known = get(look, asked.agent)
    if known is None:
        return _member(look, member(look, asked.agent))
    needs = [{"agent": one, "status": status(look, other) if (other := get(look, one)) else "not registered"}
             for one in known.depends_on]
    behind = dependencies.dependants(roster.graph(look.state("agents")), known.key)
    names = {key: one.id for key, one in look.state("agents").agents.items()}
    return {**shown(look, known), "needs": needs, "needed_by": [names[key] for key in behind]}


def order(look: Look, asked: Order) -> list[dict[str, Any]]:
    state = look.state("agents")
    graph = roster.graph(state)
    chosen = [member(look, one).casefold() for one in asked.agents] or list(graph)
    wanted = {one for first in chosen for one in (first, *dependencies.needed_by(graph, first))}
    if asked.down:
        wanted = {one for one in wanted if _is_down(look, one)}
    names = {one: found.id if (found := look.fleet.members.get(one)) else one for one in wanted}
    return [{"layer": number, "agents": [names[one] for one in layer]}
            for number, layer in enumerate(dependencies.layers(graph, wanted), start=1)]


def _is_down(look: Look, agent: str) -> bool:
    known = get(look, agent)
    return known is None or liveness(look, known) in (GONE, GOODBYE, SILENT) or known.status == "offline"


def shown(look: Look, agent: Agent) -> dict[str, Any]:
    return {
        "agent": agent.id, "status": status(look, agent), "liveness": liveness(look, agent), "role": agent.role,
        "capabilities": agent.capabilities, "task": agent.task, "workload": agent.workload, "slots": agent.slots,
        "depends_on": agent.depends_on, "backup": agent.backup, "node": agent.node, "supervised": agent.supervised,
        "stands_in_for": list(agent.stands_in), "about": agent.about, "since": agent.since, "registered": True,
        **_membership(look, agent.id),
    }


def _member(look: Look, agent: str) -> dict[str, Any]:
    standing = look.seen.get(agent.casefold())
    return {
        "agent": agent, "status": None, "liveness": standing.state if standing else SILENT, "role": "",
        "capabilities": [], "task": "", "workload": None, "slots": None, "depends_on": [], "backup": None,
        "node": standing.node if standing else None, "supervised": False, "stands_in_for": [],
        "about": "", "since": None, "registered": False, **_membership(look, agent),
    }


def _membership(look: Look, agent: str) -> dict[str, Any]:
    known = look.fleet.members.get(agent)
    return {"rights": known.role if known else None, "key": fingerprint(known.key) if known else None,
            "github": known.github or None if known else None}


def _answer(look: Look, uid: str) -> dict[str, Any]:
    known = get(look, look.actor)
    return {"agent": shown(look, known)} if known is not None else {}


COLUMNS = ("agent", "status", "liveness", "role", "capabilities", "task", "workload")

COMMANDS: Mapping[str, Command | Query] = {
    "agent register": Command(
        help="Take part in the fleet's work", example="gitcoord agent register --capabilities python,backend",
        arguments=Register, decide=register, answer=_answer, idempotent=True, tool="agent_register",
    ),
    "agent list": Query(
        help="Show who takes part, what each can do, and how it is", example="gitcoord agent list --status idle",
        arguments=List, ask=list_, columns=COLUMNS, tool="fleet_show",
    ),
    "agent show": Query(
        help="Show one agent, whom it needs and who needs it", example="gitcoord agent show alice",
        arguments=Show, ask=show, positional=("agent",), tool="fleet_show",
    ),
    "agent set": Command(
        help="Say what one is doing, or change what one said at the registration",
        example="gitcoord agent set --status busy --task 'the parser' --workload 0.7",
        before=("gitcoord agent register --capabilities python",),
        arguments=Set, decide=set_, positional=("agent",), answer=_answer, judged=False, idempotent=True,
        tool="agent_register",
    ),
    "agent order": Query(
        help="Show in which order agents are started or restored: a layer at once, after those before it",
        example="gitcoord agent order --down", arguments=Order, ask=order, positional=("agents",),
        columns=("layer", "agents"),
    ),
    "agent mute": Command(
        help="Let what an agent says have no effect, such as one that floods the fleet", arguments=Mute, decide=mute,
        example="gitcoord agent mute bob --for 2h --why 'it loops'", positional=("agent",), destructive=True,
    ),
    "agent unmute": Command(
        help="Let what a muted agent says count again", arguments=Unmute, decide=unmute, positional=("agent",),
        example="gitcoord agent unmute bob", before=("gitcoord agent mute bob",), idempotent=True,
    ),
    "agent leave": Command(
        help="Take no more part in the work; the agent stays a member", example="gitcoord agent leave",
        before=("gitcoord agent register",), arguments=Leave, decide=leave, positional=("agent",), destructive=True,
        tool="agent_register",
    ),
}
