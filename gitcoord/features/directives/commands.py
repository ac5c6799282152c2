"""Commands and queries about directives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from gitcoord.core import limits
from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.fields import Content, Given, Reason, Span
from gitcoord.core.lookup import find, member
from gitcoord.features.directives import state as directive_state
from gitcoord.features.directives.events import AGENTS_MAX, TEXT_KEPT
from gitcoord.features.directives.state import Directive
from gitcoord.features.typed import AgentGiven, Agents, AnyCase, CapabilityGiven, small

PLANS = "'task TITLE', 'agent ID' or 'escalate'"
EVERYBODY = "all"


class IssueDirective(Arguments):
    text: Content = Field(min_length=1, description="The order; - reads standard input")
    to: Agents = Field([], description="A recipient, or `all`")
    capability: CapabilityGiven | None = Field(None, description="Address all agents with this capability")
    priority: AnyCase = Field("MEDIUM", description="The priority")
    ack: Agents = Field([], description="An agent that must acknowledge it, or `all` for each recipient")
    ack_within_s: Span | None = Field(None, alias="ack_within", description="How long they may take to acknowledge")
    on_failure: str | None = Field(None, max_length=TEXT_KEPT, description=f"The plan if an agent fails: {PLANS}")


class OneDirective(Arguments):
    directive: Given = Field(description="Directive id, its beginning, or its event's position")


class FinishDirective(OneDirective):
    result: Reason = Field("", description="The result")


class DirectiveReason(OneDirective):
    reason: Reason = Field("", description="The reason")


class ListDirectives(Arguments):
    agent: AgentGiven | None = Field(None, description="Only directives that are for this agent")
    status: Literal["open", "done", "failed", "withdrawn"] | None = Field(
        None, description="Only directives with this status (default: open)"
    )
    all: bool = Field(False, description="Include closed directives")


def _issue(ctx: Context, args: IssueDirective) -> list[NewEvent]:
    agents = _agents(ctx, args)
    data: dict[str, Any] = {"agents": agents, "priority": args.priority}
    if args.capability is not None:
        data["capability"] = args.capability
    if args.ack or args.ack_within_s is not None:
        data["acknowledge"] = agents if EVERYBODY in args.ack or not args.ack else _acknowledgers(ctx, agents, args.ack)
        data["ack_s"] = args.ack_within_s
    if args.on_failure is not None:
        data["plan"] = _plan(ctx, args.on_failure)
    to = tuple(agents) if len(agents) <= limits.AGENTS_PER_EVENT_MAX else ()
    return [NewEvent("directive_issued", args.text, data, to=to)]


def _agents(ctx: Context, args: IssueDirective) -> list[str]:
    if EVERYBODY in args.to:
        agents = [one.id for one in ctx.fleet.members.by_id.values() if not one.left and one.id != ctx.actor]
    else:
        agents = [member(ctx, text) for text in args.to]
    if args.capability is not None:
        wanted = small(args.capability.strip())
        capable = [one.id for one in ctx.state("agents").agents.values() if wanted in one.capabilities]
        if not capable:
            raise Refused(f"no agent has the capability {wanted!r}: `gitcoord agent list` lists capabilities")
        agents += capable
    if not agents:
        raise Refused("no recipient: name agents with --to (all: every agent), or a --capability")
    if len(agents) > AGENTS_MAX:
        raise Refused(f"a directive is for at most {AGENTS_MAX} agents, not {len(agents)}: issue several directives")
    return list(dict.fromkeys(agents))


def _acknowledgers(ctx: Context, agents: list[str], names: Iterable[str]) -> list[str]:
    found = [member(ctx, name) for name in names]
    stranger = next((one for one in found if one not in agents), None)
    if stranger is not None:
        raise Refused(f"{stranger} is not a recipient, so it cannot acknowledge: name it with --to as well")
    return found


def _plan(ctx: Context, text: str) -> dict[str, str]:
    kind, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if kind == "agent" and rest:
        return {"kind": kind, "text": member(ctx, rest)}
    if (kind == "task" and rest) or (kind == "escalate" and not rest):
        return {"kind": kind, "text": rest}
    raise Refused(f"{text!r} is not a plan: write {PLANS}")


def _named(ctx: Context, text: str) -> Directive:
    state: directive_state.State = ctx.state("directives")
    known = {**state.over, **state.open}
    return known[find(ctx, known, text, "directive", shown_by="directive list")]


def _reports(type_: str, verb: str, explanation: str) -> Any:
    """Return the `decide` of an agent's report on its own part. `explanation`: the argument that explains it, or ""."""

    def decide(ctx: Context, args: OneDirective) -> list[NewEvent]:
        one = _named(ctx, args.directive)
        reason = directive_state.why_not(one, ctx.actor)
        if reason is not None:
            raise (Lost if one.status != "open" else Refused)(_refusal(one, reason))
        data = args.model_dump(exclude={"directive"}, exclude_defaults=True)
        more = f": {getattr(args, explanation)}" if explanation and getattr(args, explanation) else ""
        return [NewEvent(type_, f"{ctx.actor} {verb} {one.text[:60]!r}{more}", data, to=(one.issuer,), re=one.id)]

    return decide


