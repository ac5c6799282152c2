"""Admission: admins decide on members, their roles and keys; an agent claims its own GitHub account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gitcoord.core import lookup
from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fields import COUNT_MAX, Words
from gitcoord.core.fold.authority import Role
from gitcoord.core.fold.membership import KeyName, Login
from gitcoord.core.format.keys import fingerprint, is_named
from gitcoord.core.names import agent_id
from gitcoord.features.typed import AgentGiven


class AdmitAgent(Arguments):
    agent: AgentGiven = Field(description="Agent id")
    key: KeyName | None = Field(
        None, description="The fingerprint that the agent told you, or the whole key (default: the key in the ledger)"
    )
    role: Role | None = Field(None, description="Its role (default: unchanged; member for a new agent)")


class SetAdmission(Arguments):
    who: Literal["open", "closed"] = Field(description="Every newcomer, or only agents that an admin admits")


class SetRole(Arguments):
    agent: AgentGiven = Field(description="Agent id")
    role: Role = Field(description="Its new role; `gitcoord agent roles` lists roles")


class ExpelAgent(Arguments):
    agent: AgentGiven = Field(description="Agent id")
    reason: Words = Field("", description="The reason, shown to other agents")


class RevokeKey(Arguments):
    key: str = Field(max_length=64, description="The key, its fingerprint, or the agent that owns it")
    after: int | None = Field(
        None, ge=1, le=COUNT_MAX, description="The last position at which the key counts (default: the newest position)"
    )


class ConfirmAccount(Arguments):
    agent: AgentGiven = Field(description="Agent id")
    github: Login = Field(description="Its GitHub account")


def _admit(ctx: Context, args: AdmitAgent) -> list[NewEvent]:
    agent = agent_id(args.agent)
    member = ctx.fleet.members.get(agent)
    if member is None and args.key is None:
        raise Refused(
            f"{agent} has not joined: run `gitcoord init --agent '{agent}'` on its machine first, or name "
            "its key with --key"
        )
    if member is None:
        key, shown = args.key or "", args.key or ""
    else:
        agent, key = member.id, args.key or member.key
        if is_named(member.key, key):
            key = member.key  # the full key: a key that joins later could match the short form too
            if member.admitted and not member.expelled and args.role in (None, member.role):
                return []
        shown = fingerprint(key) if key == member.key else key
    role = f" as {args.role}" if args.role else ""
    return [
        NewEvent(
            "agent_admitted",
            f"{ctx.actor} admits {agent} with the key {shown}{role}",
            {"agent": agent, "key": key, "role": args.role},
        )
    ]


def _admission(ctx: Context, args: SetAdmission) -> list[NewEvent]:
    if ctx.fleet.members.admission == args.who:
        return []
    return [NewEvent("admission_changed", f"{ctx.actor} makes the fleet {args.who}", {"admission": args.who})]


def _role(ctx: Context, args: SetRole) -> list[NewEvent]:
    agent = lookup.member(ctx, args.agent)
    known = ctx.fleet.members.get(agent)
    if known is not None and known.role == args.role:
        return []
    return [NewEvent("role_changed", f"{ctx.actor} makes {agent} {args.role}", {"agent": agent, "role": args.role})]


def _expel(ctx: Context, args: ExpelAgent) -> list[NewEvent]:
    agent = args.agent if args.agent.casefold() in ctx.fleet.members.expected else lookup.member(ctx, args.agent)
    known = ctx.fleet.members.get(agent)
    if known is not None and known.expelled:
        return []
    because = f": {args.reason}" if args.reason else ""
    return [NewEvent("agent_expelled", f"{ctx.actor} expels {agent}{because}", {"agent": agent, "reason": args.reason})]


def _revoke(ctx: Context, args: RevokeKey) -> list[NewEvent]:
    members = ctx.fleet.members
    owner_of = members.get(args.key)
    key = owner_of.key if owner_of is not None else members.key_named(args.key)
    if key is None:
        raise Refused(f"no member has or had the key {args.key}: `gitcoord agent list` shows the fingerprints")
    if args.after is not None and args.after > ctx.fleet.position:
        raise Refused(f"the ledger ends at position {ctx.fleet.position}: name that one or an earlier one with --after")
    since = f"after position {args.after}" if args.after is not None else "from here on"
    owner = members.by_id[members.owners[key]].id if members.owners[key] in members.by_id else members.owners[key]
    return [
        NewEvent(
            "key_revoked",
            f"{ctx.actor} revokes the key {fingerprint(key)} of {owner} {since}",
            {"key": key, "after": args.after},
        )
    ]


def _confirm(ctx: Context, args: ConfirmAccount) -> list[NewEvent]:
    agent = lookup.member(ctx, args.agent)
    known = ctx.fleet.members.get(agent)
    if known is not None and known.github.casefold() == args.github.casefold():
        return []
    return [
        NewEvent(
            "github_confirmed",
            f"{ctx.actor} confirms that {agent} is {args.github} on GitHub",
            {"agent": agent, "login": args.github},
        )
    ]


def _roles(ctx: Context, args: Arguments) -> list[dict[str, Any]]:
    return [
        {
            "agent": one.id,
            "role": one.role,
            "state": _state(ctx, one),
            "key": fingerprint(one.key),
            "github": one.github or None,
            "claims": one.claim if one.claim != one.github else None,
        }
        for one in ctx.fleet.members.by_id.values()
    ]


def _state(ctx: Context, member: Any) -> str:
    if member.expelled or member.left:
        return "expelled" if member.expelled else "left"
    if member.key in ctx.fleet.members.revoked:
        return "revoked"
    return "member" if member.admitted else "waiting"


def claimed(ctx: Context, login: str) -> NewEvent:
    """Return the event by which `ctx.actor` claims a GitHub account. It counts when an admin or a proof confirms it."""
    return NewEvent("github_claimed", f"{ctx.actor} says that it is {login} on GitHub", {"login": login})


_KEY_OF_DORA = "SHA256:Mp2rV0OYrkJ2Yp2u3wBGiVfA6W1rYlWOXBpOfIpHiqY"

COMMANDS: Mapping[str, Command | Query] = {
    "agent admit": Command(
        help="Admit an agent and its key to the fleet (admins only)",
        example=f"gitcoord agent admit dora --key {_KEY_OF_DORA}",
        arguments=AdmitAgent,
        decide=_admit,
        positional=("agent",),
        idempotent=True,
    ),
    "agent admission": Command(
        help="Open the fleet to every newcomer, or close it: then an admin admits each agent",
        example="gitcoord agent admission open",
        arguments=SetAdmission,
        decide=_admission,
        positional=("who",),
        idempotent=True,
    ),
    "agent role": Command(
        help="Change an agent's role (admins only)",
        example="gitcoord agent role alice admin",
        arguments=SetRole,
        decide=_role,
        positional=("agent", "role"),
        idempotent=True,
    ),
    "agent roles": Query(
        help="List each member's role, key and GitHub account",
        example="gitcoord agent roles",
        arguments=Arguments,
        ask=_roles,
        columns=("agent", "role", "state", "key", "github", "claims"),
    ),
    "agent expel": Command(
        help="Expel an agent: its new events have no effect (admins only)",
        example="gitcoord agent expel bob",
        arguments=ExpelAgent,
        decide=_expel,
        positional=("agent",),
        destructive=True,
        idempotent=True,
    ),
    "agent revoke": Command(
        help="Revoke a key, also for events that it already signed (admins only)",
        example="gitcoord agent revoke bob",
        arguments=RevokeKey,
        decide=_revoke,
        positional=("key",),
        destructive=True,
        idempotent=True,
    ),
    "agent confirm": Command(
        help="Confirm an agent's GitHub account (admins only)",
        example="gitcoord agent confirm alice --github octocat",
        arguments=ConfirmAccount,
        decide=_confirm,
        positional=("agent",),
        idempotent=True,
    ),
}
