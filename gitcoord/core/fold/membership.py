"""Membership: the events about members, their roles, keys and accounts, and which members may write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from gitcoord.core.fields import COUNT_MAX, NAMED, Agent, Count, Payload, Words
from gitcoord.core.fold.authority import ADMIN, ANYBODY, GUEST, LEADER, REVIEWER, Role, Who
from gitcoord.core.format.event import FORMAT

KeyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_:-]{8,64}$"), NAMED]
"""A key in full, or its fingerprint (`keys.fingerprint`)."""
Login = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(\[bot\])?$"), NAMED]
Repository = Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100})?$"), NAMED]
"""A repository on GitHub, "owner/name"."""
Version = Annotated[str, Field(max_length=40), NAMED]


class FleetFounded(Payload):
    """The ledger's first line, a control line: the fleet's fixed properties."""

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
    """An admin admits the agent with this key, also before it has joined. `role` null: as it is, or `member`."""

    agent: Agent
    key: KeyName
    role: Role | None = None


class AdmissionChanged(Payload):
    """An admin opens the fleet to everybody, or closes it."""

    admission: Literal["open", "closed"]


class RoleChanged(Payload):
    """An admin gives an agent another role."""

    agent: Agent
    role: Role


class AgentExpelled(Payload):
    """An admin expels an agent: nothing that it writes counts, it cannot join again, and it loses its role."""

    agent: Agent
    reason: Words = ""


class KeyRevoked(Payload):
    """An admin revokes a key. Nothing that it signed after position `after` counts; null: from this line on."""

    key: KeyName
    after: Annotated[int, Field(ge=1, le=COUNT_MAX)] | None = None


class KeyChanged(Payload):
    """An agent changes its key, by a line signed with the old one. The new key counts from the next event on.

    `proof` is a signature by the new key (`keys.possession`), so that nobody claims a key that is not theirs.
    """

    key: Annotated[str, Field(max_length=64), NAMED]
    proof: Annotated[str, Field(max_length=128), NAMED]


class GithubClaimed(Payload):
    """The author claims to be this account on GitHub. The claim counts as soon as it is confirmed."""

    login: Login


class GithubConfirmed(Payload):
    """The agent is this account on GitHub. An admin may say so; anybody else needs `proof`.

    `proof` is the agent's own signature (`account_proof.py`), which the account posted in `repository`.
    """

    agent: Agent
    login: Login
    repository: Repository = ""
    proof: Annotated[str, Field(max_length=128), NAMED] = ""


class AgentLeft(Payload):
    """The agent leaves the fleet: it is a guest until it joins again, and then has its role back.

    Its key stays known, so that nobody else takes its name.
    """


EVENTS: dict[str, type[BaseModel]] = {
    "fleet_founded": FleetFounded,
    "agent_joined": AgentJoined,
    "agent_admitted": AgentAdmitted,
    "admission_changed": AdmissionChanged,
    "role_changed": RoleChanged,
    "agent_expelled": AgentExpelled,
    "key_revoked": KeyRevoked,
    "key_changed": KeyChanged,
    "github_claimed": GithubClaimed,
    "github_confirmed": GithubConfirmed,
    "agent_left": AgentLeft,
}
AUTHORITY: Mapping[str, Who] = {
    "fleet_founded": ANYBODY,
    "agent_joined": ANYBODY,
    "agent_admitted": ADMIN,
    "admission_changed": ADMIN,
    "role_changed": ADMIN,
    "agent_expelled": ADMIN,
    "key_revoked": ADMIN,
    "key_changed": GUEST,
    "github_claimed": GUEST,
    "github_confirmed": ADMIN | REVIEWER | LEADER,
    "agent_left": GUEST,
}


def stripped(payload: BaseModel | None) -> str | None:
    """Return the agent that lost its rights by this event: it was expelled, or is a guest now."""
    if isinstance(payload, AgentExpelled) or (isinstance(payload, RoleChanged) and payload.role == "guest"):
        return payload.agent
    return None
