"""`gitcoord elect`: one command's part in an election. It reports the leader, campaigns, resigns, or explains."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

import filelock

from gitcoord.core.errors import Lost, Unreachable
from gitcoord.core.format.event import Draft
from gitcoord.core.leadership.session import Session
from gitcoord.core.names import same_agent
from gitcoord.features import settings
from gitcoord.node.clock import since_boot_s
from gitcoord.node.node import Node


@dataclass(frozen=True, slots=True)
class LeadershipReport:
    """The leader, and how it is known."""

    leader: str | None
    term: int
    since: int  # position
    since_time: str
    node: str | None
    reason: str
    known_by: str
    elected_here: bool = False
    advice: str = ""

    def lines(self) -> Iterator[str]:
        """Yield the lines that a person reads."""
        if self.leader is None:
            yield f"nobody leads {f'(the last term was {self.term})' if self.term else 'yet'}"
        else:
            yield f"{self.leader} leads term {self.term}, since position {self.since} ({self.since_time})"
            yield f"elected because: {self.reason}"
        yield f"known by: {self.known_by}"
        if self.advice:
            yield self.advice


def leadership(node: Node, *, online: bool = True) -> LeadershipReport:
    """Return the leader after one round, or as last seen if not `online` or the remote is unreachable."""
    known_by = ""
    if online:
        try:
            node.sync(tick=False)
        except Unreachable as wrong:
            known_by = f"the ledger as last seen here ({wrong})"
    return _report(node, known_by)


def _report(node: Node, known_by: str = "", *, elected_here: bool = False, advice: str = "") -> LeadershipReport:
    terms = node.fleet.terms
    heartbeat = next((b for b in node.replica.heartbeats() if b.term == terms.term and b.actor == terms.leader), None)
    if not known_by:
        known_by = f"the ledger at position {node.fleet.position}"
        if heartbeat is not None:
            known_by += f"; its heartbeat {heartbeat.data.get('n')} of {heartbeat.timestamp}"
    return LeadershipReport(
        terms.leader,
        terms.term,
        terms.since,
        terms.since_time,
        terms.node,
        terms.reason,
        known_by,
        elected_here,
        advice,
    )


def take_part(node: Node, agent: str, *, wait: bool = False, timeout_s: float | None = None) -> LeadershipReport:
    """Campaign if nobody leads or the leader has been silent for the election timeout. Return who leads then.

    With `wait`, return only if somebody leads; raise Lost if nobody does within `timeout_s` (default: 1.5 times the
    failover bound). An `agent run` on this node campaigns itself: then this only watches.
    """
    deadline = time.monotonic() + (node.local.profile.bound_s() * 1.5 if timeout_s is None else timeout_s)
    with contextlib.ExitStack() as held:
        campaign = not node.home.running()
        if campaign:
            try:
                held.enter_context(node.home.run_lock(agent).acquire(timeout=0.5))
            except filelock.Timeout:
                campaign = False
        session = Session(agent, secrets.token_hex(6), node.keyring.signer(agent), may_lead=node.config.lead)
        if campaign:
            node.local.election_delay_factor = settings.election_delay_factor
            node.local.sessions = [session]
        return _watch(node, session, campaign=campaign, wait=wait, deadline=deadline)


def _watch(node: Node, session: Session, *, campaign: bool, wait: bool, deadline: float) -> LeadershipReport:
    first_sign: object = None
    while True:
        terms = node.fleet.terms
        if campaign and terms.leader == session.agent and terms.node == node.disk.node:
            session.replaces_session = terms.session  # nobody runs it here, and we hold its lock
        node.sync(tick=False)
        terms = node.fleet.terms
        if node.local.leading(terms):
            return _report(
                node,
                elected_here=True,
                advice=f"nothing sends heartbeats for {session.agent} yet: start `gitcoord "
                f"agent run --id '{session.agent}'`, otherwise the fleet elects another leader",
            )
        sign = node.local.watch.last_sign
        alive = terms.leader is not None and first_sign is not None and sign != first_sign
        first_sign = first_sign if first_sign is not None else sign
        if terms.leader is not None and (alive or not campaign or (not wait and not session.may_lead)):
            return _report(node)
        if time.monotonic() >= deadline:
            if wait and terms.leader is None:
                raise Lost("nobody leads yet: no agent that may lead is running. Start `gitcoord agent run`")
            return _report(node)
        node.pause(min(node.local.next_due_s(node.fleet, since_boot_s()) + 0.01, node.local.profile.poll_s))


def resign(node: Node, agent: str) -> LeadershipReport:
    """Resign by an event of the leader's own term, so that others campaign at once. Return the report after that.

    Raise Lost if the agent does not lead.
    """
    [event] = node.append(resignation(node, agent))
    node.confirm(event, "sequenced", timeout_s=60)
    return _report(node)


def resignation(node: Node, agent: str) -> Draft:
    """Return the draft of a resignation, after one round. Raise Lost if the agent does not lead."""
    node.sync(tick=False)
    terms = node.fleet.terms
    if terms.leader is None or not same_agent(terms.leader, agent):
        raise Lost(f"{agent} does not lead: {terms.leader or 'nobody'} does, in term {terms.term}")
    return node.draft("leader_resigned", f"{agent} resigns", actor=agent, term=terms.term)


def explain(node: Node) -> list[tuple[str, float, str]]:
    """Return the timings in force: name, seconds, meaning."""
    profile, local = node.profile, node.local
    travel = max(node.round_trip_s, profile.travel_s)
    stretch = local.stretch
    silence = profile.stretched_election_timeout_s(profile.heartbeat_s * stretch)
    bound = profile.bound_s(travel, election_timeout_s=silence)
    return [
        ("heartbeat_s", profile.heartbeat_s * stretch, "between two heartbeats of the leader"),
        ("follower_heartbeat_s", profile.follower_heartbeat_s * stretch, "between two heartbeats of any other agent"),
        ("lease_s", profile.lease_s, "V: how long a leader may act outside the ledger after a push began"),
        (
            "election_timeout_s",
            silence,
            "T: silence in a follower's own successful polls, after which a follower campaigns",
        ),
        ("poll_s", profile.poll_s, "P: between two polls of the remote"),
        ("election_jitter_s", profile.election_jitter_s, "J: the longest random wait before campaigning"),
        ("travel_s", travel, "D: a fetch and a push"),
        ("bound_s", bound, "(2.2 P + T + J) / 0.99 + D: the longest time from a leader's death to its successor"),
    ]
