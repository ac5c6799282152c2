"""The simulated world: virtual time, random numbers from one seed, the remote, and a record of all acknowledgements."""

from __future__ import annotations

import datetime
import heapq
import random
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gitcoord.core.feature import Feature
from gitcoord.core.format.event import Draft, fleet_id_of, seal
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.leadership.timings import Profile
from gitcoord.core.ledger.log_files import LogFiles, joined
from gitcoord.core.names import uid_from
from gitcoord.core.ports import Oid, TreeEntry
from gitcoord.core.round.replica import Replica
from gitcoord.simulation import chores
from gitcoord.simulation.disk import SimDisk
from gitcoord.simulation.faults import Weather
from gitcoord.simulation.objects import Decoded, SimStore
from gitcoord.simulation.signing import Signers
from gitcoord.store.memory import MemoryServer

LEDGER = "refs/heads/gitcoord/ledger"
OUTBOXES = "refs/gitcoord/nodes/"
EPOCH = datetime.datetime(2026, 11, 21)  # UTC; without a time zone, because it is formatted for each event

FEATURES: dict[str, Feature] = {"chores": chores}
"""The protocol never reads a feature's state, so one feature with many duties is enough."""

Life = Generator[float, None, None]
"""A process: it yields the seconds that it sleeps."""


class Violation(Exception):
    """A rule that must always hold was broken."""


class Inhabitant(Protocol):
    """A machine as the remote, its observer and a hostile member see it (`machine.py` has the rest)."""

    name: str
    agent: str
    dead: bool
    disk: SimDisk
    replica: Replica
    local: LocalSessions


class Guest(Protocol):
    """A hostile member as the world sees it."""

    lines: int
    replaced_s: list[float]  # when it replaced the ledger by a foreign one


@dataclass(slots=True)
class World:
    """One schedule: the remote, the time, the random numbers, and an independent record of acknowledged events."""

    seed: int
    weather: Weather
    profile: Profile
    signers: Signers
    calm_at_s: float  # when faults stop
    end_s: float
    trace: list[str] = field(default_factory=list)
    now_s: float = 0.0
    server: MemoryServer = field(default_factory=MemoryServer)
    machines: list[Inhabitant] = field(default_factory=list)
    features: Mapping[str, Feature] = field(default_factory=lambda: FEATURES)
    hostile: Guest | None = None
    attempted: dict[str, str] = field(default_factory=dict)  # uid → content
    acknowledged: dict[str, str] = field(default_factory=dict)
    excused: dict[str, str] = field(default_factory=dict)  # uid → why its loss breaks no promise
    at_risk: dict[str, str] = field(default_factory=dict)  # uid → why its author's disk lost it
    forged: set[bytes] = field(default_factory=set)  # lines that a liar made
    decoded: Decoded = field(default_factory=Decoded)
    god: SimStore = field(init=False)
    fleet_id: str = field(init=False)
    _dice: dict[str, random.Random] = field(default_factory=dict)
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _asked: int = 0

    def __post_init__(self) -> None:
        self.god = self.store()
        self.god.objects = self.server.objects  # an observer sees everything
        founded = Draft(
            "founder",
            "fleet_founded",
            "founder founds",
            self.wall(),
            self.uid("founder"),
            data={"profile": self.profile.name},
        )
        line = seal(founded, node="founder-0", after=None, signer=self.signers.of("founder"), fleet="").line
        self.fleet_id = fleet_id_of(line)
        self.put_commit([line], parents=(), author="founder")

    def store(self) -> SimStore:
        return SimStore(self.server, self.decoded, ledger_ref=LEDGER, outbox_prefix=OUTBOXES)

    # Random numbers

    def dice(self, concern: str) -> random.Random:
        """Return the random numbers of one concern. Each has its own, so a fault that is left out changes no other."""
        if concern not in self._dice:
            self._dice[concern] = random.Random(f"{self.seed}/{concern}")
        return self._dice[concern]

    @property
    def stormy(self) -> bool:
        """Whether machines may crash or fall asleep."""
        return self.now_s < self.calm_at_s and not self.weather.on.isdisjoint(("crash", "suspend", "pause"))

    def happens(self, fault: str, who: str = "") -> bool:
        """Return whether a fault happens now. None does after `calm_at_s`."""
        if fault not in self.weather.on or self.now_s >= self.calm_at_s:
            return False
        return self.dice(f"{fault}/{who}").random() < self.weather.rates[fault]

    def uid(self, concern: str) -> str:
        return uid_from(self.dice(f"uid/{concern}").randbytes(10))

    # Time

    def wall(self, offset_s: float = 0.0) -> str:
        when = EPOCH + datetime.timedelta(seconds=self.now_s + offset_s)
        return when.isoformat(timespec="milliseconds") + "Z"

    def at(self, when_s: float, what: Callable[[], None]) -> None:
        self._asked += 1
        heapq.heappush(self._due, (max(when_s, self.now_s), self._asked, what))

    def spawn(self, life: Iterator[float], delay_s: float = 0.0) -> None:
        def step() -> None:
            sleep_s = next(life, None)
            if sleep_s is not None:
                self.at(self.now_s + max(sleep_s, 1e-6), step)

        self.at(self.now_s + delay_s, step)

    def run(self) -> None:
        while self._due and self._due[0][0] <= self.end_s:
            self.now_s, _, what = heapq.heappop(self._due)
            what()
        self.now_s = self.end_s

    def is_honest(self, actor: str, key: str) -> bool:
        """Return whether `key` is that of the honest agent `actor`. Without a hostile member all agents are honest."""
        if self.hostile is None:
            return True
        names = {machine.agent for machine in self.machines} | {"founder"}
        return actor in names and key == self.signers.of(actor).key

    def say(self, who: str, text: str) -> None:
        self.trace.append(f"{self.now_s:9.2f}  {who:<12} {text}")

    def fail(self, text: str) -> None:
        self.say("VIOLATION", text)
        raise Violation(text)

    # The remote, changed directly

    @property
    def tip(self) -> Oid:
        return self.server.refs[LEDGER]

    def put_commit(self, lines: list[bytes], *, parents: tuple[Oid, ...], author: str) -> Oid:
        """Force a ledger commit whose open file is `lines`, with the parent's other files; return its id."""
        tree: dict[str, TreeEntry] = {}
        if parents:
            tree = self.god.tree(self.god.commit(parents[0]).tree)
        tree[LogFiles(self.god).listing(tree).open_path] = TreeEntry(self.god.put_blob(joined(lines)))
        commit = self.god.put_commit(
            tree=self.god.put_tree(tree),
            parents=parents,
            author=author,
            message=f"by {author} {self.uid(author)}",
            time_s=int(self.now_s),
        )
        self.server.refs[LEDGER] = commit
        return commit
