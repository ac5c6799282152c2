"""Checks that a hostile member gained nothing: no right, no influence on time, no name, no flood by the leader.

Each check relies on the state of honest machines, or on the acts of honest agents, never on the hostile member's data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gitcoord.core import limits
from gitcoord.core.feature import dump
from gitcoord.core.format.event import Draft, parse
from gitcoord.simulation.checking.reference_fold import Ledger
from gitcoord.simulation.hostile.access import NAME
from gitcoord.simulation.machine import Machine, machines

if TYPE_CHECKING:
    from gitcoord.core.fleet_state import FleetState
    from gitcoord.simulation.remote import SimulatedRemote
    from gitcoord.simulation.world import World

LEADER_EVENTS_EACH = 1.0  # the most events that a leader may write for one line of anybody; measured: 0.2
LEADER_EVENTS_MIN = 50
TICK_EVENTS_MAX = 4 * limits.DUTIES_PER_TICK  # that a leader may write in one round; measured: 84
OCCASION_EVENTS_MAX = limits.DUTY_TRIES_MAX + 1  # in one term: its tries, and the error after the last one
LOSES_EVENTS = {"restore", "rollback", "cas"}  # faults after which a leader repeats its duties
CLOCK_ERROR_S = 1.5e5  # of the simulated clocks, at most


def check(world: World, remote: SimulatedRemote, ledger: Ledger) -> Ledger:
    """Return the ledger with honest agents' events only. Raise Violation for the first gain of the hostile member."""
    honest = replace(
        ledger,
        effective={uid: fields for uid, fields in ledger.effective.items() if _is_honest(world, fields)},
        positions={uid: at for uid, at in ledger.positions.items() if _is_honest(world, ledger.effective[uid])},
        void=[fields for fields in ledger.void if _is_honest(world, fields)],
    )
    _chains_are_kept(world, ledger)
    _leader_is_bounded(world, honest)
    for machine in machines_at_tip(world):
        fleet = machine.replica.branch.fleet
        _no_right_gained(world, fleet)
        _nothing_taken(world, fleet)
        _names_are_kept(world, machine)
        _time_is_kept(world, fleet)
    return honest


def machines_at_tip(world: World) -> Iterator[Machine]:
    """Yield honest machines that know the whole ledger."""
    for machine in machines(world):
        if not machine.dead and machine.replica.branch.tip == world.tip:
            yield machine


def _is_honest(world: World, fields: dict[str, object]) -> bool:
    return world.is_honest(str(fields["actor"]), str(fields["key"]))


def _chains_are_kept(world: World, ledger: Ledger) -> None:
    """Fail if a line in an honest node's chain is not by an honest agent, even if somebody vouched for its key."""
    nodes = {machine.disk.node: machine.name for machine in machines(world)}
    for fields in [*ledger.effective.values(), *ledger.void]:
        if fields.get("seq") is not None and fields["node"] in nodes and not _is_honest(world, fields):
            world.fail(f"a line by {fields['actor']} is in the chain of {nodes[fields['node']]}")


def _leader_is_bounded(world: World, honest: Ledger) -> None:
    """Fail if leaders wrote more events than the number of all others' lines can explain."""
    assert world.hostile is not None
    written = [
        fields
        for fields in [*honest.effective.values(), *honest.void]
        if fields.get("term") is not None and fields.get("seq") is not None
    ]
    given = world.hostile.lines + len(world.acknowledged)
    if len(written) > LEADER_EVENTS_MIN + LEADER_EVENTS_EACH * given:
        world.fail(f"leaders wrote {len(written)} events, and all others together {given}")


def check_tick(machine: Machine, drafts: Sequence[Draft]) -> None:
    """Raise Violation if a leader writes too much at once, or too often about one occasion."""
    world, by_duty = machine.world, machine.duties_done
    if len(drafts) > TICK_EVENTS_MAX:
        world.fail(f"{machine.name} writes {len(drafts)} events in one round; {TICK_EVENTS_MAX} are the most")
    for draft in drafts:
        occasion = (draft.term, draft.data.get("duty"))
        by_duty[occasion] += 1
        loses = machine.remote.set_back_at_s is not None or not world.weather.on.isdisjoint(LOSES_EVENTS)
        if by_duty[occasion] > OCCASION_EVENTS_MAX and not loses:
            world.fail(f"{machine.name} writes of {draft.data.get('duty')} {by_duty[occasion]} times in one term")


def _no_right_gained(world: World, fleet: FleetState) -> None:
    for member in fleet.members.by_id.values():
        wanted = "admin" if member.id == "founder" else "member"
        honest = world.is_honest(member.id, member.key)
        if honest and (member.role != wanted or member.expelled or not member.admitted):
            world.fail(f"{member.id} is {member.role}{', expelled' if member.expelled else ''}, and no admin said so")
        if not honest and member.role != "member":
            world.fail(f"{member.id}, whom no admin gave any right, is {member.role}")
    if fleet.terms.leader is not None and fleet.terms.leader not in {machine.agent for machine in machines(world)}:
        world.fail(f"{fleet.terms.leader} leads, and is none of those whom the setting `leaders` names")
    settings = dump(fleet.features["settings"], fleet.states["settings"])
    if sorted(settings) != ["leaders", "recovery"] or len(settings["leaders"]) != len(machines(world)):
        world.fail(f"the settings are {settings}, and no admin changed them")
    if fleet.quotas.muted or fleet.members.revoked or fleet.members.admission != "open":
        world.fail("somebody was muted, a key revoked or the admission closed, and no admin said so")


def _nothing_taken(world: World, fleet: FleetState) -> None:
    """Fail if the founder, which wrote nothing more, lost its reservation or its task."""
    held = fleet.states["reservations"].held.values()
    if not any(one.agent == "founder" for one in held):
        world.fail("the founder's reservation was ended by somebody else")
    tasks = [task for task in fleet.states["tasks"].tasks.values() if task.title == "the founder's"]
    if not any(task.created_by == task.preferred == "founder" and not task.over for task in tasks):
        world.fail("the founder's task was ended by somebody else")


def _names_are_kept(world: World, machine: Machine) -> None:
    """Fail if an honest event with effect has another content, author or key than its author wrote."""
    branch = machine.replica.branch
    read = branch.line_at()
    for uid, content in world.attempted.items():
        at = branch.fleet.positions.get(uid)
        event = parse(read(at)) if at is not None else None
        if event is not None and (event.content != content or not world.is_honest(event.actor, event.key)):
            world.fail(f"event {uid[:6]} is {event.actor}'s in the ledger, and another one wrote it")


def _time_is_kept(world: World, fleet: FleetState) -> None:
    if not world.wall(-CLOCK_ERROR_S) <= fleet.time.now <= world.wall(CLOCK_ERROR_S):
        world.fail(f"the ledger's time is {fleet.time.now}, and only {NAME} wrote events of that time")
