"""A machine: a disk, an object store and, until it crashes, a process that runs one agent as `agent run` does."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, cast

from gitcoord.core import effects, protocol
from gitcoord.core.branch import Branch
from gitcoord.core.budget import Budget
from gitcoord.core.errors import Corrupt, GitcoordError, Lost, Unreachable
from gitcoord.core.event import Draft, Event, Head
from gitcoord.core.fleet import Fleet
from gitcoord.core.protocol import Report
from gitcoord.core.replica import Clock, Replica
from gitcoord.core.session import Crew, Session
from gitcoord.features import FEATURES
from gitcoord.node import economy, seats
from gitcoord.simulation.disk import Crash, Files, SimDisk
from gitcoord.simulation.remote import Remote
from gitcoord.simulation.world import FLEET, LEDGER, OUTBOXES, Life, World

if TYPE_CHECKING:
    from gitcoord.node.node import Node

RETRIES = 5
LEAST_SLEEP_S = 0.05


class Machine:
    """One clone and the process on it. `name` is its own, whatever its node id becomes."""

    def __init__(self, world: World, remote: Remote, name: str, agent: str, files: Files, *, writes_s: Sequence[float],
                 runs: bool = True, may_lead: bool = True, acts: bool = False) -> None:
        self.world, self.remote, self.name, self.agent = world, remote, name, agent
        self.runs, self.may_lead, self.acts = runs, may_lead, acts
        self.disk = SimDisk(files, world.signers.of, FLEET)
        self.store = world.store()
        self.chance = world.dice(f"machine/{name}")
        clock = world.dice(f"clock/{name}")
        ill = "clock" in world.weather.on
        self.clock_rate = clock.uniform(0.995, 1.005) if ill else 1.0
        self.clock_offset_s = clock.uniform(-1e5, 1e5) if ill else 0.0
        self.writes_s = list(writes_s)
        self.dead = False
        self.fate: Files | None = None  # a backup that is to be put back
        self.bad: list[str] = []
        self.start()

    def start(self) -> None:
        """A new process: everything that was not written down is gone."""
        world = self.world
        self.replica = Replica(
            objects=self.store, fresh=self._fresh, branch=self._fresh(), ledger_ref=LEDGER, outbox_prefix=OUTBOXES,
            clock=Clock(self.local_s, lambda: world.wall(self.clock_offset_s), lambda: int(world.now_s)),
            chance=self.chance,
        )
        self.crew = Crew(self.disk.node, world.profile, self.chance)
        self.crew.wants_to_act = self.acts
        self.budget = Budget(world.profile.pushes_per_minute)
        self.failures, self.offline = 0, False
        self.due_s = self.not_before_s = self.local_s()
        self.round_trip_s = 0.02
        self.queue_seen: Head | None = None
        self.seated = False
        self.patience: tuple[float, int, dict[str, Any]] | None = None
        self.seats = seats.Seats(cast("Node", self), lambda kind, text: None, lambda: False)
        self.leader_seen: object = None

    def _fresh(self) -> Branch:
        return Branch(self.store, Fleet(FEATURES, self.world.signers.verifier))

    def local_s(self) -> float:
        """This machine's own monotonic clock."""
        return self.clock_offset_s + 2e5 + self.world.now_s * self.clock_rate

    @property
    def may_act(self) -> bool:
        """Whether it would act outside the ledger now."""
        return self.crew.may_act(self.replica.branch.fleet.terms, self.local_s())

    # Its life

    def life(self) -> Life:
        """For ever: run, crash, start again from what was synced."""
        while not self.dead:
            try:
                yield from self._run()
            except Crash:
                self.store.forget_unkept()
                if self.fate is not None:
                    self._put_back(self.fate)
                if self._is_gone():
                    return
                down_s = min(self.chance.uniform(0.1, 200), max(1.0, self.world.calm_at_s - self.world.now_s))
                self.world.say(self.name, f"CRASHES; back in {down_s:.0f} s")
                self.start()
                yield down_s
                self.disk.recover()
                self.start()

    def _is_gone(self) -> bool:
        if self.dead:
            self.world.say(self.name, "is gone for good")
        return self.dead

    def _put_back(self, files: Files) -> None:
        self.fate, self.disk.files = None, files
        self.store.keep("ledger", files.tip)
        self.world.say(self.name, "is RESTORED from an old backup")

    def _run(self) -> Life:
        while True:
            self._look_at_fate()
            while self.writes_s and self.writes_s[0] <= self.world.now_s:
                self.writes_s.pop(0)
                self.write("note", f"words {self.world.uid(self.name)[:6]}")
            now = self.local_s()
            if now >= self.not_before_s and (now >= self.due_s or self._queue() != self.queue_seen):
                yield from self._round()
                continue
            wake_s = max(self.due_s, self.not_before_s) - now
            if self.writes_s:
                wake_s = min(wake_s, self.writes_s[0] - self.world.now_s)
            yield max(wake_s / self.clock_rate, LEAST_SLEEP_S)

    def _look_at_fate(self) -> None:
        if self.dead or self.fate is not None:
            raise Crash

    def _queue(self) -> Head:
        return self.disk.content.head

    def write(self, type_: str, content: str, *, safely: bool = False) -> None:
        """Queued, and promised to its author. `safely`: no crash in between."""
        world = self.world
        draft = Draft(self.agent, type_, content, world.wall(self.clock_offset_s), world.uid(self.name))
        world.attempted[draft.uid] = content
        if not safely and world.happens("crash", f"{self.name}/write"):
            self.disk.fuse, self.disk.torn = 0, self.chance.random()
        self.disk.append([draft])
        world.acknowledged[draft.uid] = content
        world.say(self.name, f"acknowledges {draft.uid[:6]} ({type_}), seq {self.disk.content.head.seq}")

    # Rounds, as `node/rounds.py` and `node/run.py` pace them

    def _round(self) -> Life:
        seen, began_s = self._queue(), self.local_s()
        try:
            report = yield from self._drive(protocol.sync(
                self.replica, self.disk, self.crew, tick=self.seated,
                may_push=lambda borrow: self.budget.allows(self.local_s(), urgent=borrow),
            ))
        except Unreachable as wrong:
            self._unreachable(wrong)
        except Lost:
            self._lapse(1.0)
        except GitcoordError as wrong:
            if isinstance(wrong, Corrupt) and not self.world.forged:
                self.world.fail(f"{self.name} finds the data corrupt: {wrong}")
            self.world.say(self.name, f"{type(wrong).__name__}: {wrong}")
            self._lapse(self.world.profile.probe_s)
        else:
            self._went_well(report, began_s)
            self.queue_seen = self._queue() if self._queue() == seen or not self.disk.content.events else None
            return
        self.queue_seen = self._queue()

    def _went_well(self, report: Report, began_s: float) -> None:
        now, terms = self.local_s(), self.replica.branch.fleet.terms
        self.failures, self.offline, self.not_before_s = 0, False, 0.0
        self.round_trip_s = now - began_s
        economy.share(cast("Node", self), self.replica)
        if not self.seated:
            self._take_seat()
        for session in list(self.crew.sessions):
            if not session.leaving and self.seats.lost(session, self.replica.beats()):
                self.world.say(self.name, f"{session.agent} runs elsewhere: its session here ends")
                self.crew.sessions.remove(session)
        self.due_s = now + self.crew.next_due_s(self.replica.branch.fleet, now)
        if report.waiting:
            self.not_before_s = self.due_s = now + max(0.1, self.budget.wait_s(now))
        if (terms.term, terms.session) != self.leader_seen:
            self.leader_seen = (terms.term, terms.session)
            self.world.say(self.name, f"sees {terms.leader} lead term {terms.term}")
        self._check_alone()

    def _check_alone(self) -> None:
        """Two leaders never act outside at once, whatever the host does to the ledger."""
        world = self.world
        acting = [machine.name for machine in world.machines if not machine.dead and machine.may_act]
        if len(acting) > 1:
            world.fail(f"{' and '.join(acting)} may act outside the ledger at once")

    def _unreachable(self, wrong: Unreachable) -> None:
        profile = self.world.profile
        self.failures += 1
        if self.failures <= RETRIES:
            self._lapse(self.chance.uniform(0, min(profile.probe_s, profile.retry_s * 2 ** self.failures)))
            return
        self._lapse(profile.probe_s)
        if not self.offline:
            self.offline = True
            self.write("error", f"offline: {wrong}")

    def _lapse(self, pace_s: float) -> None:
        self.crew.watch.lapse()
        self.not_before_s = self.local_s() + pace_s

    # Its seat, as `node/seats.py` gives it

    def _take_seat(self) -> None:
        if not self.runs:
            self.seated = True
            return
        now, terms = self.local_s(), self.replica.branch.fleet.terms
        others = seats.elsewhere(cast("Node", self), self.agent)
        counts = {node: (data["session"], data["n"]) for node, data in others.items()}
        if others:
            if self.patience is None or self.patience[2] != counts:
                longest = max(float(data.get("next_s") or 1) for data in others.values())
                self.patience = (now + 2 * longest + self.world.profile.poll_s, 0, counts)
            self.patience = (self.patience[0], self.patience[1] + 1, counts)
            if now < self.patience[0] or self.patience[1] < 3:
                return
        session = Session(self.agent, self.chance.randbytes(6).hex(), self.world.signers.of(self.agent),
                          may_lead=self.may_lead)
        if terms.leader == self.agent and terms.node == self.disk.node:
            session.proven_dead = terms.session
        elif terms.session in {data["session"] for data in others.values()}:
            session.proven_dead = terms.session
        self.crew.sessions.append(session)
        self.seated = True

    # Effects

    def _drive(self, steps: Generator[effects.Effect, Any, Report]) -> Generator[float, None, Report]:
        answer: Any = None
        wrong: GitcoordError | None = None
        while True:
            try:
                effect = steps.throw(wrong) if wrong is not None else steps.send(answer)
            except StopIteration as done:
                report: Report = done.value
                return report
            answer, wrong = None, None
            yield from self._weather(effect)
            try:
                answer = yield from self._perform(effect)
            except GitcoordError as raised:
                wrong = raised
            self._look_at_fate()

    def _weather(self, effect: effects.Effect) -> Life:
        world = self.world
        if world.happens("crash", self.name):
            if self.chance.random() < 0.5:
                raise Crash
            self.disk.fuse, self.disk.torn = self.chance.randrange(3), self.chance.random()
        if world.happens("suspend", self.name):
            asleep_s = self.chance.uniform(5, 3 * world.profile.silence_s)
            world.say(self.name, f"is suspended for {asleep_s:.0f} s before {type(effect).__name__}")
            yield asleep_s
            self._look_at_fate()
        elif isinstance(effect, effects.Push) and world.happens("pause", self.name):
            yield self.chance.uniform(0.1, 2 * world.profile.poll_s)
            self._look_at_fate()

    def _perform(self, effect: effects.Effect) -> Generator[float, None, Any]:
        match effect:
            case effects.Fetch():
                return (yield from self.remote.fetch(self.name, self.store))
            case effects.Push(updates):
                self.budget.spend(self.local_s())
                return (yield from self.remote.push(self.name, self.store, updates))
            case effects.Wait(losses):
                yield self.chance.uniform(0, min(self.crew.profile.poll_s, max(self.round_trip_s, 0.02) * 2 ** losses))
            case effects.Tell(kind, text):
                self._told(kind, text)
            case effects.BecomeNewNode(reason):
                return self._become_new_node(reason)
            case _:
                self._write_down(effect)
        return None

    def _write_down(self, effect: effects.Effect) -> None:
        disk, world = self.disk, self.world
        match effect:
            case effects.SaveTip(oid, term):
                self.store.keep("ledger", oid)
                disk.save_tip(oid, term)
            case effects.Trim(head):
                disk.trim(head)
                world.say(self.name, f"trims up to {head.seq}")
            case effects.ChainAnew(head, sequenced):
                disk.chain_anew(head, sequenced)
                world.say(self.name, f"chains its queue anew after {head.seq}")
            case effects.Adopt(events):
                disk.adopt(events)
            case effects.Reclaim(events):
                self._append([event.draft() for event in events if event.actor == self.agent])
            case effects.NoteOutbox(oid):
                disk.note_outbox(oid)
            case effects.Carry(lines):
                disk.carry(lines)
                world.say(self.name, f"carries {len(lines)} lines")
            case effects.Append(drafts):
                self._append(drafts)
            case _:
                raise AssertionError(effect)

    def _append(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        for draft in drafts:
            self.world.attempted.setdefault(draft.uid, draft.content)
        return self.disk.append(drafts)

    def _become_new_node(self, reason: str) -> str:
        node = f"{self.name}-{self.chance.randbytes(3).hex()}"
        self.disk.chain_anew(Head(), frozenset(self.replica.branch.fleet.positions), node)
        self.world.say(self.name, f"becomes node {node}: {reason}")
        return node

    def _told(self, kind: str, text: str) -> None:
        self.world.say(self.name, f"{kind}: {text}")
        if kind == "bad_line":
            self.bad.append(text)
