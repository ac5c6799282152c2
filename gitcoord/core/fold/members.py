"""Members: an agent's first event holds its key, and from then on only that key may write for it.

An event by a key that is not its actor's keeps its position and has no effect, so that it blocks no chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from pydantic import BaseModel

from gitcoord.core.fold.authority import ROLES, Role
from gitcoord.core.fold.membership import (
    AUTHORITY,
    EVENTS,
    AdmissionChanged,
    AgentAdmitted,
    AgentExpelled,
    AgentJoined,
    AgentLeft,
    FleetFounded,
    GithubClaimed,
    GithubConfirmed,
    KeyChanged,
    KeyRevoked,
    RoleChanged,
)
from gitcoord.core.format.event import Event
from gitcoord.core.format.keys import fingerprint, is_named
from gitcoord.core.names import RESERVED, look_of, same_agent

__all__ = ["AUTHORITY", "EVENTS", "MemberRecord", "Members", "AgentAdmitted", "AgentLeft", "FleetFounded"]


@dataclass(slots=True)
class MemberRecord:
    """An agent as the ledger knows it."""

    id: str
    key: str
    joined: int  # position
    admitted: bool
    role: Role = "member"
    left: bool = False
    expelled: bool = False
    github: str = ""  # its confirmed login on GitHub
    claim: str = ""  # the login that it claims to have

    @property
    def admin(self) -> bool:
        return self.role == "admin"


@dataclass(slots=True)
class Members:
    """The members of the fleet, by casefolded id."""

    founded: FleetFounded | None = None
    founder_key: str = ""  # the key that signed the ledger's first line
    admission: Literal["open", "closed"] = "open"
    by_id: dict[str, MemberRecord] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)  # each key that a member ever had → its casefolded id
    expected: dict[str, tuple[str, Role]] = field(default_factory=dict)  # admitted before they joined: key, role
    revoked: dict[str, int] = field(default_factory=dict)  # key → the last position at which it counts
    looks: dict[str, str] = field(default_factory=dict)  # how an id looks → the first that looks so; follows from by_id

    def get(self, agent: str) -> MemberRecord | None:
        return self.by_id.get(agent.casefold())

    def taken_for(self, agent: str) -> str | None:
        """Return the other id that a person would take a new agent's id for; None if there is none."""
        look = look_of(agent)
        if look in RESERVED:
            return look
        known = self.looks.get(look)
        return known if known is not None and not same_agent(known, agent) else None

    def signed(self, event: Event) -> bool:
        """Return whether an event is signed with its author's key."""
        member = self.get(event.actor)
        return member is not None and member.key == event.key

    def role_of(self, agent: str) -> Role | None:
        """Return an agent's role; None if its lines do not count. One that left is a guest until it joins again."""
        member = self.get(agent)
        if member is None or not member.admitted or member.expelled:
            return None
        return "guest" if member.left else member.role

    def same_person(self, one: str, other: str) -> bool:
        """Return whether two agents are known to be the same person: one id, one key, or one confirmed account."""
        if one.casefold() == other.casefold():
            return True
        a, b = self.get(one), self.get(other)
        if a is None or b is None:
            return False
        shared = self.founded is not None and self.founded.auth == "hmac"  # all members have the same key
        return (a.key == b.key and not shared) or bool(a.github and a.github.casefold() == b.github.casefold())

    def of_login(self, login: str) -> frozenset[str]:
        """Return the agents (casefolded) that are confirmed to be this account on GitHub."""
        wanted = login.casefold()
        return frozenset(key for key, one in self.by_id.items() if wanted and one.github.casefold() == wanted)

    def rejects(self, event: Event, position: int) -> str | None:
        """Return why an event has no effect; None if its author is a member and signed it. Change nothing."""
        if self.revoked and position > self.revoked.get(event.key, position):
            return f"its key was revoked: nothing that it signed after position {self.revoked[event.key]} counts"
        member = self.get(event.actor)
        if event.type == "fleet_founded":
            return None if self.founded is None else "the fleet is founded already"
        if member is None:
            return None if event.type == "agent_joined" else f"{event.actor} has not joined"
        if member.expelled:
            return f"{member.id} was expelled"
        if member.key != event.key:
            if event.type == "agent_joined" and self._is_replaced(member, event.key):
                return None
            return f"signed by a key that is not {member.id}'s"
        if event.actor != member.id:
            return f"the agent is called {member.id}"
        if not member.admitted and event.type != "agent_joined":
            return f"{member.id} waits to be admitted: its key is {fingerprint(member.key)}"
        return None

    def _is_replaced(self, member: MemberRecord, key: str) -> bool:
        """Return whether an admin admitted `key` for a member that waits, or whose key is revoked."""
        bound = self.expected.get(member.id.casefold())
        return bound is not None and is_named(key, bound[0])

    def key_named(self, name: str) -> str | None:
        """Return the key of a member, present or past, that `name`, a key or a fingerprint, names."""
        return name if name in self.owners else next((key for key in self.owners if is_named(key, name)), None)

    def fold(self, position: int, event: Event, payload: BaseModel | None, *, newcomer: Role = "member") -> None:
        """Apply an event that has effect. `newcomer`: the role of an agent that nobody has admitted."""
        if payload is None:
            return  # nearly all events
        match payload:
            case FleetFounded():
                self.founded, self.founder_key, self.admission = payload, event.key, payload.admission
                self._enter(MemberRecord(event.actor, event.key, position, admitted=True, role="admin"))
            case AgentJoined():
                self._join(position, event, newcomer)
            case AgentAdmitted():
                self._admit(payload)
            case AdmissionChanged():
                self.admission = payload.admission
            case RoleChanged(agent=agent, role=role):
                self.by_id[agent.casefold()].role = role
            case AgentExpelled(agent=agent):
                self._expel(agent)
            case KeyRevoked(key=name, after=after):
                full = self.key_named(name) or name
                self.revoked[full] = min(after or position, self.revoked.get(full, position))
            case KeyChanged(key=key):
                self.by_id[event.actor.casefold()].key = key
                self.owners[key] = event.actor.casefold()
            case GithubClaimed(login=login):
                self.by_id[event.actor.casefold()].claim = login
            case GithubConfirmed(agent=agent, login=login):
                self.by_id[agent.casefold()].github = login
            case AgentLeft():
                self.by_id[event.actor.casefold()].left = True

    def _join(self, position: int, event: Event, newcomer: Role) -> None:
        member, bound = self.get(event.actor), self.expected.pop(event.actor.casefold(), None)
        if member is None or member.key != event.key:
            role = bound[1] if bound is not None else newcomer
            admitted = bound is not None or self.admission == "open"
            member = MemberRecord(event.actor, event.key, position, admitted=admitted, role=role)
            self._enter(member)
        member.left = False

    def _list(self, member: MemberRecord) -> None:
        self.by_id[member.id.casefold()] = member
        self.looks.setdefault(look_of(member.id), member.id)

    def _enter(self, member: MemberRecord) -> None:
        self._list(member)
        self.owners[member.key] = member.id.casefold()

    def _expel(self, agent: str) -> None:
        """Expel an agent. It also loses its role, and an admission that waits for it."""
        self.expected.pop(agent.casefold(), None)
        member = self.get(agent)
        if member is not None:
            member.expelled = member.left = True
            member.role = "guest" if member.role == "guest" else "member"

    def _admit(self, wish: AgentAdmitted) -> None:
        member = self.get(wish.agent)
        if member is None or not is_named(member.key, wish.key):
            self.expected[wish.agent.casefold()] = (wish.key, wish.role or "member")
        else:
            member.left = member.left and not member.expelled  # whom an admin lets in again need not join again
            member.admitted, member.expelled, member.role = True, False, wish.role or member.role

    def dump(self) -> Any:
        return {
            "founded": self.founded.model_dump() if self.founded else None,
            "founder_key": self.founder_key,
            "admission": self.admission,
            "members": [[getattr(one, name) for name in _FIELDS] for one in self.by_id.values()],
            "owners": self.owners,
            "expected": {name: [*bound] for name, bound in self.expected.items()},
            "revoked": self.revoked,
        }

    @classmethod
    def load(cls, value: Any) -> Members:
        """Return what `dump` wrote. Raise TypeError or ValueError for anything else."""
        founded = FleetFounded.model_validate(value["founded"]) if value["founded"] else None
        members = cls(founded, str(value["founder_key"]), value["admission"])
        for found in value["members"]:
            member = MemberRecord(*found)
            if [*map(type, found)] != _KINDS or member.role not in ROLES:
                raise TypeError(f"no member: {found!r}")
            members._list(member)
        members.owners = {str(key): str(agent) for key, agent in value["owners"].items()}
        members.expected = {
            str(name): (str(key), ROLES[ROLES.index(role)]) for name, (key, role) in value["expected"].items()
        }
        members.revoked = {str(key): int(after) for key, after in value["revoked"].items()}
        return members


_FIELDS = [one.name for one in fields(MemberRecord)]
_KINDS = [str, str, int, bool, str, bool, bool, str, str]
