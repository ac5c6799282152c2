"""Authority: which member may write which event. Each feature has a table `AUTHORITY` beside its `EVENTS`.

The fold applies these tables to every line; that a client refuses earlier is a courtesy. An event whose type is in no
table is free speech: any member may write it, guests too, and nothing follows from it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol, get_args

from pydantic import BaseModel

Role = Literal["admin", "reviewer", "member", "guest"]
ROLES: tuple[Role, ...] = get_args(Role)  # the one with the most rights first


class Who(enum.IntFlag):
    """The members that may write an event, as the tables name them. All but ANYBODY and GUEST exclude guests."""

    ANYBODY = enum.auto()
    GUEST = enum.auto()
    MEMBER = enum.auto()
    REVIEWER = enum.auto()
    ADMIN = enum.auto()
    LEADER = enum.auto()
    OWNER = enum.auto()
    SELF = enum.auto()
    ASSIGNEE = enum.auto()
    APPROVER = enum.auto()
    CANDIDATE = enum.auto()


ANYBODY, GUEST, MEMBER, REVIEWER, ADMIN, LEADER = (
    Who.ANYBODY,
    Who.GUEST,
    Who.MEMBER,
    Who.REVIEWER,
    Who.ADMIN,
    Who.LEADER,
)
OWNER, SELF, ASSIGNEE, APPROVER, CANDIDATE = Who.OWNER, Who.SELF, Who.ASSIGNEE, Who.APPROVER, Who.CANDIDATE

MEANING: Mapping[Who, str] = {
    ANYBODY: "anyone with the key that signs it, even before being a member",
    GUEST: "any member, guests too",
    MEMBER: "any member that is no guest",
    REVIEWER: "a member with the role reviewer",
    ADMIN: "an admin",
    LEADER: "the leader, by a line with its term",
    OWNER: "the agent that it belongs to",
    SELF: "the agent that it is about",
    ASSIGNEE: "the agent that it was given to",
    APPROVER: "a member whom the fleet lets approve, never the proposer",
    CANDIDATE: "a member that the setting `leaders` names, any while it names nobody",
}
RESOLVED = OWNER | SELF | ASSIGNEE | APPROVER | CANDIDATE
"""Members that depend on the feature's state: the feature has a function for the type in its `WHOSE`."""

_OF_ROLE: Mapping[Role, Who] = {
    "admin": ANYBODY | GUEST | MEMBER | REVIEWER | ADMIN,
    "reviewer": ANYBODY | GUEST | MEMBER | REVIEWER,
    "member": ANYBODY | GUEST | MEMBER,
    "guest": ANYBODY | GUEST,
}
_HAS: Mapping[tuple[Role, bool], int] = {  # plain numbers: to join flags takes a microsecond, at every line
    **{(role, False): int(who) for role, who in _OF_ROLE.items()},
    **{(role, True): int(who | LEADER) for role, who in _OF_ROLE.items()},
}


class Asked(NamedTuple):
    """An event that somebody wrote or wants to write, with all that the right to write it depends on."""

    type: str
    actor: str
    role: Role
    leads: bool  # its author is the leader, and it has the leader's term
    re: str | None
    payload: BaseModel | None


class Whose(NamedTuple):
    """The owner of the thing that an event is about: as text, and as a test of an agent's casefolded id."""

    words: str
    holds: Callable[[str], bool]


class Persons(Protocol):
    """The questions that a resolver may ask about members."""

    def same_person(self, one: str, other: str) -> bool: ...

    def role_of(self, agent: str) -> Role | None: ...


Resolver = Callable[[Any, Asked, Persons], Whose | None]
"""It finds the owner in the feature's state. None: the thing is unknown, or belongs to nobody; the fold says why."""


class Permission(NamedTuple):
    """One type's row of the tables, ready for use."""

    who: int
    feature: str | None  # the feature whose state the resolver gets
    whose: Resolver | None


def permissions(core: Mapping[str, Who], features: Mapping[str, Any]) -> dict[str, Permission]:
    """Return each type's permission. Raise ValueError if a feature does not say who may write one of its events."""
    whose = {
        type_: (name, resolver)
        for name, feature in features.items()
        for type_, resolver in getattr(feature, "WHOSE", {}).items()
    }
    found = {type_: Permission(int(who), *whose.get(type_, (None, None))) for type_, who in core.items()}
    for name, feature in features.items():
        table: Mapping[str, Who] = getattr(feature, "AUTHORITY", {})
        if table.keys() != feature.EVENTS.keys():
            odd = ", ".join(sorted(table.keys() ^ feature.EVENTS.keys()))
            raise ValueError(f"AUTHORITY of {name} and its EVENTS differ: {odd}")
        for type_, who in table.items():
            if who & RESOLVED and type_ not in whose:
                raise ValueError(f"{name} has no function in WHOSE for {type_}")
            found[type_] = Permission(int(who), *whose.get(type_, (None, None)))
    return found


def rejects(permission: Permission, asked: Asked, state: Any, persons: Persons) -> str | None:
    """Return why the author may not write this event; None if it may."""
    if permission.who & _HAS[asked.role, asked.leads]:
        return None
    found = None
    if permission.who & _RESOLVED:  # CANDIDATE has no resolver if no feature has the setting `leaders`
        found = permission.whose(state, asked, persons) if permission.whose is not None else None
        if asked.role != "guest" and (found is None or found.holds(asked.actor.casefold())):
            return None
    words = [_IN_WORDS[one] for one in (ADMIN, REVIEWER, LEADER, MEMBER) if one & permission.who]
    words += [found.words] if found is not None else []
    words = words or [_IN_WORDS[MEMBER]]
    allowed = " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
    return f"{asked.actor} ({asked.role}) may not write {asked.type}: only {allowed} may"


_RESOLVED = int(RESOLVED)
_IN_WORDS: Mapping[Who, str] = {
    ADMIN: "an admin",
    REVIEWER: "a reviewer",
    LEADER: "the leader (by its term)",
    MEMBER: "a member that is no guest",
}


def owned(agent: str, words: str) -> Whose:
    """Return one agent as the owner: `owned("bob", "whose task it is")`."""
    key = agent.casefold()
    return Whose(f"{agent} ({words})", lambda other: other == key)


def itself(name: str = "agent") -> Resolver:
    """Return the resolver of SELF: the payload's field `name` has the agent; without that it is the author."""

    def whose(state: Any, asked: Asked, persons: Persons) -> Whose:
        return owned(getattr(asked.payload, name, None) or asked.actor, "itself")

    return whose
