"""A fleet in virtual time: the protocol's own rounds against a remote in memory, with a crash at any effect.

What a machine has written down (`Written`) survives a crash; its replica and its sessions do not. One seeded
source of randomness drives everything: the same seed gives the same story.
"""

from __future__ import annotations

import datetime
import hashlib
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Event, Head, fleet_id_of, parse, seal
from gitcoord.core.format.keys import Ed25519Signer, Verifier
from gitcoord.core.leadership.session import Session
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.leadership.timings import PROFILES, Profile
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.log_files import Log, lines_of, open_path
from gitcoord.core.names import uid_from
from gitcoord.core.ports import Fetched, Objects, Oid, Pushed, PushOutcome, TreeEntry, Update
from gitcoord.core.round import effects, protocol
from gitcoord.core.round.effects import Effect
from gitcoord.core.round.replica import Clock, Replica
from gitcoord.core.round.results import Report
from gitcoord.core.round.sight import Sight
from gitcoord.features import FEATURES
from gitcoord.store.memory import MemoryServer, MemoryStore, reachable_objects

LEDGER = "refs/heads/gitcoord/ledger"
OUTBOXES = "refs/gitcoord/nodes/"


def signer_of(agent: str) -> Ed25519Signer:
    return Ed25519Signer(hashlib.sha256(agent.encode()).digest())


FOUNDING = seal(
    Draft("founder", "fleet_founded", "founder founds", "2026-11-21T00:16:40.000Z", "f" * 16),
    node="founder-0",
    after=None,
    signer=signer_of("founder"),
    fleet="",
).line
FLEET = fleet_id_of(FOUNDING)


class Crash(Exception):
    """The power went."""


@dataclass
class Written:
    """What lies on a machine's disk, synced."""

    node: str
    base: Head = Head()
    queue: tuple[Event, ...] = ()
    tip: Oid | None = None
    term: int = 0
    sight: Sight = Sight()
    orphans: tuple[bytes, ...] = ()
    outboxes: tuple[Oid, ...] = ()
    heartbeats: tuple[tuple[str, int], ...] = ()
    broken: bool = False


class DurableState:
    """`Written`, as the protocol sees it."""

    def __init__(self, written: Written, agents: Sequence[str] = ()) -> None:
        self.written, self.agents = written, agents

    node = property(lambda self: self.written.node)
    base = property(lambda self: self.written.base)
    tip = property(lambda self: self.written.tip)
    term = property(lambda self: self.written.term)
    sight = property(lambda self: self.written.sight)
    orphans = property(lambda self: self.written.orphans)
    broken = property(lambda self: self.written.broken)

    def pending(self) -> list[Event]:
        return list(self.written.queue)

    def pushed(self, oid: Oid) -> bool:
        return oid in self.written.outboxes

    def owns(self, event: Event) -> bool:
        return event.actor in self.agents and event.key == signer_of(event.actor).key

    def heartbeats_pushed(self, session: str) -> int:
        return max((count for name, count in self.written.heartbeats if name == session), default=0)

    def pushed_last(self) -> Oid | None:
        return self.written.outboxes[-1] if self.written.outboxes else None


