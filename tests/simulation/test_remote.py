"""The observer beside the simulated remote: who goes on where a copy wrote is to blame, and only then."""

from __future__ import annotations

import pytest

from gitcoord.core.format.event import Draft, Event, Head, seal
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.ledger import outbox
from gitcoord.core.ports import Update
from gitcoord.core.round import reconcile
from gitcoord.simulation import rounds
from gitcoord.simulation.disk import Files
from gitcoord.simulation.faults import Weather
from gitcoord.simulation.machine import Machine
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.signing import Signers
from gitcoord.simulation.world import OUTBOXES, Violation, World
from gitcoord.store.home.queue_file import HeadFile

REF = f"{OUTBOXES}m1-1"


def leader() -> tuple[World, Machine]:
    """A world in which one machine leads, and shows it."""
    world = World(0, Weather(frozenset({"copy"})), PROFILES["local"], Signers(real=False), float("inf"), 30.0)
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
    world.run()
    assert machine.local.leading(machine.replica.branch.fleet.terms) and machine.remote.signs
    return world, machine


def overwrite(world: World, machine: Machine, lines: list[Event], *, heartbeats: tuple[bytes, ...] = ()) -> None:
    """A copy that pushes an outbox of these lines, and the machine's next minute."""
    box = outbox.write(
        world.god,
        node="m1-1",
        pending=lines,
        heartbeats=heartbeats,
        orphans=[],
        nonce="of a copy",
        parent=None,
        time_s=int(world.now_s),
    )
    machine.remote.apply("m1c1", Update(REF, world.server.refs[REF], box), {})
    world.end_s += 60
    world.run()


def line_of_a_copy(world: World, machine: Machine) -> Event:
    draft = Draft("agent1", "note", "by the copy", world.wall(), world.uid("copy"))
    world.attempted[draft.event_uid] = draft.content
    return seal(draft, node="m1-1", after=machine.queue, signer=world.signers.of("agent1"), fleet=world.fleet_id)


def beat_of_a_copy(world: World) -> bytes:
    draft = Draft("agent1", "heartbeat", "", world.wall(), world.uid("copy"), data={"session": "of a copy", "n": 1})
    return seal(draft, node="m1-1", after=None, signer=world.signers.of("agent1"), fleet=world.fleet_id).line


def test_who_goes_on_where_a_copy_showed_nothing_of_its_own_is_not_to_blame() -> None:
    """Seed 632078: a copy had not beaten yet, and pushed what lay on the disk when it was made."""
    world, machine = leader()
    overwrite(world, machine, [])
    machine.write("note", "words", safely=True)
    overwrite(world, machine, [*machine.disk.content.all()])
    assert machine.disk.node == "m1-1"
    assert "outbox_defaced" in "\n".join(world.trace)


def test_who_finds_a_copy_s_line_begins_anew() -> None:
    world, machine = leader()
    overwrite(world, machine, [line_of_a_copy(world, machine)])
    assert machine.disk.node != "m1-1"


@pytest.mark.parametrize("heartbeats", [False, True])
def test_who_goes_on_where_a_copy_showed_itself_is_to_blame(heartbeats: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "is_of_a_copy", lambda *_: False)
    world, machine = leader()
    lines, signs = ([], (beat_of_a_copy(world),)) if heartbeats else ([line_of_a_copy(world, machine)], ())
    with pytest.raises(Violation, match="m1 goes on where m1c1 had overwritten its outbox"):
        overwrite(world, machine, lines, heartbeats=signs)
