"""A simulated machine: what a backup brings back is all that lay on the disk when it was made."""

from __future__ import annotations

from gitcoord.core.format.event import Head
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.simulation import rounds
from gitcoord.simulation.disk import Files
from gitcoord.simulation.faults import Weather
from gitcoord.simulation.machine import Machine
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.signing import Signers
from gitcoord.simulation.world import World
from gitcoord.store.home.queue_file import HeadFile

DOWN_S_MAX = 200.0  # how long a crashed machine stays away at the most


def alone() -> tuple[World, Machine]:
    """A world of one machine, in good weather."""
    world = World(0, Weather(frozenset({"restore"})), PROFILES["local"], Signers(real=False), float("inf"), 0.0)
    machine = Machine(
        world,
        SimulatedRemote(world),
        "m1",
        "agent1",
        Files(HeadFile("m1-1", Head())),
        writes_s=[],
        one_round=rounds.one,
    )
    world.machines.append(machine)
    machine.write("agent_joined", "joins", safely=True)
    world.spawn(machine.life())
    return world, machine


def run(world: World, seconds: float) -> None:
    world.end_s = world.now_s + seconds
    world.run()


def test_a_backup_newer_than_the_disk_brings_its_objects_back_for_good() -> None:
    """Seed 101731: an older backup was put back, a crash forgot what it does not reach, then came the newer one."""
    world, machine = alone()
    run(world, 30)
    older = machine.backup()
    machine.write("note", "words", safely=True)
    run(world, 30)
    newer = machine.backup()
    assert older.files.tip != newer.files.tip
    machine.remote.cut_until_s[machine.name] = float("inf")
    for machine.fate in (older, newer):
        run(world, DOWN_S_MAX)
    machine.store.forget_unkept()
    assert machine.disk.tip == newer.files.tip and machine.disk.tip in machine.store.objects
