"""The simulated fleet led by hypothesis, rule by rule: it shrinks a failure to the fewest steps that make it.

STATEFUL_EXAMPLES=500 tries more stories than are told by default.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gitcoord.core.format.event import Head
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.ports import Oid
from gitcoord.simulation import fault_injection, image, memo, rounds
from gitcoord.simulation.checking import checks
from gitcoord.simulation.disk import Files
from gitcoord.simulation.faults import Weather
from gitcoord.simulation.machine import Backup, Machine, machines
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.signing import Signers
from gitcoord.simulation.world import LEDGER, Violation, World
from gitcoord.store.home.queue_file import HeadFile
from tests.simulation.mutants import MUTANTS

pytestmark = pytest.mark.no_cover  # other tests run the same lines; tracing them would double the time

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "8"))  # 8 take some 7 s of one processor
MACHINES_MAX = 5
DOWN_S_MAX = 200.0  # how long a crashed machine stays away at the most
LOCAL = PROFILES["local"]

which = st.integers(0, MACHINES_MAX - 1)


class Story(RuleBasedStateMachine):
    """Three machines and what befalls them. Nothing is left to the simulator's own weather."""

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        weather = Weather(frozenset({"copy", "image", "restore", "rollback"}))  # only rules make them happen
        self.world = World(0, weather, LOCAL, Signers(real=False), float("inf"), 0.0)
        self.remote = SimulatedRemote(self.world)
        self.open.enter_context(memo.shared(self.world.signers))
        self.backup: tuple[Machine, Backup] | None = None
        self.snapshot: dict[str, Oid] | None = None

    @initialize(acts=st.booleans())
    def people(self, acts: bool) -> None:
        for number in (1, 2, 3):
            machine = Machine(
                self.world,
                self.remote,
                f"m{number}",
                f"agent{number}",
                Files(HeadFile(f"m{number}-1", Head())),
                writes_s=[],
                acts=acts,
                one_round=rounds.one,
            )
            machine.write("agent_joined", "joins", safely=True)
            self.world.machines.append(machine)
            self.world.spawn(machine.life(), number / 10)

    def machine(self, number: int) -> Machine:
        return machines(self.world)[number % len(self.world.machines)]

    # What happens

    @rule(seconds=st.floats(0.1, 12))
    def time_passes(self, seconds: float) -> None:
        self.world.end_s = self.world.now_s + seconds
        self.world.run()

    @rule(number=which)
    def append(self, number: int) -> None:
        machine = self.machine(number)
        if machine.disk.fuse is None and machine.fate is None:
            machine.write("note", "words", safely=True)

    @rule(number=which, writes=st.integers(0, 4), torn=st.floats(0, 1))
    def crash(self, number: int, writes: int, torn: float) -> None:
        """The power goes at the write of that number."""
        self.machine(number).disk.fuse, self.machine(number).disk.torn = writes, torn

    @rule(cut=st.sets(which, min_size=1), seconds=st.floats(1, 30))
    def partition(self, cut: set[int], seconds: float) -> None:
        for number in cut:
            self.remote.cut_until_s[self.machine(number).name] = self.world.now_s + seconds

    @rule()
    def heal(self) -> None:
        self.remote.cut_until_s.clear()

    @rule()
    def remote_is_backed_up(self) -> None:
        self.snapshot = dict(self.world.server.refs)

    @precondition(lambda self: self.snapshot is not None)
    @rule(whole=st.booleans())
    def rollback(self, whole: bool) -> None:
        assert self.snapshot is not None
        for ref, oid in self.snapshot.items():
            if whole or ref == LEDGER:
                self.world.server.refs[ref] = oid
        self.remote.set_back_at_s = self.world.now_s
        fault_injection.excuse_second_losses(self.world)

    @rule(number=which)
    def disk_is_backed_up(self, number: int) -> None:
        self.backup = (self.machine(number), self.machine(number).backup())

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        assert self.backup is not None
        machine, backup = self.backup
        fault_injection.excuse(self.world, machine, backup.files, "its disk was restored from a backup made before")
        machine.fate = backup

    @precondition(lambda self: 3 <= len(self.world.machines) < MACHINES_MAX)
    @rule(number=which, memory=st.booleans(), runs=st.booleans(), late_s=st.sampled_from([0.0, 5.0]))
    def copy(self, number: int, memory: bool, runs: bool, late_s: float) -> None:
        machine = self.machine(number)
        if machine.fate is not None or memory and not machine.resting:
            return
        name = f"m{len(self.world.machines) + 1}"
        copy = fault_injection.copied(self.world, self.remote, machine, name, runs=machine.runs if memory else runs)
        if memory:
            image.resume(copy, machine, late_s)
        self.world.spawn(copy.life(), late_s)

    # What holds

    @invariant()
    def nothing_promised_is_broken(self) -> None:
        checks.all_of(self.world, self.remote, stops=False)

    def teardown(self) -> None:
        """Heal, and drain."""
        with self.open:
            if self.world.machines:
                self.remote.cut_until_s.clear()
                self.world.calm_at_s = self.world.now_s
                for machine in self.world.machines:
                    machine.disk.fuse = None
                self.time_passes(DOWN_S_MAX + 5 * LOCAL.bound_s())
                checks.all_of(self.world, self.remote, stops=True)


BOUNDED = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_a_story_of_any_steps_ends_well() -> None:
    run_state_machine_as_test(Story, settings=BOUNDED)


def test_a_wrong_protocol_s_story_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS["an_outbox_s_id_is_not_durable_before_its_push"].apply(monkeypatch)
    MUTANTS["told_before_the_queue_is_synced"].apply(monkeypatch)
    once = settings(BOUNDED, max_examples=100, derandomize=True, phases=[Phase.generate], print_blob=False)
    with pytest.raises(Violation):
        run_state_machine_as_test(Story, settings=once)
