"""Sessions: an agent that runs on a node sends heartbeats, watches its leader, stands for election, and leads.

No clock is compared between machines: silence is timed on one's own monotonic clock, and only between polls
that succeeded. All of it is arithmetic on what a round saw; the round (`protocol.py`) calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gitcoord.core import limits
from gitcoord.core.fold.fleet_state import FleetState
from gitcoord.core.fold.terms import Terms
from gitcoord.core.format.event import Draft, Event, Signer, seal
from gitcoord.core.leadership import neighbour_heartbeats
from gitcoord.core.leadership.leader_watch import LeaderWatch
from gitcoord.core.leadership.liveness import AgentLiveness
from gitcoord.core.leadership.timings import Profile

LEFT_MAX = 16  # heartbeats left for neighbours that are remembered: what is older was pushed, or never is
POLLS_MIN = 3  # a follower that has looked less often than this knows nothing yet


class Random(Protocol):
    """A source of randomness: `random.Random` is one."""

    def uniform(self, a: float, b: float) -> float: ...

    def randbytes(self, n: int) -> bytes: ...


@dataclass(slots=True)
class Session:
    """One start of one agent. A restarted or copied process has another id, and does not lead by memory."""

    agent: str
    id: str
    signer: Signer
    may_lead: bool = True
    replaces_session: str | None = None  # an older session of this agent, known to be dead: stand in its place
    takes_over_from: str | None = None  # a living session of this agent that this one takes over from
    leaving: bool = False
    count: int = 0
    made_at_s: float = 0.0  # when the newest heartbeat was made
    heartbeat_at_s: float | None = None  # when the newest heartbeat that the remote took was made
    line: bytes | None = None  # the newest heartbeat
    made: dict[int, bytes] = field(default_factory=dict)  # the newest ones, by their numbers
    # counts of heartbeats that a neighbour may push → when made
    left: dict[object, float] = field(default_factory=dict)
    claims_term: bool = True  # False once denied the ledger: it leads no more, and says so by silence


@dataclass(slots=True)
class Crew:
    """The sessions of one process. A process that runs no agent has an empty crew."""

    node: str
    profile: Profile
    rng: Random
    sessions: list[Session] = field(default_factory=list)
    heartbeat_extras: Callable[[], Mapping[str, Any]] = dict
    election_delay_factor: Callable[[FleetState, str], float | None] = lambda fleet, agent: 1.0  # None: it never stands
    standings: Callable[[], Mapping[str, AgentLiveness]] = dict  # who is how alive, as of the last look
    neighbours: Callable[[], Sequence[bytes]] = tuple  # newest heartbeats of this node's other processes
    watch: LeaderWatch = field(default_factory=LeaderWatch)
    stretch: float = 1.0  # of the heartbeats' period, where the push budget binds
    wants_to_act: bool = False  # outside the ledger: then V must not run out
    act_from_s: float = 0.0  # a leader may act outside the ledger from then
    act_until_s: float = 0.0  # until then
    reign: tuple[int, str | None] = (0, None)  # the term and session that these two are about

    def leading(self, terms: Terms) -> Session | None:
        """The session here that leads, if the fold says that one does."""
        for session in self.sessions:
            if session.agent == terms.leader and session.id == terms.session:
                return session
        return None

    def made(self, session_id: str, count: int) -> bytes | None:
        """The heartbeat of that number that a session here made, as far as that is remembered."""
        return next((session.made.get(count) for session in self.sessions if session.id == session_id), None)

    def may_act(self, terms: Terms, now_s: float) -> bool:
        """Whether the leader here may act outside the ledger now."""
        if not self.act_from_s <= now_s < self.act_until_s:
            return False
        lead = self.leading(terms)
        return lead is not None and not lead.leaving and self.reign == (terms.term, terms.session)

    def confirmed(self, terms: Terms, started_s: float, now_s: float) -> None:
        """The remote took ledger and outbox from a push begun at `started_s`: the leader here may act outside.

        V counts from the START of the push: nobody can have replaced us before T after it. A new leader, or one whose
        time had run out, first waits V: so long may another one act who was copied, or whose ledger is lost.
        """
        if self.leading(terms) is None:
            return
        reign = (terms.term, terms.session)
        if reign != self.reign or now_s >= self.act_until_s:
            self.reign, self.act_from_s = reign, now_s + self.profile.outlast_s()
        self.act_until_s = started_s + self.profile.lease_s

    def observe(self, fleet: FleetState, heartbeats: Sequence[Event], now_s: float, *, trusted: bool) -> None:
        """After each successful fetch. `trusted`: the remote showed our own outbox as we pushed it."""
        self._heard_by_neighbours(heartbeats)
        if not trusted:
            self.watch.discard_interval()
            return
        before = self.watch.sign
        self.watch.poll(now_s, self._sign(fleet, heartbeats), 2 * self.profile.poll_s)
        after = self.watch.sign
        for session in self.sessions:
            if before is not None and after is not None and after != before and session.replaces_session == after[1]:
                # it was only asleep: who stood in its place now would depose the living
                session.replaces_session = None

    def _sign(self, fleet: FleetState, heartbeats: Sequence[Event]) -> tuple[int, str, int, int] | None:
        terms = fleet.terms
        if terms.leader is None or terms.session is None:
            return None
        newest = 0
        if self.watch.sign is not None and self.watch.sign[:2] == (terms.term, terms.session):
            # A heartbeat shown again is none: within a session they only count up.
            newest = self.watch.sign[2]
        else:
            self.watch.promised_s = 0.0
        for heartbeat in heartbeats:
            # Only a heartbeat that claims the term is one: a restarted leader would else hold a seat without leading.
            if (
                heartbeat.actor == terms.leader
                and heartbeat.term == terms.term
                and heartbeat.data.get("session") == terms.session
            ):
                count, promise = heartbeat.data.get("n"), heartbeat.data.get("next_s")
                if type(count) is int and count > newest:
                    newest = count
                    if isinstance(promise, (int, float)):
                        self.watch.promised_s = float(max(0.0, min(promise, limits.HEARTBEAT_PROMISE_S_MAX)))
        return (terms.term, terms.session, newest, terms.leader_lines)

    def said_goodbye(self, fleet: FleetState, heartbeats: Sequence[Event]) -> bool:
        """Whether the leader's own session says that it ends."""
        terms = fleet.terms
        return terms.leader is not None and any(
            heartbeat.actor == terms.leader
            and heartbeat.data.get("session") == terms.session
            and heartbeat.data.get("state") == "goodbye"
            for heartbeat in heartbeats
        )

    def campaign(
        self, fleet: FleetState, now_s: float, *, heartbeats: Sequence[Event] = (), term_seen: int = 0
    ) -> tuple[Session, str] | None:
        """The session that stands for election now, and why; None when none should.

        `term_seen`: the highest term ever seen, also in a ledger that was lost.
        """
        terms, watch = fleet.terms, self.watch
        able = [s for s in self.sessions if self._promotable(fleet, s)]
        lead = self.leading(terms)
        if lead in able and lead is not None and term_seen > terms.highest:
            return lead, f"terms up to {term_seen} were seen in a ledger that is lost"
        if not able or lead is not None:
            return None
        shares = {session.agent: self.election_delay_factor(fleet, session.agent) or 0.0 for session in able}
        candidate = min(able, key=lambda session: shares[session.agent])
        looked = watch.polled_at_s is not None  # a stale mirror does not show who lives
        for session in able:
            dead = session.replaces_session if looked else None
            if session.agent == terms.leader and terms.session in (dead, session.takes_over_from):
                return session, f"in place of its own session {terms.session}, which ended"
        gone = terms.leader is None or self.said_goodbye(fleet, heartbeats)
        least_s = self.profile.stretched_election_timeout_s(watch.promised_s)
        if gone:
            reason = f"{terms.leader} said goodbye" if terms.leader else "nobody leads"
        elif looked and watch.polls >= POLLS_MIN and watch.silent_s >= least_s:
            reason = f"no sign of {terms.leader} for {watch.silent_s:.1f} s"
        else:
            watch.campaign_at_s = None
            return None
        if watch.campaign_at_s is None:
            watch.campaign_at_s = now_s  # nobody to disturb: at once
            if not gone:
                watch.campaign_at_s += self.rng.uniform(0, self.profile.election_jitter_s) * shares[candidate.agent]
            if candidate.agent == terms.resigned:
                watch.campaign_at_s += self.profile.election_timeout_s  # who resigned lets the others go first
        return (candidate, reason) if now_s >= watch.campaign_at_s else None

    def _promotable(self, fleet: FleetState, session: Session) -> bool:
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
            and self.election_delay_factor(fleet, session.agent) is not None
        )

    def election(
        self, fleet: FleetState, session: Session, reason: str, *, term: int, timestamp: str, uid: str
    ) -> bytes:
        """The control line by which `session` stands; valid only right after the log as folded."""
        data = {"session": session.id, "after": fleet.digest, "reason": reason}
        return self._control(
            fleet,
            session,
            "leader_election",
            f"{session.agent} stands: {reason}",
            data,
            term=term,
            timestamp=timestamp,
            uid=uid,
        )

    def renewal(self, fleet: FleetState, session: Session, *, timestamp: str, uid: str) -> bytes:
        """The control line of a leader that has nothing to write and must know that it still could."""
        data = {"session": session.id, "after": fleet.digest}
        return self._control(
            fleet,
            session,
            "leader_renewed",
            f"{session.agent} still leads",
            data,
            term=fleet.terms.term,
            timestamp=timestamp,
            uid=uid,
        )

    def _control(
        self,
        fleet: FleetState,
        session: Session,
        type_: str,
        content: str,
        data: Mapping[str, Any],
        *,
        term: int | None,
        timestamp: str,
        uid: str,
    ) -> bytes:
        draft = Draft(
            actor=session.agent, type=type_, content=content, timestamp=timestamp, uid=uid, term=term, data=data
        )
        return seal(draft, node=self.node, after=None, signer=session.signer, fleet=fleet.id or "").line

    def begin_anew(self) -> None:
        """A copy of this process may live on elsewhere: sessions with other ids, which lead nothing."""
        for session in self.sessions:
            session.id = self.rng.randbytes(6).hex()
            session.count, session.heartbeat_at_s, session.line, session.claims_term = 0, None, None, True
            session.left.clear()
            session.made.clear()
            # its lock proves nothing: what it was may live where the copy was made from
            session.replaces_session = None
        self.watch = LeaderWatch()
        self.act_until_s, self.reign = 0.0, (0, None)

    def heartbeat_period_s(self, leading: bool) -> float:
        """Between two heartbeats, as promised to the others."""
        period = self.profile.heartbeat_s if leading else self.profile.follower_heartbeat_s
        return min(period * self.stretch, limits.HEARTBEAT_PROMISE_S_MAX)

    def heartbeat_due(self, fleet: FleetState, now_s: float) -> bool:
        """Whether a session here should be heard of now."""
        lead = self.leading(fleet.terms)
        return any(
            s.leaving or s.heartbeat_at_s is None or now_s - s.heartbeat_at_s >= self.heartbeat_period_s(s is lead)
            for s in self.sessions
        )

    def heartbeats(self, fleet: FleetState, now_s: float, *, timestamp: str, fresh: bool) -> list[bytes]:
        """The newest heartbeat of every session of the node. `fresh`: those that run here heartbeat anew."""
        for session in self.sessions:
            if fresh or session.line is None:
                self._renew_heartbeat(fleet, session, now_s, timestamp)
        own = [session.agent for session in self.sessions]
        return [session.line for session in self.sessions if session.line] + neighbour_heartbeats.others(
            self.neighbours(), own
        )

    def leave(self, fleet: FleetState, now_s: float, *, timestamp: str) -> list[Session]:
        """Sessions that heartbeat anew because half of what they promised is over: a neighbour's push may take it
        along."""
        lead, due = self.leading(fleet.terms), []
        for session in self.sessions:
            half_s = self.heartbeat_period_s(session is lead) / 2
            if session.heartbeat_at_s is None or now_s - session.heartbeat_at_s >= half_s:
                self._renew_heartbeat(fleet, session, now_s, timestamp)
                session.left[session.count] = now_s
                session.left.pop(session.count - LEFT_MAX, None)
                due.append(session)
        return due

    def heard(self) -> None:
        """The remote took the outbox with the newest heartbeats."""
        for session in self.sessions:
            session.heartbeat_at_s = session.made_at_s
            session.left.clear()

    def _heard_by_neighbours(self, heartbeats: Sequence[Event]) -> None:
        """A neighbour's push took along what was left for it."""
        for session in self.sessions:
            mine = [one for one in heartbeats if one.actor == session.agent and one.data.get("session") == session.id]
            for count in {one.data.get("n") for one in mine} & session.left.keys():
                session.heartbeat_at_s = max(session.left[count], session.heartbeat_at_s or 0.0)

    def _renew_heartbeat(self, fleet: FleetState, session: Session, now_s: float, timestamp: str) -> None:
        session.count += 1
        session.made_at_s = now_s
        session.line = self._heartbeat(fleet, session, session is self.leading(fleet.terms), timestamp)
        session.made[session.count] = session.line
        session.made.pop(session.count - LEFT_MAX, None)

    def _heartbeat(self, fleet: FleetState, session: Session, lead: bool, timestamp: str) -> bytes:
        data: dict[str, Any] = {
            "session": session.id,
            "n": session.count,
            "next_s": self.heartbeat_period_s(lead),
            "state": "goodbye" if session.leaving else "alive",
            "position": fleet.position,
            **self.heartbeat_extras(),
        }
        if session.takes_over_from:
            data["takes_over_from"] = session.takes_over_from
        claims_term = lead and session.claims_term and not session.leaving
        return self._control(
            fleet,
            session,
            "heartbeat",
            "",
            data,
            term=fleet.terms.term if claims_term else None,
            timestamp=timestamp,
            uid="0" * 16,
        )

    def ousted(self, heartbeats: Sequence[Event]) -> Session | None:
        """A session here that another one, of the same agent elsewhere, says it takes over from."""
        for session in self.sessions:
            for heartbeat in heartbeats:
                if heartbeat.actor == session.agent and heartbeat.data.get("takes_over_from") == session.id:
                    return session
        return None

    def next_due_s(self, fleet: FleetState, now_s: float) -> float:
        """Seconds until the next round is wanted, for the sake of heartbeats and standing."""
        due = now_s + self.profile.poll_s
        lead = self.leading(fleet.terms)
        for session in self.sessions:
            if session.heartbeat_at_s is not None:
                due = min(due, session.heartbeat_at_s + self.heartbeat_period_s(session is lead))
        if self.watch.campaign_at_s is not None:
            due = min(due, self.watch.campaign_at_s)
        return max(0.0, due - now_s)
