"""Control lines of sessions: elections, renewals and heartbeats. They are signed, and outside any chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, seal
from gitcoord.core.leadership.session import Session

HEARTBEAT_UID = "0" * 16  # a heartbeat takes no position, so nothing refers to its uid


def election(
    fleet: FleetState, session: Session, reason: str, *, node: str, term: int, timestamp: str, uid: str
) -> bytes:
    """Return the line by which `session` campaigns; it is valid only right after the log as folded."""
    data = {"session": session.id, "after": fleet.digest, "reason": reason}
    draft = Draft(
        actor=session.agent,
        type="leader_election",
        content=f"{session.agent} campaigns: {reason}",
        timestamp=timestamp,
        uid=uid,
        term=term,
        data=data,
    )
    return _sealed(fleet, session, draft, node)


def renewal(fleet: FleetState, session: Session, *, node: str, timestamp: str, uid: str) -> bytes:
    """Return the line by which a leader that has nothing to write finds out whether it still leads."""
    draft = Draft(
        actor=session.agent,
        type="leader_renewed",
        content=f"{session.agent} still leads",
        timestamp=timestamp,
        uid=uid,
        term=fleet.terms.term,
        data={"session": session.id, "after": fleet.digest},
    )
    return _sealed(fleet, session, draft, node)


def heartbeat(
    fleet: FleetState,
    session: Session,
    *,
    node: str,
    timestamp: str,
    leads: bool,
    next_s: float,
    extras: Mapping[str, Any],
) -> bytes:
    """Return a heartbeat of `session`, numbered by its count. It claims the term if the session leads."""
    data: dict[str, Any] = {
        "session": session.id,
        "n": session.count,
        "next_s": next_s,
        "state": "goodbye" if session.leaving else "alive",
        "position": fleet.position,
        **extras,
    }
    if session.takes_over_from:
        data["takes_over_from"] = session.takes_over_from
    claims_term = leads and session.claims_term and not session.leaving
    draft = Draft(
        actor=session.agent,
        type="heartbeat",
        content="",
        timestamp=timestamp,
        uid=HEARTBEAT_UID,
        term=fleet.terms.term if claims_term else None,
        data=data,
    )
    return _sealed(fleet, session, draft, node)


def _sealed(fleet: FleetState, session: Session, draft: Draft, node: str) -> bytes:
    return seal(draft, node=node, after=None, signer=session.signer, fleet=fleet.id or "").line
