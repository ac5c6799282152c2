"""Rights: whether an agent may write an event, or lead, in the present state of the fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel

from gitcoord.core.event_types import EventTypes
from gitcoord.core.feature import States
from gitcoord.core.fields import typed
from gitcoord.core.fold import authority, membership, objections
from gitcoord.core.fold.authority import Asked
from gitcoord.core.fold.ledger_time import LedgerTime
from gitcoord.core.fold.members import Members
from gitcoord.core.fold.quotas import Quotas
from gitcoord.core.fold.terms import Terms
from gitcoord.core.format.keys import Verifier


class Fleet(Protocol):
    """The parts of the fold (`fleet_state.py`) on which rights depend."""

    id: str | None
    position: int
    verifier: Verifier | None
    members: Members
    quotas: Quotas
    time: LedgerTime
    terms: Terms
    states: States

    @property
    def types(self) -> EventTypes: ...


def forbids(
    fleet: Fleet,
    type_: str,
    actor: str,
    *,
    leads: bool = False,
    re: str | None = None,
    payload: BaseModel | None = None,
) -> str | None:
    """Return why `actor`, whose key is right, may not write such an event now; None if it may."""
    permission = fleet.types.permissions.get(type_)
    if permission is None:
        return None
    asked = Asked(type_, actor, fleet.members.role_of(actor) or "guest", leads, re, payload)
    state = fleet.states[permission.feature] if permission.feature else None
    void = authority.rejects(permission, asked, state, fleet.members)
    member = fleet.members.get(actor)
    return f"{void}; {actor} has left: `gitcoord init` joins again" if void and member and member.left else void


def why_not(fleet: Fleet, type_: str, *, actor: str, re: str | None, data: Mapping[str, Any]) -> str | None:
    """Return why the author would have no right to an event that is not written yet; None if it would."""
    if fleet.members.role_of(actor) is None:
        return None  # it waits to be admitted, or its joining is queued: the ledger decides
    try:
        payload = typed(fleet.types.model_of(type_), "", data)
    except ValueError:
        return None
    reason = forbids(fleet, type_, actor, re=re, payload=payload)
    return reason or (objection(fleet, payload, actor) if type_ in membership.EVENTS else None)


def objection(fleet: Fleet, payload: BaseModel | None, actor: str, key: str | None = None) -> str | None:
    """Return why a change of members is impossible, no matter who requests it; None if it is possible."""
    member = fleet.members.get(actor)
    return objections.objection(
        fleet.members,
        payload,
        fleet.position + 1,
        actor=actor,
        key=key or (member.key if member else ""),
        fleet_id=fleet.id or "",
        verifier=fleet.verifier,
    )


def may_lead(fleet: Fleet, agent: str) -> bool:
    """Return whether an election by `agent`, a member with this key, would count."""
    member = fleet.members.get(agent)
    return (
        member is not None
        and member.admitted
        and not member.expelled
        and member.key not in fleet.members.revoked
        and fleet.quotas.mute_of(agent, fleet.time.now) is None
        and forbids(fleet, "leader_election", agent) is None
    )


def depose_if_barred(fleet: Fleet) -> None:
    """Let nobody lead if the leader may not lead any more."""
    if fleet.terms.leader is not None and not may_lead(fleet, fleet.terms.leader):
        fleet.terms.depose()
