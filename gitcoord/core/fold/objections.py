"""Objections: why a change of members is impossible, no matter who requests it. `authority.py` says who may."""

from __future__ import annotations

from pydantic import BaseModel

from gitcoord.core import limits
from gitcoord.core.fold.account_proof import AccountProof
from gitcoord.core.fold.authority import Role
from gitcoord.core.fold.members import MemberRecord, Members
from gitcoord.core.fold.membership import (
    AgentAdmitted,
    AgentExpelled,
    AgentJoined,
    GithubConfirmed,
    KeyChanged,
    KeyRevoked,
    RoleChanged,
)
from gitcoord.core.format import keys
from gitcoord.core.format.keys import Verifier, fingerprint, is_named


def objection(
    members: Members,
    payload: BaseModel | None,
    position: int,
    *,
    actor: str,
    key: str,
    fleet_id: str,
    verifier: Verifier | None,
) -> str | None:
    """Return why a change of members is impossible, no matter who requests it; None if it is possible."""
    match payload:
        case AgentJoined():
            return _against_joining(members, actor, key)
        case AgentAdmitted():
            return _against_admitting(members, payload)
        case RoleChanged(agent=agent, role=role):
            return _against_losing(members, agent, role)
        case AgentExpelled(agent=agent):
            awaited = members.get(agent) is None and agent.casefold() in members.expected
            return None if awaited else _against_losing(members, agent, None)
        case GithubConfirmed():
            return _against_account(members, payload, actor, fleet_id)
        case KeyChanged():
            return _against_key(members, payload, actor, key, fleet_id, verifier)
        case KeyRevoked():
            return _against_revoking(members, payload, position)
    return None


def _against_joining(members: Members, actor: str, key: str) -> str | None:
    bound = members.expected.get(actor.casefold())
    if bound is not None and not is_named(key, bound[0]):
        return f"{actor} is admitted with the key {bound[0]}, and this one is {fingerprint(key)}"
    other = members.taken_for(actor) if bound is None and members.get(actor) is None else None
    if other is not None:
        return f"{actor} looks like {other}: an admin has to admit it first (`gitcoord agent admit`)"
    return _taken(members, key, actor)


def _taken(members: Members, key: str, agent: str) -> str | None:
    owner = members.owners.get(key)
    if owner is None or owner == agent.casefold() or (members.founded is not None and members.founded.auth == "hmac"):
        return None
    return f"this key has spoken for {members.by_id[owner].id if owner in members.by_id else owner}: one key, one agent"


def _against_admitting(members: Members, wish: AgentAdmitted) -> str | None:
    member = members.get(wish.agent)
    if member is None:
        full = len(members.expected) >= limits.ADMITTED_BEFORE_MAX
        return f"{limits.ADMITTED_BEFORE_MAX} agents are admitted already that never joined" if full else None
    if not is_named(member.key, wish.key) and member.admitted and member.key not in members.revoked:
        return f"the key of {member.id} is {fingerprint(member.key)}, not {wish.key}"
    return None if wish.role in (None, "admin") else _against_losing(members, wish.agent, wish.role)


def _against_losing(members: Members, agent: str, role: Role | None) -> str | None:
    """Return why an agent cannot lose its role: a fleet keeps an admin, who can repair what goes wrong."""
    member = members.get(agent)
    if member is None:
        return f"{agent} has not joined"
    return f"{member.id} is the last admin" if role != "admin" and _is_last_admin(members, member) else None


def _is_last_admin(members: Members, member: MemberRecord) -> bool:
    return member.admin and not any(
        one.admin and one.admitted and not one.left and not one.expelled and one.key not in members.revoked
        for one in members.by_id.values()
        if one is not member
    )


def _against_key(
    members: Members, change: KeyChanged, actor: str, key: str, fleet_id: str, verifier: Verifier | None
) -> str | None:
    if members.founded is not None and members.founded.auth == "hmac":
        return "all agents of this fleet share one secret"
    try:
        keys.check_form(change.key)
    except ValueError as wrong:
        return f"the new key cannot be one: {wrong}"
    if [*members.owners.values()].count(actor.casefold()) >= limits.KEYS_OF_ONE_MAX:
        return (
            f"{actor} has had {limits.KEYS_OF_ONE_MAX} keys, and each is kept: an admin can revoke the one "
            "that it has, and admit another"
        )
    message = keys.possession(fleet_id, actor, key, change.key)
    if verifier is not None and not verifier.proves(change.key, message, change.proof):
        return "the new key has not signed the change: its holder must prove possession (`proof`)"
    return "it is the key that it has" if change.key == key else _taken(members, change.key, actor)


def _against_account(members: Members, wish: GithubConfirmed, actor: str, fleet_id: str) -> str | None:
    """Return why an account cannot be confirmed. An admin needs no proof; others need the agent's signature."""
    member = members.get(wish.agent)
    if member is None:
        return f"{wish.agent} has not joined"
    if members.role_of(actor) == "admin" and not wish.proof:
        return None
    if not wish.proof:
        return "only an admin may without the proof that `gitcoord agent prove` prints"
    if members.founded is not None and members.founded.auth == "hmac":
        return "all agents of this fleet share one secret: no signature is one agent's, so an admin confirms it"
    if members.role_of(member.id) is None or member.key in members.revoked:
        return f"{member.id} is no member whose key counts"
    if member.claim.casefold() != wish.login.casefold():
        return f"{member.id} does not say that it is {wish.login} on GitHub"
    if member.github and member.github.casefold() != wish.login.casefold():  # an older proof may be shown again
        return f"{member.id} is confirmed to be {member.github}: only an admin changes that"
    proof = AccountProof(fleet_id, member.id, wish.login, wish.repository, wish.proof)
    return None if proof.is_by(member.key) else f"the proof is not signed with the key of {member.id}"


def _against_revoking(members: Members, wish: KeyRevoked, position: int) -> str | None:
    if members.founded is not None and members.founded.auth == "hmac":
        return "all agents of this fleet share one secret: without it nobody could speak"
    key = members.key_named(wish.key)
    if key is None:
        return f"no member has or had the key {wish.key}"
    if wish.after is not None and wish.after >= position:
        return f"position {wish.after} is not before this line"
    member = members.by_id.get(members.owners[key])
    last = member is not None and member.key == key and _is_last_admin(members, member)
    return f"it is the key of {member.id}, the last admin" if last and member is not None else None
