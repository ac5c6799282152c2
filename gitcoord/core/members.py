"""Members: an agent's first event carries its key; from then on only that key speaks for it.

An event by a key that is not its actor's keeps its position and has no effect: a chain never blocks on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from gitcoord.core.event import FORMAT, Event
from gitcoord.core.fields import NAMED, Agent, Count, Payload, Words


Key = Annotated[str, Field(min_length=1, max_length=200), NAMED]
Version = Annotated[str, Field(max_length=40), NAMED]


class FleetFounded(Payload):
    """The ledger's first line, a control line: what the fleet is."""

    format: Count = FORMAT
    least_version: Version = "0.1.0"
    namespace: Literal["refs/gitcoord", "refs/heads/gitcoord"] = "refs/gitcoord"
    profile: Literal["local", "lan", "github"] = "local"
    auth: Literal["ed25519", "hmac"] = "ed25519"
    admission: Literal["open", "closed"] = "open"


class AgentJoined(Payload):
    """An agent's first event. Its key is the line's own `key`."""

    about: Words = ""


class AgentAdmitted(Payload):
    """An admitted admin lets an agent into a closed fleet."""

    agent: Agent
    admin: bool = False


class AdmissionChanged(Payload):
    """An admin opens the fleet to whoever comes, or closes it."""

    admission: Literal["open", "closed"]


class KeyChanged(Payload):
    """Signed with the old key: from the next event on, the new one speaks for the agent."""

    key: Key


class AgentLeft(Payload):
    """The agent is done here. Its key stays known, so that nobody else takes the name."""


EVENTS: dict[str, type[BaseModel]] = {
    "fleet_founded": FleetFounded,
    "agent_joined": AgentJoined,
    "agent_admitted": AgentAdmitted,
    "admission_changed": AdmissionChanged,
    "key_changed": KeyChanged,
    "agent_left": AgentLeft,
}


@dataclass(slots=True)
class Member:
    """An agent as the ledger knows it."""

    id: str
    key: str
    joined: int  # position
    admitted: bool
    admin: bool = False
    left: bool = False


@dataclass(slots=True)
class Members:
    """Who belongs to the fleet, by id without regard to case."""

    founded: FleetFounded | None = None
    admission: Literal["open", "closed"] = "open"
    by_id: dict[str, Member] = field(default_factory=dict)

    def get(self, agent: str) -> Member | None:
        return self.by_id.get(agent.casefold())

    def signed(self, event: Event) -> bool:
        """Return whether an event is by the key that speaks for its author."""
        member = self.get(event.actor)
        return member is not None and member.key == event.key

    def rejects(self, event: Event) -> str | None:
        """Why an event may have no effect; None when its author may write it. Changes nothing."""
        member = self.get(event.actor)
        if event.type == "fleet_founded":
            return None if self.founded is None else "the fleet is founded already"
        if member is None:
            return None if event.type == "agent_joined" else f"{event.actor} has not joined"
        if member.key != event.key:
            return f"signed by a key that is not {member.id}'s"
        if event.actor != member.id:
            return f"the agent is called {member.id}"
        if not member.admitted and event.type != "agent_joined":
            return f"{member.id} waits to be admitted"
        if event.type in ("agent_admitted", "admission_changed") and not member.admin:
            return f"{member.id} is no admin"
        return None

    def fold(self, position: int, event: Event, payload: BaseModel | None) -> None:
        """Apply an event that `rejects` let through."""
        if payload is None:
            return  # nearly all that is said
        if isinstance(payload, FleetFounded):
            self.founded, self.admission = payload, payload.admission
            self.by_id[event.actor.casefold()] = Member(event.actor, event.key, position, admitted=True, admin=True)
        elif isinstance(payload, AgentJoined):
            member = self.get(event.actor)
            if member is None:
                member = Member(event.actor, event.key, position, admitted=self.admission == "open")
                self.by_id[event.actor.casefold()] = member
            member.left = False
        elif isinstance(payload, AgentAdmitted):
            admitted = self.get(payload.agent)
            if admitted is not None:
                admitted.admitted = True
                admitted.admin = admitted.admin or payload.admin
        elif isinstance(payload, AdmissionChanged):
            self.admission = payload.admission
        elif isinstance(payload, KeyChanged):
            self.by_id[event.actor.casefold()].key = payload.key
        elif isinstance(payload, AgentLeft):
            self.by_id[event.actor.casefold()].left = True

    def dump(self) -> Any:
        return {
            "founded": self.founded.model_dump() if self.founded else None,
            "admission": self.admission,
            "members": [[m.id, m.key, m.joined, m.admitted, m.admin, m.left] for m in self.by_id.values()],
        }

    @classmethod
    def load(cls, value: Any) -> Members:
        """Raises TypeError or ValueError where something is of another kind."""
        members = cls(FleetFounded.model_validate(value["founded"]) if value["founded"] else None, value["admission"])
        for fields in value["members"]:
            member = Member(*fields)
            if [*map(type, fields)] != [str, str, int, bool, bool, bool]:
                raise TypeError(f"no member: {fields!r}")
            members.by_id[member.id.casefold()] = member
        return members
