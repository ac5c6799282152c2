"""Failover: how long a fleet was without a leader, against the bound that its timings promise."""

from __future__ import annotations

from gitcoord.simulation.checking.signs import Election
from gitcoord.simulation.machine import Machine, machines
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.world import World

HARMLESS = {"death", "clock", "rush"}
"""Faults that do not delay the successor of a dead leader."""


def gaps_s(world: World, remote: SimulatedRemote) -> list[float]:
    """Return the seconds from each death of a leader's machine to its successor's election, or to the end."""
    elections = [*remote.elections.values()]
    ends = [*(after.at_s for after in elections[1:]), world.end_s]
    return [
        end_s - max(machine.died_s, before.at_s)
        for before, end_s in zip(elections, ends)
        if (machine := _machine_of(world, before)) is not None and machine.dead
    ]


def check(world: World, remote: SimulatedRemote) -> None:
    """Fail if a dead leader was not replaced within the bound although no other fault delays that."""
    bound_s = world.profile.bound_s()
    for gap_s in gaps_s(world, remote) if world.weather.on <= HARMLESS else ():
        if gap_s > bound_s:
            world.fail(f"nobody led for {gap_s:.1f} s after the leader was gone; {bound_s:.1f} s is the bound")


def _machine_of(world: World, election: Election) -> Machine | None:
    return next(
        (
            machine
            for machine in machines(world)
            for session in machine.local.sessions
            if session.id == election.session
        ),
        None,
    )
