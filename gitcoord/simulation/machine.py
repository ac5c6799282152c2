"""A machine: a disk, an object store and, until it crashes, a process that runs one agent as `agent run` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Head
from gitcoord.core.leadership.budget import Budget
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.round.replica import Clock, Replica
from gitcoord.node.agent.sessions import AgentSessions
from gitcoord.simulation.disk import Crash, Files, SimDisk
from gitcoord.simulation.objects import SimStore
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.world import LEDGER, OUTBOXES, Life, World

if TYPE_CHECKING:
    from gitcoord.node.node import Node

LEAST_SLEEP_S = 0.05


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a machine's disk: its files, and its objects with the refs that keep them."""

    files: Files
    store: SimStore


@dataclass(slots=True)
class Patience:
    """How long a new session watches whether another run of its agent still sends heartbeats."""

    until_s: float
    counts: dict[str, Any]  # node → session and count of its newest heartbeat
    polls: int = 0


class Machine:
    """One clone and the process on it. `name` stays the same even if its node id changes."""

    def __init__(
        self,
        world: World,
        remote: SimulatedRemote,
        name: str,
        agent: str,
        files: Files,
        *,
        writes_s: Sequence[float],
        runs: bool = True,
        may_lead: bool = True,
        acts: bool = False,
        one_round: Callable[[Machine], Life],
    ) -> None:
        self.world, self.remote, self.name, self.agent = world, remote, name, agent
        self.runs, self.may_lead, self.acts = runs, may_lead, acts
        self.one_round = one_round
        self.disk = SimDisk(files, world.signers.of, world.fleet_id, agent, world.signers.of_node)
        self.store = world.store()
        self.rng = world.dice(f"machine/{name}")
        clock = world.dice(f"clock/{name}")
        ill = "clock" in world.weather.on
        self.clock_rate = clock.uniform(0.995, 1.005) if ill else 1.0
        self.clock_offset_s = clock.uniform(-1e5, 1e5) if ill else 0.0
        self.writes_s = list(writes_s)
        self.dead = False
        self.died_s = 0.0
        self.fate: Backup | None = None  # the backup that is to be restored
        self.bad: list[str] = []
        self.duties_done: Counter[tuple[int | None, object]] = Counter()  # events written, by term and occasion
        self.resting = self.asleep = False
        self.slept_s = 0.0
        self.image_until_s = 0.0  # until then a resumed image may act by what it remembers
        self.start()

    def start(self) -> None:
        """Start a new process: everything that is not on the disk is gone."""
        world = self.world
        self.replica = Replica(
            objects=self.store,
            fresh=self.fresh,
            branch=self.fresh(),
            ledger_ref=LEDGER,
            outbox_prefix=OUTBOXES,
            clock=Clock(self.local_s, lambda: world.wall(self.clock_offset_s), lambda: int(world.now_s)),
            rng=self.rng,
            fleet_id=world.fleet_id,
        )
        self.local = LocalSessions(self.disk.node, world.profile, self.rng)
        self.local.lease.wanted = self.acts
        self.budget = Budget(world.profile.pushes_per_minute)
        self.failures, self.offline = 0, False
        self.due_s = self.not_before_s = self.local_s()
        self.round_trip_s = 0.02
        self.queue_seen: Head | None = None
        self.seated = False
        self.patience: Patience | None = None
        self.seats = AgentSessions(cast("Node", self), lambda kind, text: None, lambda: False)
        self.leader_seen: object = None

    def fresh(self) -> LedgerBranch:
        """Return a reader that has read nothing yet."""
        return LedgerBranch(self.store, FleetState(self.world.features, self.world.signers.verifier))

    def local_s(self) -> float:
        """Return the time of this machine's own monotonic clock."""
        return self.clock_offset_s + 2e5 + self.world.now_s * self.clock_rate

    def say(self, text: str) -> None:
        self.world.say(self.name, text)

    @property
    def queue(self) -> Head:
        """The end of the queue."""
        return self.disk.content.head

    @property
    def may_act(self) -> bool:
        """Whether the machine may act outside the ledger now, by its own lease."""
        return not self.asleep and self.local.holds_lease(self.replica.branch.fleet.terms, self.local_s())

    # Its life

    def life(self) -> Life:
        """Run, crash, and start again from what was synced, until the machine is gone."""
        while not self.dead:
            try:
                yield from self._run()
            except Crash:
                self.store.forget_unkept()
                if self.fate is not None:
                    self._put_back(self.fate)
                if self._is_gone():
                    return
                down_s = min(self.rng.uniform(0.1, 200), max(1.0, self.world.calm_at_s - self.world.now_s))
                self.say(f"CRASHES; back in {down_s:.0f} s")
                self.start()
                yield down_s
                self.disk.recover()
                self.start()

    def _is_gone(self) -> bool:
        if self.dead:
            self.say("is gone for good")
        return self.dead

    def backup(self) -> Backup:
        store = self.world.store()
        store.become(self.store)
        return Backup(self.disk.image(), store)

    def _put_back(self, backup: Backup) -> None:
        self.fate, self.disk.files = None, replace(backup.files)
        self.disk.recover()  # at once: events that only the lost disk had must not count as kept while it is down
        self.store.become(backup.store)
        self.remote.witness.wrote_down(self.name, backup.files.tip, restored=True)
        self.say("is RESTORED from an old backup")

    def _run(self) -> Life:
        while True:
            self.look_at_fate()
            while self.writes_s and self.writes_s[0] <= self.world.now_s:
                self.writes_s.pop(0)
                self.write("note", f"words {self.world.uid(self.name)[:6]}")
            now = self.local_s()
            if now >= self.not_before_s and (now >= self.due_s or self.queue != self.queue_seen):
                yield from self.one_round(self)
                continue
            wake_s = max(self.due_s, self.not_before_s) - now
            if self.writes_s:
                wake_s = min(wake_s, self.writes_s[0] - self.world.now_s)
            self.resting = True
            yield max(wake_s / self.clock_rate, LEAST_SLEEP_S)
            self.resting = False

    def look_at_fate(self) -> None:
        """Raise Crash if the machine died, or is to be restored, while this process waited."""
        if self.dead or self.fate is not None:
            raise Crash

    def write(self, type_: str, content: str, *, safely: bool = False) -> None:
        """Queue an event, and acknowledge it to its author. `safely`: no crash happens before that."""
        world = self.world
        draft = Draft(self.agent, type_, content, world.wall(self.clock_offset_s), world.uid(self.name))
        uid = draft.event_uid
        world.attempted[uid] = content
        if not safely and world.happens("crash", f"{self.name}/write"):
            self.disk.fuse, self.disk.torn = 0, self.rng.random()
        self.disk.append([draft])
        world.acknowledged[uid] = content
        self.remote.witness.promised_s[uid] = world.now_s
        self.say(f"acknowledges {uid[:6]} ({type_}), seq {self.disk.content.head.seq}")


def machines(world: World) -> list[Machine]:
    """Return the machines of a world, with all their attributes."""
    return cast("list[Machine]", world.machines)
