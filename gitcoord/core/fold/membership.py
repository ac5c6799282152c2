"""Membership: what is said of members, their roles, keys and accounts, and which of them may say it."""

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
    """An admin lets the agent with this key in, also before it has joined. `role` null: as it is, or a member."""

    agent: Agent
    key: KeyName
    role: Role | None = None


class AdmissionChanged(Payload):
    """An admin opens the fleet to whoever comes, or closes it."""

    admission: Literal["open", "closed"]


class RoleChanged(Payload):
    """An admin gives an agent another role."""

    agent: Agent
    role: Role


class AgentExpelled(Payload):
    """An admin sends an agent away: nothing that it writes counts, and it cannot join again. Its role is gone too."""

    agent: Agent
    reason: Words = ""


class KeyRevoked(Payload):
    """An admin takes a key away. Nothing that it signed after position `after` counts; null: from this line on."""

    key: KeyName
    after: Annotated[int, Field(ge=1, le=COUNT_MAX)] | None = None


class KeyChanged(Payload):
    """Signed with the old key: from the next event on, the new one speaks for the agent.

    `proof` is a signature by the new key (`keys.possession`): nobody claims a key that is not theirs.
    """

    key: Annotated[str, Field(max_length=64), NAMED]
    proof: Annotated[str, Field(max_length=128), NAMED]


class GithubClaimed(Payload):
    """The author says that it is this account on GitHub. It counts once that is confirmed."""

    login: Login


class GithubConfirmed(Payload):
    """The agent is this account on GitHub. An admin says so; whoever else says it shows `proof`.

    `proof` is the agent's own signature (`account_proof.py`), found in what the account posted in `repository`.
    """

    agent: Agent
    login: Login
    repository: Repository = ""
    proof: Annotated[str, Field(max_length=128), NAMED] = ""


class AgentLeft(Payload):
    """The agent is done here: it speaks as a guest until it joins again, and then has its role back.

    Its key stays known, so that nobody else takes the name.
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
    """Return the agent that may bind nobody from this event on: it was expelled, or is a guest now."""
    if isinstance(payload, AgentExpelled) or (isinstance(payload, RoleChanged) and payload.role == "guest"):
        return payload.agent
    return None