@dataclass
class World:
    """The remote, the time, the dice, and an independent record of what was promised."""

    seed: int = 0
    profile: Profile = PROFILES["local"]
    server: MemoryServer = field(default_factory=MemoryServer)
    now_s: float = 1000.0
    machines: dict[str, Machine] = field(default_factory=dict)
    acknowledged: dict[str, tuple[str, str]] = field(default_factory=dict)  # uid → actor, content
    attempted: dict[str, tuple[str, str]] = field(default_factory=dict)
    lost_tip: Oid = ""  # of the ledger before somebody replaced it

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.uid()
        self.founding = FOUNDING
        self.god = MemoryStore(self.server, ledger_ref=LEDGER, outbox_prefix=OUTBOXES)
        self.put_by_hand([FOUNDING])

    def uid(self) -> str:
        return uid_from(self.rng.randbytes(10))

    def wall(self, offset_s: float = 0.0) -> str:
        start = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
        when = start + datetime.timedelta(seconds=self.now_s + offset_s)
        return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"

    def machine(self, name: str, *agents: str, **settings: Any) -> Machine:
        """A new clone, whose agents have joined when this returns."""
        machine = Machine(self, Written(f"{name}-1"), list(agents or (name,)), **settings)
        self.machines[name] = machine
        for agent in machine.agents:
            if agent != "founder":
                machine.append("agent_joined", f"{agent} joins", actor=agent)
        return machine

    def settle(self, rounds: int = 6) -> None:
        """Some rounds of everybody, one after the other."""
        for _ in range(rounds):
            self.pass_time(self.profile.poll_s)
            for machine in self.machines.values():
                machine.round()

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    # What lies on the remote

    @property
    def tip(self) -> Oid | None:
        return self.server.refs.get(LEDGER)

    def lines(self, tip: Oid | None = None) -> list[bytes]:
        """The ledger's lines as they lie in the tip's tree, read by other code than the product's."""
        self.god.fetch()
        commit = tip or self.tip
        return raw_lines(self.god, commit) if commit else []

    def events(self) -> list[Event]:
        return [parse(line) for line in self.lines()]

    def newcomer(self, tip: Oid | None = None) -> FleetState:
        """Somebody who reads the ledger only now."""
        from gitcoord.core.round.replica import advance_to

        store = MemoryStore(self.server, ledger_ref=LEDGER, outbox_prefix=OUTBOXES)
        store.fetch()
        replica = replica_of(store, self, lambda: self.now_s)
        advance_to(replica, tip or self.server.refs[LEDGER])
        return replica.branch.fleet

    # Putting things there by hand

    def put_by_hand(self, lines: Sequence[bytes], *, parents: Sequence[Oid] | None = None, **files: bytes) -> Oid:
        """A commit on the ledger branch whose events.log is `lines`, forced there as a person could."""
        root = {open_path(0): TreeEntry(self.god.put_blob(b"".join(line + b"\n" for line in lines)))}
        return self.put_tree(root | {n: TreeEntry(self.god.put_blob(d)) for n, d in files.items()}, parents=parents)

    def put_tree(self, root: Mapping[str, TreeEntry], *, parents: Sequence[Oid] | None = None) -> Oid:
        self.god.fetch()
        before = [self.tip] if self.tip else []
        commit = self.god.put_commit(
            tree=self.god.put_tree(root),
            parents=before if parents is None else parents,
            message=f"by hand {self.uid()}",
            author="mallory",
            time_s=0,
        )
        self.server.objects |= self.god.objects
        self.server.refs[LEDGER] = commit
        return commit

    def root(self) -> dict[str, TreeEntry]:
        """The tip's tree."""
        self.god.fetch()
        assert self.tip
        return self.god.tree(self.god.commit(self.tip).tree)

    # What must hold

    def check(self, *, drained: bool = True) -> FleetState:
        """Acknowledged ⊆ ledger ⊆ attempted, each once in effect, every chain contiguous; the fold."""
        fleet = FleetState(FEATURES, Verifier())
        chains: dict[str, int] = {}
        effective: dict[str, tuple[str, str]] = {}
        for line in self.lines():
            recorded = fleet.append(line)
            event = recorded.event
            if event.seq is not None:
                assert event.seq == chains.get(event.node, 0) + 1, "a chain has a gap"
                chains[event.node] = event.seq
                assert event.uid in self.attempted, "an event from nowhere"
                if recorded.void is None:
                    assert event.uid not in effective, "an event twice in effect"
                    effective[event.uid] = (event.actor, event.content)
                else:
                    assert event.term is not None or event.uid in effective, recorded.void
        if drained:
            for uid, said in self.acknowledged.items():
                assert effective.get(uid) == said, f"lost: {said}"
        return fleet


def raw_lines(objects: Objects, commit: Oid) -> list[bytes]:
    """The lines of `events/*/*.log` and the open `events-*.log` in a commit's tree."""
    root = objects.tree(objects.commit(commit).tree)
    found: list[bytes] = []
    sealed = 0
    if "events" in root:
        for _, folder in sorted(objects.tree(root["events"].oid).items()):
            for _, segment in sorted(objects.tree(folder.oid).items()):
                found += lines_of(objects.blob(segment.oid))
                sealed += 1
    name = open_path(sealed)
    return found + (lines_of(objects.blob(root[name].oid)) if name in root else [])


def replica_of(store: MemoryStore, world: World, clock: Callable[[], float]) -> Replica:
    def fresh() -> LedgerBranch:
        return LedgerBranch(store, FleetState(FEATURES, Verifier()))

    return Replica(
        objects=store,
        fresh=fresh,
        branch=fresh(),
        ledger_ref=LEDGER,
        outbox_prefix=OUTBOXES,
        clock=Clock(clock, world.wall, lambda: int(world.now_s)),
        rng=world.rng,
    )