def _withdraw(ctx: Context, args: DirectiveReason) -> list[NewEvent]:
    one = _named(ctx, args.directive)
    if one.status != "open":
        raise Lost(_refusal(one, f"it is {one.status} already"))
    to = tuple(part.agent for part in one.parts.values())[: limits.AGENTS_PER_EVENT_MAX]
    return [
        NewEvent(
            "directive_withdrawn", f"{ctx.actor} withdraws {one.text[:60]!r}", {"reason": args.reason}, to=to, re=one.id
        )
    ]


def _refusal(one: Directive, reason: str) -> str:
    return f"directive {one.id[:8]} {one.text[:60]!r}: {reason}; `gitcoord directive show {one.id[:8]}` shows each part"


def _list(ctx: Context, args: ListDirectives) -> list[dict[str, Any]]:
    state: directive_state.State = ctx.state("directives")
    wanted = args.status or ("" if args.all else "open")
    return [
        to_row(one)
        for one in [*state.over.values(), *state.open.values()]
        if wanted in ("", one.status) and (args.agent is None or args.agent.casefold() in one.parts)
    ]


def to_row(one: Directive) -> dict[str, Any]:
    unacknowledged = [
        part.agent for key, part in one.parts.items() if key in one.must_acknowledge and not part.acknowledged
    ]
    return {
        "id": one.id,
        "status": one.status,
        "priority": one.priority,
        "text": one.text,
        "by": one.issuer,
        "at": one.at,
        "capability": one.capability,
        "waiting": [part.agent for part in one.parts.values() if part.status == "open"],
        "unacknowledged": unacknowledged,
        "ack_by": one.ack_by,
        "plan": f"{one.plan.kind} {one.plan.text}".strip() if one.plan is not None else None,
    }


def _show(ctx: Context, args: OneDirective) -> dict[str, Any]:
    one = _named(ctx, args.directive)
    return {
        **to_row(one),
        "parts": [
            {
                "agent": part.agent,
                "status": part.status,
                "acknowledged": part.acknowledged or None,
                "words": part.words,
                "followed": part.followed or None,
            }
            for part in one.parts.values()
        ],
    }


def _answer(ctx: Context, uid: str) -> dict[str, Any]:
    one = ctx.state("directives").open.get(uid)
    return {"directive": to_row(one)} if one is not None else {}


ISSUED = ("gitcoord directive issue 'Freeze the schema' --to bob",)

COMMANDS: Mapping[str, Command | Query] = {
    "directive issue": Command(
        help="Issue a directive to agents, to all with a capability, or to all agents",
        arguments=IssueDirective,
        decide=_issue,
        example="gitcoord directive issue 'Freeze the schema' --to bob --ack all --on-failure 'task Freeze the schema'",
        positional=("text",),
        answer=_answer,
    ),
    "directive list": Query(
        help="List directives and the agents that they wait for",
        example="gitcoord directive list --all",
        arguments=ListDirectives,
        ask=_list,
        columns=("id", "status", "priority", "text", "by", "waiting", "unacknowledged", "plan"),
        tool="fleet_show",
    ),
    "directive show": Query(
        help="Show a directive and each agent's progress",
        before=ISSUED,
        example="gitcoord directive show 3",
        arguments=OneDirective,
        ask=_show,
        positional=("directive",),
    ),
    "directive ack": Command(
        help="Acknowledge a directive",
        before=ISSUED,
        example="gitcoord directive ack 3 --as bob",
        arguments=OneDirective,
        decide=_reports("directive_acknowledged", "acknowledges", ""),
        positional=("directive",),
        tool="fleet_update",
    ),
    "directive done": Command(
        help="Mark your part of a directive as done",
        before=ISSUED,
        arguments=FinishDirective,
        example="gitcoord directive done 3 'it is frozen' --as bob",
        positional=("directive", "result"),
        decide=_reports("directive_done", "has done", "result"),
        tool="fleet_update",
    ),
    "directive fail": Command(
        help="Report that you cannot do your part; the directive's plan takes effect",
        before=ISSUED,
        arguments=DirectiveReason,
        example="gitcoord directive fail 3 'no access' --as bob",
        positional=("directive", "reason"),
        decide=_reports("directive_failed", "fails at", "reason"),
        tool="fleet_update",
    ),
    "directive withdraw": Command(
        help="Withdraw your directive",
        before=ISSUED,
        example="gitcoord directive withdraw 3",
        arguments=DirectiveReason,
        decide=_withdraw,
        positional=("directive", "reason"),
        destructive=True,
    ),
}
