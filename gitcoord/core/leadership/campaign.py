"""Campaigns: which session of this process asks to lead now, and why.

A session campaigns at once where nobody would be disturbed: nobody leads, the leader said goodbye, or an older session
of its own agent leads and is known to have ended. Otherwise it waits for an election timeout of silence and a random
time more, so that two followers seldom campaign at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Event
from gitcoord.core.leadership.leader_watch import said_goodbye
from gitcoord.core.leadership.session import Session
from gitcoord.core.leadership.sessions import LocalSessions


class Campaign(NamedTuple):
    """A session that asks to lead, and why."""

    candidate: Session
    reason: str


def campaign(
    local: LocalSessions, fleet: FleetState, now_s: float, *, heartbeats: Sequence[Event] = (), term_seen: int = 0
) -> Campaign | None:
    """Return the session that campaigns now, and why; None if none should.

    `term_seen`: the highest term ever seen, also in a ledger that was lost.
    """
    promotable = [session for session in local.sessions if is_promotable(local, fleet, session)]
    lead = local.leading(fleet.terms)
    if lead is not None:
        if lead in promotable and term_seen > fleet.terms.highest:
            return Campaign(lead, f"terms up to {term_seen} were seen in a ledger that is lost")
        return None
    if not promotable:
        return None
    own = _in_place_of_own_session(local, fleet, promotable)
    if own is not None:
        return own
    vacancy = _vacancy(fleet, heartbeats)
    reason = vacancy or _silence(local, fleet)
    if reason is None:
        local.watch.campaign_at_s = None
        return None
    candidate = min(promotable, key=lambda session: _delay_factor(local, fleet, session))
    if local.watch.campaign_at_s is None:
        local.watch.campaign_at_s = now_s + _delay_s(local, fleet, candidate, is_vacant=vacancy is not None)
    return Campaign(candidate, reason) if now_s >= local.watch.campaign_at_s else None


def is_promotable(local: LocalSessions, fleet: FleetState, session: Session) -> bool:
    """Return whether an election of `session` could count, and its node and its agent want it to lead."""
    member = fleet.members.get(session.agent)
    return (
        session.may_lead
        and session.claims_term
        and not session.leaving
        and fleet.quotas.mute_of(session.agent, fleet.quotas.at) is None
        and not fleet.places.is_full(session.agent)
        and member is not None
        and member.admitted
        and member.key == session.signer.key
        and local.election_delay_factor(fleet, session.agent) is not None
    )


def _in_place_of_own_session(local: LocalSessions, fleet: FleetState, promotable: Sequence[Session]) -> Campaign | None:
    """Return the campaign of a session whose own agent leads in an older session that ended or is taken over."""
    terms = fleet.terms
    looked = local.watch.polled_at_s is not None  # a stale mirror does not show who is alive
    for session in promotable:
        dead = session.replaces_session if looked else None
        if session.agent == terms.leader and terms.session in (dead, session.takes_over_from):
            return Campaign(session, f"in place of its own session {terms.session}, which ended")
    return None


def _vacancy(fleet: FleetState, heartbeats: Sequence[Event]) -> str | None:
    """Return why a campaign would disturb no leader; None if it would."""
    if fleet.terms.leader is None:
        return "nobody leads"
    return f"{fleet.terms.leader} said goodbye" if said_goodbye(fleet.terms, heartbeats) else None


def _silence(local: LocalSessions, fleet: FleetState) -> str | None:
    """Return how long the leader has been silent, in words; None if that is less than an election timeout."""
    if not local.watch.is_silent_for(local.profile.stretched_election_timeout_s(local.watch.promised_s)):
        return None
    return f"no sign of {fleet.terms.leader} for {local.watch.silent_s:.1f} s"


def _delay_s(local: LocalSessions, fleet: FleetState, candidate: Session, *, is_vacant: bool) -> float:
    """Return the seconds between the reason for a campaign and the campaign."""
    delay_s = 0.0
    if not is_vacant:
        delay_s += local.rng.uniform(0, local.profile.election_jitter_s) * _delay_factor(local, fleet, candidate)
    if candidate.agent == fleet.terms.resigned:
        delay_s += local.profile.election_timeout_s  # a leader that resigned lets the others go first
    return delay_s


def _delay_factor(local: LocalSessions, fleet: FleetState, session: Session) -> float:
    return local.election_delay_factor(fleet, session.agent) or 0.0