class Machine:
    """One clone: a disk, a store, and (until it crashes) a replica and its sessions."""

    def __init__(
        self,
        world: World,
        written: Written,
        agents: list[str],
        *,
        runs: bool = False,
        may_lead: bool = True,
        clock_rate: float = 1.0,
        wall_offset_s: float = 0.0,
        election_delay_factor: float = 1.0,
    ) -> None:
        self.world, self.agents, self.runs, self.may_lead = world, agents, runs, may_lead
        self.clock_rate, self.wall_offset_s, self.election_delay_factor = (
            clock_rate,
            wall_offset_s,
            election_delay_factor,
        )
        self.disk = DurableState(written, agents)
        self.store = MemoryStore(world.server, ledger_ref=LEDGER, outbox_prefix=OUTBOXES)
        self.told: list[tuple[str, str]] = []
        self.effects: list[Effect] = []
        self.pushes: list[tuple[Update, ...]] = []
        self.push_through: Callable[[Sequence[Update]], dict[str, Pushed]] = self.store.push
        self.fetch_through: Callable[[], Fetched] = self.store.fetch
        self.on_effect: Callable[[Effect], None] = lambda effect: None
        self.start()

    def start(self) -> None:
        """A new process: everything that was not written down is gone."""
        self.replica = replica_of(self.store, self.world, lambda: self.world.now_s * self.clock_rate)
        self.replica.clock.timestamp = lambda: self.world.wall(self.wall_offset_s)
        self.local = LocalSessions(
            self.disk.node,
            self.world.profile,
            self.world.rng,
            election_delay_factor=lambda fleet, agent: self.election_delay_factor,
        )
        if self.runs:
            for agent in self.agents:
                self.local.sessions.append(
                    Session(agent, self.world.rng.randbytes(6).hex(), signer_of(agent), may_lead=self.may_lead)
                )

    def crash(self) -> None:
        """Objects that no kept ref reaches were never synced."""
        self.store.objects = reachable_objects(self.store.objects, self.store.kept().values(), known={})
        self.start()

    def copy(self, name: str) -> Machine:
        """The clone is copied, keys and all, while nothing runs."""
        other = Machine(
            self.world, replace(self.disk.written), list(self.agents), runs=self.runs, may_lead=self.may_lead
        )
        other.store.objects = dict(self.store.objects)
        for ref, oid in self.store.kept().items():
            other.store.keep(ref, oid)
        other.start()
        self.world.machines[name] = other
        return other

    @property
    def fleet(self) -> FleetState:
        return self.replica.branch.fleet

    @property
    def session(self) -> Session:
        return self.local.sessions[0]

    @property
    def leads(self) -> bool:
        return self.local.leading(self.fleet.terms) is not None

    def append(self, type_: str, content: str, *, actor: str | None = None, **more: Any) -> Event:
        """Queued and acknowledged."""
        draft = Draft(
            actor or self.agents[0], type_, content, self.world.wall(self.wall_offset_s), self.world.uid(), **more
        )
        self.world.attempted[draft.event_uid] = (draft.actor, content)
        [event] = self._append([draft])
        if draft.term is None:
            self.world.acknowledged[draft.event_uid] = (draft.actor, content)
        return event

    def say(self, content: str, **more: Any) -> Event:
        return self.append("note", content, **more)

    def _append(self, drafts: Sequence[Draft]) -> list[Event]:
        written = self.disk.written
        head, events = written.queue[-1].head if written.queue else written.base, []
        for draft in drafts:
            if any(draft.event_uid == event.uid for event in written.queue):
                continue
            self.world.attempted.setdefault(draft.event_uid, (draft.actor, draft.content))
            events.append(seal(draft, node=written.node, after=head, signer=signer_of(draft.actor), fleet=FLEET))
            head = events[-1].head
        written.queue += tuple(events)
        return events

    # Rounds

    def round(self, *, tick: bool = True, crash_at: int | None = None, after: bool = False) -> Report | None:
        """One round. `crash_at`: the power goes before (`after`: just after) the effect of that number; then None."""
        self.effects.clear()
        steps = protocol.sync(self.replica, self.disk, self.local, tick=tick)
        answer: Any = None
        try:
            while True:
                effect = steps.send(answer)
                number = len(self.effects)
                self.effects.append(effect)
                if number == crash_at and not after:
                    raise Crash
                self.on_effect(effect)
                answer = self.perform(effect)
                if number == crash_at:
                    raise Crash
        except StopIteration as done:
            report: Report = done.value
            return report
        except Crash:
            self.crash()
            return None

    def steps(self, *, tick: bool = True) -> Generator[Effect, None, Report]:
        """A round that stops at every effect, so that rounds of several machines can be interleaved."""
        steps = protocol.sync(self.replica, self.disk, self.local, tick=tick)
        answer: Any = None
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration as done:
                report: Report = done.value
                return report
            yield effect
            answer = self.perform(effect)

    def perform(self, effect: Effect) -> Any:
        written = self.disk.written
        match effect:
            case effects.Fetch():
                return self.fetch_through()
            case effects.Push(updates):
                self.pushes.append(updates)
                return self.push_through(updates)
            case effects.Wait():
                return None
            case effects.SaveTip(oid, term):
                self.store.keep("ledger", oid)
                written.tip, written.term = oid, term
            case effects.SaveSight(sight):
                written.sight = sight
            case effects.Trim(head):
                written.base = head
                written.queue = tuple(e for e in written.queue if (e.seq or 0) > head.seq)
            case effects.Rechain(head, sequenced):
                self._rechain(head, sequenced, written.node)
            case effects.RestoreFromOutbox(events):
                written.queue += tuple(events)
            case effects.Resubmit(events):
                mine = [event.draft() for event in events if event.actor in self.agents]
                self._append(mine)
            case effects.BecomeNewNode(reason):
                self.told.append(("identity_shared", reason))
                node = f"{written.node.split('-')[0]}-{self.world.rng.randbytes(3).hex()}"
                self._rechain(Head(), frozenset(self.fleet.positions), node)
                return node
            case effects.RecordOutbox(oid, heartbeats):
                written.outboxes, written.heartbeats = (*written.outboxes, oid), (*written.heartbeats, *heartbeats)
            case effects.SaveOrphans(lines):
                written.orphans = lines
            case effects.Append(drafts):
                self._append(drafts)
            case effects.Notify(kind, text):
                self.told.append((kind, text))
            case _:
                raise AssertionError(effect)
        return None

    def _rechain(self, head: Head, without: frozenset[str], node: str) -> None:
        written = self.disk.written
        anew = []
        base = head
        for event in written.queue:
            if event.uid not in without:
                signer = signer_of(event.actor)
                anew.append(seal(event.draft(), node=node, after=head, signer=signer, fleet=FLEET))
                head = anew[-1].head
        written.node, written.base, written.queue, written.broken = node, base, tuple(anew), False

    def heard(self, kind: str) -> list[str]:
        """What this machine was told of one kind."""
        return [text for one, text in self.told if one == kind]

    # Weather

    def answers(self, outcome: PushOutcome, *, applied: bool = False, times: int = 1, reason: str = "") -> None:
        """The next pushes get this answer for every ref; `applied`: although the server did as it was told."""
        left = [times]

        def push(updates: Sequence[Update]) -> dict[str, Pushed]:
            if not left[0]:
                return self.store.push(updates)
            left[0] -= 1
            if applied:
                self.store.push(updates)
            return {update.ref: Pushed(outcome, reason) for update in updates}

        self.push_through = push

    def loses_every_race(self) -> None:
        """From now on its outbox is taken, and the ledger is always somebody else's."""

        def push(updates: Sequence[Update]) -> dict[str, Pushed]:
            stale = {update.ref: Pushed(PushOutcome.STALE) for update in updates if update.ref == LEDGER}
            return self.store.push([update for update in updates if update.ref != LEDGER]) | stale

        self.push_through = push


def run(*machines: Machine, seed: int = 0) -> None:
    """One round of each, interleaved effect by effect in a random order. `LEDGER` races are real ones."""
    rng = random.Random(seed)
    going = [machine.steps() for machine in machines]
    while going:
        steps = rng.choice(going)
        try:
            next(steps)
        except StopIteration:
            going.remove(steps)


__all__ = [
    "FLEET",
    "LEDGER",
    "OUTBOXES",
    "Crash",
    "DurableState",
    "Log",
    "Machine",
    "World",
    "Written",
    "raw_lines",
    "replica_of",
    "run",
    "signer_of",
]
