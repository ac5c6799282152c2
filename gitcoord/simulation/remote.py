"""The simulated remote. A push has two phases: the client checks its leases, the server applies each ref later.

A model in which a push is one step hides real bugs. Here each ref is applied separately, perhaps after the client gave
up, perhaps while another push is applied.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core import limits
from gitcoord.core.errors import Unreachable
from gitcoord.core.format.event import parse_all
from gitcoord.core.format.raw_line import type_of
from gitcoord.core.ledger import outbox
from gitcoord.core.ledger.log_files import LogFiles, lines_of
from gitcoord.core.ledger.outbox import Outbox
from gitcoord.core.ports import Fetched, Oid, Pushed, PushOutcome, Update
from gitcoord.simulation.checking.observer import Witness
from gitcoord.simulation.checking.signs import Election, Overwritten, Sign
from gitcoord.simulation.world import LEDGER, OUTBOXES, World
from gitcoord.store.memory import MemoryStore, ObjectDict, check_leases

TIMEOUT_S = 20.0  # a client's patience with one push
LATE_S_MAX = 90.0  # how long after that a server may still apply it


@dataclass(slots=True)
class SimulatedRemote:
    """The remote of all machines, and the observer's records."""

    world: World
    signs: dict[tuple[int, str], Sign] = field(default_factory=dict)
    overwritten: dict[str, Overwritten] = field(default_factory=dict)  # by session
    elections: dict[str, Election] = field(default_factory=dict)  # by uid
    nodes: dict[str, str] = field(default_factory=dict)  # where each was written, by uid
    leader: Election | None = None
    fetched_at_s: dict[str, float] = field(default_factory=dict)  # by machine: the time of its last good fetch
    cut_until_s: dict[str, float] = field(default_factory=dict)
    backups: list[dict[str, Oid]] = field(default_factory=list)
    set_back_at_s: float | None = None  # when the ledger was set back, or a compare-and-swap had two winners
    twice_left: int = 1  # violated compare-and-swaps that may still happen
    history: list[tuple[float, str, Oid]] = field(default_factory=list)  # of the ledger: time, machine, commit
    pushes: int = 0
    ended: set[str] = field(default_factory=set)  # sessions that ended themselves
    witness: Witness = field(init=False)
    files: LogFiles = field(init=False)

    def __post_init__(self) -> None:
        self.witness, self.files = Witness(self.world), LogFiles(self.world.god)

    def trip_s(self, who: str) -> float:
        rng = self.world.dice(f"trip/{who}")
        slow = rng.uniform(0, 8) if self.world.happens("delay", who) else 0.0
        return rng.uniform(0.05, 0.6) * self.world.profile.travel_s / 4 + slow

    def _refuses(self, who: str) -> str:
        world = self.world
        if world.now_s < min(self.cut_until_s.get(who, 0.0), world.calm_at_s):
            return "cut off"
        if world.happens("refused", who):
            return "HTTP 429: too many requests"
        return ""

    # Fetch

    def fetch(self, who: str, store: MemoryStore, first: Collection[str]) -> Generator[float, None, Fetched]:
        world = self.world
        yield self.trip_s(who)
        refusal = self._refuses(who)
        if refusal or world.happens("lost", who):
            yield self.trip_s(who)
            self.witness.looked(who, well=False)
            raise Unreachable(refusal or "no answer")
        self.fetched_at_s[who] = world.now_s
        shown = world.server.advertise()
        if world.happens("torn", who):
            yield self.trip_s(who)
            dice = world.dice(f"torn/{who}")
            later = world.server.advertise()
            shown |= {ref: later[ref] for ref in sorted(later) if dice.random() < 0.5}
        fetched = store.take(shown, first)
        self.witness.looked(who, well=True)
        yield self.trip_s(who)
        return fetched

    # Push

    def push(
        self, who: str, store: MemoryStore, updates: Sequence[Update]
    ) -> Generator[float, None, Mapping[str, Any]]:
        world = self.world
        self.pushes += 1
        asked_s = world.now_s
        for update in updates:
            self.witness.offers(who, update.new or "", self.fetched_at_s.get(who, 0.0))
        there_s = self.trip_s(who)
        yield there_s
        refusal = self._refuses(who)
        if refusal:
            return {update.ref: Pushed(PushOutcome.UNREACHABLE, refusal) for update in updates}
        send, told = check_leases(world.server.advertise(), updates)
        if not send:
            return told
        if world.happens("lost", f"{who}/request"):
            yield TIMEOUT_S
            return told | {update.ref: Pushed(PushOutcome.UNKNOWN, "no answer") for update in send}
        if world.happens("pause", f"{who}/push"):
            yield world.dice(f"pause/{who}").uniform(0.1, 15)
        applied_s = self._send(who, store, send, told)
        answer_s = applied_s + self.trip_s(who)
        lost = world.happens("lost", f"{who}/answer")
        given_up_s = max(asked_s + TIMEOUT_S, world.now_s)
        yield (given_up_s if lost or answer_s > given_up_s else answer_s) - world.now_s
        if lost or answer_s > given_up_s:
            return {update.ref: Pushed(PushOutcome.UNKNOWN, "no answer") for update in updates}
        return told

    def _send(self, who: str, store: MemoryStore, send: Sequence[Update], told: dict[str, Pushed]) -> float:
        """Let the server apply each ref separately, in either order. Return the time at which all are applied."""
        world, dice = self.world, self.world.dice(f"apply/{who}")
        late_s = dice.uniform(TIMEOUT_S, LATE_S_MAX) if world.happens("late", who) else 0.0
        at_s = world.now_s + late_s
        order = list(send)
        if dice.random() < 0.5:
            order.reverse()
        for update in order:
            at_s += self.trip_s(who) / 2
            world.at(at_s, self._applying(who, update, store.to_send(update), told))
        return at_s

    def _applying(self, who: str, update: Update, objects: ObjectDict, told: dict[str, Pushed]) -> Any:
        def apply() -> None:
            told[update.ref] = self.apply(who, update, objects)

        return apply

    def apply(self, who: str, update: Update, objects: ObjectDict) -> Pushed:
        """Apply one update, as the server does. Sometimes two updates of the same value both win."""
        world, server = self.world, self.world.server
        there = server.refs.get(update.ref)
        if there is None:  # deleted: nothing shows any more who had overwritten whom
            self.overwritten = {name: past for name, past in self.overwritten.items() if past.ref != update.ref}
        answer = server.apply(update, objects)
        stale = answer.outcome is PushOutcome.STALE and update.ref == LEDGER and update.new is not None
        if stale and self.twice_left and world.happens("cas"):
            self.twice_left -= 1
            self.set_back_at_s = world.now_s
            assert update.new is not None
            server.refs[LEDGER] = update.new
            world.say(who, f"WINS a compare-and-swap that {(there or 'nothing')[:8]} had won")
            answer = Pushed(PushOutcome.ACCEPTED)
        if answer.outcome is PushOutcome.ACCEPTED and update.new is not None:
            self._note(who, update.ref, update.new)
        return answer

    # What the observer notes

    def _note(self, who: str, ref: str, oid: Oid) -> None:
        world = self.world
        if ref != LEDGER:
            box = outbox.read(world.god, oid)
            self._overwritten(who, ref, box)
            for heartbeat in box.heartbeats:
                session, count = str(heartbeat.data.get("session")), int(heartbeat.data["n"])
                if heartbeat.term is not None:
                    self.signs.setdefault((heartbeat.term, session), Sign(session, ref)).add(count, world.now_s)
                elif (sign := self._sign(self.leader)) is not None and (sign.session, sign.ref) == (session, ref):
                    if count > sign.count:
                        sign.given_up_s = min(sign.given_up_s, world.now_s)
            world.say(who, f"outbox {ref.removeprefix(OUTBOXES)} is {oid[:8]}")
            return
        self.history.append((world.now_s, who, oid))
        world.say(who, f"LEDGER is {oid[:8]}")
        tree = world.god.tree(world.god.commit(oid).tree)
        listing = self.files.listing(tree)
        blobs = [*([listing.open.oid] if listing.open else []), *listing.segments[-1:]]
        term = 0
        for blob in blobs:
            lines = lines_of(world.god.blob(blob))
            for event in parse_all(line for line in lines if type_of(line) == "leader_election"):
                if not world.is_honest(event.actor, event.key):
                    continue
                term = max(term, event.term or 0)
                if event.uid not in self.elections and event.line not in world.forged:
                    self._elected(
                        who,
                        Election(
                            event.term or 0, str(event.data.get("session")), event.actor, event.uid, oid, world.now_s
                        ),
                        event.content,
                        event.node,
                    )
        self.witness.extended(next(iter(world.god.commit(oid).parents), None), oid, term)

    def _sign(self, election: Election | None) -> Sign | None:
        return self.signs.get((election.term, election.session)) if election is not None else None

    def _overwritten(self, who: str, ref: str, box: Outbox) -> None:
        """Forget heartbeats that a copy, or a later process of the same node, overwrote. Fail if their session goes on.

        Such a session is over. A process that died starts a new session, and so does a process that finds a copy's
        outbox in place of its own: neither leads. There is one exception: if the copy has no heartbeat yet, and its
        outbox has nothing that the original lacks, the original rightly ignores it, as an old image of itself.
        """
        sessions = {str(heartbeat.data.get("session")) for heartbeat in box.heartbeats}
        for session in sorted(sessions & self.overwritten.keys()):
            past = self.overwritten.pop(session)
            if self.set_back_at_s is None and (past.box.heartbeats or not self._has_all(session, ref, past.box)):
                self.world.fail(f"{who} goes on where {past.by} had overwritten its outbox")
        alive = {
            session.id
            for machine in self.world.machines
            if machine.name == who and not machine.dead
            for session in machine.local.sessions
        }
        for sign in self.signs.values():
            if sign.at_s and sign.ref == ref and sign.session not in sessions | alive:
                sign.at_s.clear()
                self.overwritten[sign.session] = Overwritten(who, ref, box)

    def _has_all(self, session: str, ref: str, box: Outbox) -> bool:
        """Return whether the process with this session wrote or folded all lines of its node's chain in `box`."""
        machine = next(
            machine
            for machine in self.world.machines
            if not machine.dead and any(one.id == session for one in machine.local.sessions)
        )
        disk, is_sequenced = machine.disk, machine.replica.is_sequenced  # the tip's own files may have been altered
        lines = [event for event in parse_all(box.lines) if event.node == ref.removeprefix(OUTBOXES)]
        queued = {event.line for event in disk.content.all()}
        return all(
            event.line in queued or ((event.seq or 0) <= disk.base.seq and is_sequenced(event.line)) for event in lines
        )

    def _elected(self, who: str, election: Election, reason: str, node: str) -> None:
        world, before = self.world, self.leader
        self.elections[election.uid], self.leader = election, election
        self.nodes[election.uid] = node
        world.say(who, f"{election.actor} is ELECTED for term {election.term}: {reason}")
        known, seen_s = self.witness.offered.get(election.commit, (0, 0.0))
        parent = next(iter(world.god.commit(election.commit).parents), "")
        reach = self.witness.terms.get(parent, 0) + limits.TERM_JUMP_MAX
        if election.term <= known and election.term < reach:  # what is beyond reach takes several elections
            world.fail(f"{election.actor} campaigned for term {election.term}, and its disk knew of term {known}")
        if before is None or self.set_back_at_s is not None:
            return
        sign = self._sign(before)
        age_s = sign.age_s(seen_s) if sign is not None else None
        if age_s is None or before.session in self.ended:
            return
        if "no sign of" not in reason:
            if "its own session" in reason and node != self.nodes.get(before.uid) and age_s < world.profile.heartbeat_s:
                world.fail(f"{election.actor} deposed its own session, which lives on {self.nodes.get(before.uid)}")
            return
        least_s = world.profile.election_timeout_s
        if age_s < least_s * 0.98 - 0.01:
            world.fail(
                f"{election.actor} deposed {before.actor}, whose sign of life was {age_s:.1f} s old when it "
                f"looked; {least_s} s is the least"
            )
        watched_s = self.witness.election_timeout_s(who, seen_s - age_s)
        if watched_s < least_s / 2:
            world.fail(
                f"{election.actor} deposed {before.actor} after it could watch it for {watched_s:.1f} s only: "
                "its own outage is nobody's silence"
            )
