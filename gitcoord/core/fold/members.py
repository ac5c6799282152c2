"""Members: an agent's first event holds its key, and from then on only that key may write for it.

An event by a key that is not its actor's keeps its position and has no effect, so that it blocks no chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from pydantic import BaseModel

from gitcoord.core import limits
from gitcoord.core.fold.account_proof import AccountProof
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
from gitcoord.core.format import keys
from gitcoord.core.format.event import Event
from gitcoord.core.format.keys import Verifier, fingerprint, is_named

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

    def get(self, agent: str) -> MemberRecord | None:
        return self.by_id.get(agent.casefold())

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

    def objects(
        self,
        payload: BaseModel | None,
        position: int,
        *,
        actor: str,
        key: str,
        fleet_id: str,
        verifier: Verifier | None,
    ) -> str | None:
        """Return why a change of members is impossible, whoever wants it; None if it is possible."""
        match payload:
            case AgentJoined():
                return self._objects_to_joining(actor, key)
            case AgentAdmitted():
                return self._objects_to_admitting(payload)
            case RoleChanged(agent=agent, role=role):
                return self._objects_to_losing(agent, role)
            case AgentExpelled(agent=agent):
                awaited = self.get(agent) is None and agent.casefold() in self.expected
                return None if awaited else self._objects_to_losing(agent, None)
            case GithubConfirmed():
                return self._objects_to_account(payload, actor, fleet_id)
            case KeyChanged():
                return self._objects_to_key(payload, actor, key, fleet_id, verifier)
            case KeyRevoked():
                return self._objects_to_revoking(payload, position)
        return None

    def _objects_to_joining(self, actor: str, key: str) -> str | None:
        bound = self.expected.get(actor.casefold())
        if bound is not None and not is_named(key, bound[0]):
            return f"{actor} is admitted with the key {bound[0]}, and this one is {fingerprint(key)}"
        return self._taken(key, actor)

    def _taken(self, key: str, agent: str) -> str | None:
        owner = self.owners.get(key)
        if owner is None or owner == agent.casefold() or (self.founded is not None and self.founded.auth == "hmac"):
            return None
        return f"this key has spoken for {self.by_id[owner].id if owner in self.by_id else owner}: one key, one agent"

    def _objects_to_admitting(self, wish: AgentAdmitted) -> str | None:
        member = self.get(wish.agent)
        if member is None:
            full = len(self.expected) >= limits.ADMITTED_BEFORE_MAX
            return f"{limits.ADMITTED_BEFORE_MAX} agents are admitted already that never joined" if full else None
        if not is_named(member.key, wish.key) and member.admitted and member.key not in self.revoked:
            return f"the key of {member.id} is {fingerprint(member.key)}, not {wish.key}"
        return None if wish.role in (None, "admin") else self._objects_to_losing(wish.agent, wish.role)

    def _objects_to_losing(self, agent: str, role: Role | None) -> str | None:
        """Return why an agent cannot lose its role: a fleet keeps an admin, who can repair what goes wrong."""
        member = self.get(agent)
        if member is None:
            return f"{agent} has not joined"
        return f"{member.id} is the last admin" if role != "admin" and self._is_last_admin(member) else None

    def _is_last_admin(self, member: MemberRecord) -> bool:
        return member.admin and not any(
            one.admin and one.admitted and not one.left and not one.expelled and one.key not in self.revoked
            for one in self.by_id.values()
            if one is not member
        )

    def _objects_to_key(
        self, change: KeyChanged, actor: str, key: str, fleet_id: str, verifier: Verifier | None
    ) -> str | None:
        if self.founded is not None and self.founded.auth == "hmac":
            return "all agents of this fleet share one secret"
        try:
            keys.check_form(change.key)
        except ValueError as wrong:
            return f"the new key cannot be one: {wrong}"
        if [*self.owners.values()].count(actor.casefold()) >= limits.KEYS_OF_ONE_MAX:
            return (
                f"{actor} has had {limits.KEYS_OF_ONE_MAX} keys, and each is kept: an admin can revoke the one "
                "that it has, and admit another"
            )
        message = keys.possession(fleet_id, actor, key, change.key)
        if verifier is not None and not verifier.proves(change.key, message, change.proof):
            return "the new key has not signed the change: whoever holds it proves that by `proof`"
        return "it is the key that it has" if change.key == key else self._taken(change.key, actor)

    def _objects_to_account(self, wish: GithubConfirmed, actor: str, fleet_id: str) -> str | None:
        """Return why an account cannot be confirmed. An admin needs no proof; others need the agent's signature."""
        member = self.get(wish.agent)
        if member is None:
            return f"{wish.agent} has not joined"
        if self.role_of(actor) == "admin" and not wish.proof:
            return None
        if not wish.proof:
            return "only an admin may without the proof that `gitcoord agent prove` prints"
        if self.founded is not None and self.founded.auth == "hmac":
            return "all agents of this fleet share one secret: no signature is one agent's, so an admin confirms it"
        if self.role_of(member.id) is None or member.key in self.revoked:
            return f"{member.id} is no member whose key counts"
        if member.claim.casefold() != wish.login.casefold():
            return f"{member.id} does not say that it is {wish.login} on GitHub"
        if member.github and member.github.casefold() != wish.login.casefold():  # an older proof may be shown again
            return f"{member.id} is confirmed to be {member.github}: only an admin changes that"
        proof = AccountProof(fleet_id, member.id, wish.login, wish.repository, wish.proof)
        return None if proof.is_by(member.key) else f"the proof is not signed with the key of {member.id}"

    def _objects_to_revoking(self, wish: KeyRevoked, position: int) -> str | None:
        if self.founded is not None and self.founded.auth == "hmac":
            return "all agents of this fleet share one secret: without it nobody could speak"
        key = self.key_named(wish.key)
        if key is None:
            return f"no member has or had the key {wish.key}"
        if wish.after is not None and wish.after >= position:
            return f"position {wish.after} is not before this line"
        member = self.by_id.get(self.owners[key])
        last = member is not None and member.key == key and self._is_last_admin(member)
        return f"it is the key of {member.id}, the last admin" if last and member is not None else None

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

    def _enter(self, member: MemberRecord) -> None:
        self.by_id[member.id.casefold()] = member
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
            members.by_id[member.id.casefold()] = member
        members.owners = {str(key): str(agent) for key, agent in value["owners"].items()}
        members.expected = {
            str(name): (str(key), ROLES[ROLES.index(role)]) for name, (key, role) in value["expected"].items()
        }
        members.revoked = {str(key): int(after) for key, after in value["revoked"].items()}
        return members


_FIELDS = [one.name for one in fields(MemberRecord)]
_KINDS = [str, str, int, bool, str, bool, bool, str, str]
