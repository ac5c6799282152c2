"""Rounds of a simulated machine, paced and retried as `node/agent/runner.py` and `node/agent/sync_loop.py` do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitcoord.core.errors import Corrupt, GitcoordError, Lost, Unreachable
from gitcoord.core.round import protocol
from gitcoord.core.round.results import Report
from gitcoord.node import push_budget
from gitcoord.simulation import performing, seat
from gitcoord.simulation.machine import Machine, machines
from gitcoord.simulation.world import Life

if TYPE_CHECKING:
    from gitcoord.simulation.machine import Machine

RETRIES = 5


def one(machine: Machine) -> Life:
    """Do one round, and set when the next one is due."""
    seen, began_s = machine.queue, machine.local_s()
    try:
        report = yield from performing.drive(
            machine,
            protocol.sync(
                machine.replica,
                machine.disk,
                machine.local,
                tick=machine.seated,
                may_push=lambda borrow: machine.budget.allows(machine.local_s(), urgent=borrow),
            ),
        )
    except Unreachable as wrong:
        _unreachable(machine, wrong)
    except Lost:
        _lapse(machine, 1.0)
    except GitcoordError as wrong:
        lied = isinstance(wrong, Corrupt) and machine.world.forged and machine.world.hostile is None
        if not lied:  # no line of others may make a round fail
            machine.world.fail(f"{machine.name}'s round ends with {type(wrong).__name__}: {wrong}")
        machine.say(f"{type(wrong).__name__}: {wrong}")
        _lapse(machine, machine.world.profile.probe_s)
    else:
        _went_well(machine, report, began_s)
        machine.queue_seen = machine.queue if machine.queue == seen or not machine.disk.content.events else None
        return
    machine.queue_seen = machine.queue


def _went_well(machine: Machine, report: Report, began_s: float) -> None:
    now, terms = machine.local_s(), machine.replica.branch.fleet.terms
    machine.failures, machine.offline, machine.not_before_s = 0, False, 0.0
    machine.round_trip_s = now - began_s
    push_budget.share(machine.budget, machine.local, machine.replica, node_id=machine.disk.node)
    if not machine.seated:
        seat.take(machine)
    for session in list(machine.local.sessions):
        if not session.leaving and machine.seats.lost(session, machine.replica.heartbeats()):
            machine.say(f"{session.agent} runs elsewhere: its session here ends")
            machine.local.sessions.remove(session)
            machine.remote.ended.add(session.id)
    machine.due_s = now + machine.local.next_due_s(machine.replica.branch.fleet, now)
    if report.waiting:
        machine.not_before_s = machine.due_s = now + push_budget.wait_s(
            machine.budget, now, poll_s=machine.local.profile.poll_s
        )
    if (terms.term, terms.session) != machine.leader_seen:
        machine.leader_seen = (terms.term, terms.session)
        machine.say(f"sees {terms.leader} lead term {terms.term}")
    _check_alone(machine)


def _check_alone(machine: Machine) -> None:
    """Fail if two leaders may act outside the ledger at once; a resumed image is excepted."""
    world = machine.world
    acting = [
        machine.name
        for machine in machines(world)
        if not machine.dead and machine.may_act and world.now_s >= machine.image_until_s
    ]
    if len(acting) > 1:
        world.fail(f"{' and '.join(acting)} may act outside the ledger at once")


def _unreachable(machine: Machine, wrong: Unreachable) -> None:
    profile = machine.world.profile
    machine.failures += 1
    if machine.failures <= RETRIES:
        _lapse(machine, machine.rng.uniform(0, min(profile.probe_s, profile.retry_s * 2**machine.failures)))
        return
    _lapse(machine, profile.probe_s)
    if not machine.offline:
        machine.offline = True
        machine.write("error", f"offline: {wrong}")


def _lapse(machine: Machine, pace_s: float) -> None:
    machine.local.watch.discard_interval()
    machine.not_before_s = machine.local_s() + pace_s
