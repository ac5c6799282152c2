"""The sessions of this process: each sends heartbeats, and one of them may lead.

No two machines' clocks are compared: all is computed from what the rounds of this process saw. The round
(`protocol.py`) calls it. Elections are in `campaign.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core import limits
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.terms import Terms
from gitcoord.core.format.event import Event
from gitcoord.core.leadership import control_lines, neighbour_heartbeats
from gitcoord.core.leadership.leader_lease import LeaderLease
from gitcoord.core.leadership.leader_watch import LeaderWatch
from gitcoord.core.leadership.session import Random, Session
from gitcoord.core.leadership.timings import Profile
from gitcoord.core.liveness import AgentLiveness


@dataclass(slots=True)
class LocalSessions:
    """The sessions of one process; none if the process runs no agent."""

    node: str
    profile: Profile
    rng: Random
    sessions: list[Session] = field(default_factory=list)
    heartbeat_extras: Callable[[], Mapping[str, Any]] = dict
    # None: the agent never campaigns
    election_delay_factor: Callable[[FleetState, str], float | None] = lambda fleet, agent: 1.0
    standings: Callable[[], Mapping[str, AgentLiveness]] = dict  # how alive each agent is, as of the last look
    neighbours: Callable[[], Sequence[bytes]] = tuple  # newest heartbeats of this node's other processes
    watch: LeaderWatch = field(default_factory=LeaderWatch)
    lease: LeaderLease = field(default_factory=LeaderLease)
    stretch: float = 1.0  # factor of the heartbeats' period, above 1 if the push budget is short

    def leading(self, terms: Terms) -> Session | None:
        """Return the session of this process that leads; None if none does."""
        for session in self.sessions:
            if session.agent == terms.leader and session.id == terms.session:
                return session
        return None

    def made(self, session_id: str, count: int) -> bytes | None:
        """Return the heartbeat of that number that a session here made; None if it is not remembered."""
        return next((session.made.get(count) for session in self.sessions if session.id == session_id), None)

    def holds_lease(self, terms: Terms, now_s: float) -> bool:
        """Return whether the leader here may act outside the ledger now."""
        lead = self.leading(terms)
        return lead is not None and not lead.leaving and self.lease.held((terms.term, terms.session), now_s)

    def renew_lease(self, terms: Terms, started_s: float, now_s: float) -> None:
        """Extend the lease of a leader here: the remote accepted ledger and outbox of a push begun at `started_s`."""
        if self.leading(terms) is not None:
            self.lease.renew((terms.term, terms.session), self.profile, started_s=started_s, now_s=now_s)

    def claim_again(self) -> None:
        """Let each session here claim the term again, if it leads: the remote accepts our writes to the ledger."""
        for session in self.sessions:
            session.claims_term = True

    def observe(self, fleet: FleetState, heartbeats: Sequence[Event], now_s: float, *, trusted: bool) -> None:
        """Note what a successful fetch showed. `trusted`: the remote showed our own outbox as we pushed it."""
        self._confirm_handed_over(heartbeats)
        if not trusted:
            self.watch.discard_interval()
            return
        before = self.watch.last_sign
        self.watch.observe(fleet.terms, heartbeats, now_s, 2 * self.profile.poll_s)
        after = self.watch.last_sign
        for session in self.sessions:
            if (
                before is not None
                and after is not None
                and after != before
                and session.replaces_session == after.session
            ):
                # it was only asleep: a session that campaigned in its place would depose a running leader
                session.replaces_session = None

    def begin_anew(self) -> None:
        """Give all sessions other ids, which lead nothing: a copy of this process may run elsewhere."""
        for session in self.sessions:
            session.begin_anew(self.rng.randbytes(6).hex())
        self.watch = LeaderWatch()
        self.lease.drop()

    def ousted(self, heartbeats: Sequence[Event]) -> Session | None:
        """Return a session here from which another session of the same agent elsewhere says it takes over."""
        for session in self.sessions:
            for heartbeat in heartbeats:
                if heartbeat.actor == session.agent and heartbeat.data.get("takes_over_from") == session.id:
                    return session
        return None

    def next_due_s(self, fleet: FleetState, now_s: float) -> float:
        """Return the seconds until heartbeats and campaigns need the next round."""
        due = now_s + self.profile.poll_s
        lead = self.leading(fleet.terms)
        for session in self.sessions:
            if session.heartbeat_at_s is not None:
                due = min(due, session.heartbeat_at_s + self.heartbeat_period_s(session is lead))
        if self.watch.campaign_at_s is not None:
            due = min(due, self.watch.campaign_at_s)
        return max(0.0, due - now_s)

    # Heartbeats

    def heartbeat_period_s(self, leading: bool) -> float:
        """Return the seconds between two heartbeats, as promised to the others."""
        period = self.profile.heartbeat_s if leading else self.profile.follower_heartbeat_s
        return min(period * self.stretch, limits.HEARTBEAT_PROMISE_S_MAX)

    def heartbeat_due(self, fleet: FleetState, now_s: float) -> bool:
        """Return whether a session here should send a heartbeat now."""
        lead = self.leading(fleet.terms)
        return any(
            s.leaving or s.heartbeat_at_s is None or now_s - s.heartbeat_at_s >= self.heartbeat_period_s(s is lead)
            for s in self.sessions
        )

    def heartbeats(self, fleet: FleetState, now_s: float, *, timestamp: str, fresh: bool) -> list[bytes]:
        """Return the newest heartbeat of every session of the node. `fresh`: make new ones for this process's own."""
        for session in self.sessions:
            if fresh or session.line is None:
                self._renew_heartbeat(fleet, session, now_s, timestamp)
        own = [session.agent for session in self.sessions]
        return [session.line for session in self.sessions if session.line] + neighbour_heartbeats.others(
            self.neighbours(), own
        )

    def hand_over(self, fleet: FleetState, now_s: float, *, timestamp: str) -> list[Session]:
        """Make new heartbeats after half of the promised period, for a neighbour to push; return their sessions."""
        lead, due = self.leading(fleet.terms), []
        for session in self.sessions:
            half_s = self.heartbeat_period_s(session is lead) / 2
            if session.heartbeat_at_s is None or now_s - session.heartbeat_at_s >= half_s:
                self._renew_heartbeat(fleet, session, now_s, timestamp)
                session.hand_over()
                due.append(session)
        return due

    def confirm_heartbeats(self) -> None:
        """Note that the remote accepted the outbox with the newest heartbeats."""
        for session in self.sessions:
            session.confirm_heartbeat()

    def _confirm_handed_over(self, heartbeats: Sequence[Event]) -> None:
        """Note which handed over heartbeats a neighbour has pushed."""
        for session in self.sessions:
            mine = [one for one in heartbeats if one.actor == session.agent and one.data.get("session") == session.id]
            for count in {one.data.get("n") for one in mine} & session.handed_over.keys():
                session.heartbeat_at_s = max(session.handed_over[count], session.heartbeat_at_s or 0.0)

    def _renew_heartbeat(self, fleet: FleetState, session: Session, now_s: float, timestamp: str) -> None:
        session.count += 1
        leads = session is self.leading(fleet.terms)
        line = control_lines.heartbeat(
            fleet,
            session,
            node=self.node,
            timestamp=timestamp,
            leads=leads,
            next_s=self.heartbeat_period_s(leads),
            extras=self.heartbeat_extras(),
        )
        session.take_heartbeat(line, now_s)
