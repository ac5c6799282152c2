"""Checks at the end of a schedule, against the independent record of what was promised."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from gitcoord.core.format.event import parse, parse_all
from gitcoord.simulation import failover, faults
from gitcoord.simulation.checking import reference_fold, refold
from gitcoord.simulation.checking.reference_fold import Ledger
from gitcoord.simulation.fault_injection import outbox_lines
from gitcoord.simulation.hostile import gains
from gitcoord.simulation.machine import Machine, machines
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.world import LEDGER, World


def all_of(world: World, remote: SimulatedRemote, *, stops: bool) -> None:
    """Raise Violation for the first promise that was broken."""
    verifier = world.signers.verifier

    def signed(line: bytes) -> bool:
        events = parse_all([line])
        return bool(events) and verifier.rejects(events[0], world.fleet_id) is None

    honest = frozenset(machine.agent for machine in machines(world)) if world.hostile is not None else None
    ledger = reference_fold.read(world.god, world.tip, signed, honest=honest)
    if world.hostile is not None:
        ledger = gains.check(world, remote, ledger)
        refold.check(world)
    _once_each(world, ledger)
    _duties(world, remote, ledger, stops=stops)
    _terms(world, remote, ledger)
    _same_state(world, ledger)
    _nobody_flagged(world, ledger)
    failover.check(world, remote)
    if world.weather.on <= faults.NO_DELAY:
        _nobody_starves(world, remote)
    if stops:
        _drained(world, ledger)
        _one_leader(world, ledger)
    else:
        _nothing_gone(world, ledger)


def _nobody_starves(world: World, remote: SimulatedRemote) -> None:
    """Fail if an event waited too long for its position although no fault causes delays."""
    waited_s, uid = remote.witness.slowest_s(remote.history)
    polls = 2 if world.profile.pushes_per_minute is None else 2 + 1.5 * len(machines(world))  # measured: half of it
    if world.hostile is not None:  # it wins races, and overwrites outboxes, which then pause; measured: 0.6 of it
        polls *= 2
    for at_s in world.hostile.replaced_s if world.hostile is not None else ():
        until_s = min(at_s + polls * world.profile.poll_s, world.end_s)
        if until_s < world.end_s and not any(at_s < when_s <= until_s for when_s, _, _ in remote.history):
            world.fail(f"the ledger that was replaced after {at_s:.0f} s was not put back")
    if waited_s > polls * world.profile.poll_s:
        world.fail(f"event {uid[:6]} waited {waited_s:.0f} s for its place, and no fault caused a delay")


def _once_each(world: World, ledger: Ledger) -> None:
    for uid, fields in ledger.effective.items():
        said = world.attempted.get(uid)
        if fields.get("seq") is not None and (said is None or said != fields["content"]):
            world.fail(f"event {uid[:6]} of {fields['actor']} is in the ledger, and nobody wrote it")


def _duties(world: World, remote: SimulatedRemote, ledger: Ledger, *, stops: bool) -> None:
    """Fail if a duty counts twice, or was done twice in a term although no leader was copied and no ledger set back."""
    for machine in machines(world):
        chores = machine.replica.branch.fleet.states["chores"]
        for number, times in Counter(chores.done).items():
            if times > 1:
                world.fail(f"chore {number} counts {times} times on {machine.name}")
        if stops and chores.due and not machine.dead and machine.replica.branch.tip == world.tip:
            world.fail(f"chore {chores.due[0]} still waits for a leader, long after the faults stopped")
    if world.weather.on.isdisjoint({"copy", "image", "rollback", "cas"}) and remote.set_back_at_s is None:
        lines = [*ledger.effective.values(), *ledger.void]
        done = {(line["term"], duty, line["uid"]) for line in lines if (duty := line.get("data", {}).get("duty"))}
        for (term, duty), times in Counter((term, duty) for term, duty, _ in done).items():
            if times > 1:
                world.fail(f"the duty {duty} was done {times} times in term {term}")


def _terms(world: World, remote: SimulatedRemote, ledger: Ledger) -> None:
    last = 0
    for fields in ledger.elections:
        if fields["term"] <= last:
            world.fail(f"term {fields['term']} begins after term {last}")
        last = fields["term"]
    if remote.set_back_at_s is not None:
        return  # after a ledger was set back, only the promise above holds
    by_term: dict[int, str] = {}
    for election in remote.elections.values():
        if by_term.setdefault(election.term, election.session) != election.session:
            world.fail(f"term {election.term} had two leaders")


def _same_state(world: World, ledger: Ledger) -> None:
    """Fail if a machine's fold differs from the reference fold of the same tip, or from another machine's fold."""
    states = set()
    for machine in machines(world):
        branch = machine.replica.branch
        if machine.dead or branch.tip != world.tip:
            continue
        fleet = branch.fleet
        mine: Any = (
            {node: (head.seq, head.hash) for node, head in fleet.heads.items()},
            fleet.positions,
            fleet.terms.term,
            fleet.terms.highest,
            fleet.terms.leader,
            fleet.terms.session,
            fleet.digest,
        )
        if world.hostile is not None:  # the reference fold cannot tell which of its own events have effect
            mine = (mine[0], {uid: at for uid, at in mine[1].items() if uid in ledger.positions}, *mine[2:])
        plain = (
            ledger.heads,
            ledger.positions,
            ledger.term,
            ledger.highest,
            ledger.leader,
            ledger.session,
            ledger.digest,
        )
        for name, one, other in zip(
            ("heads", "positions", "term", "highest", "leader", "session", "digest"), mine, plain
        ):
            if one != other:
                world.fail(f"{machine.name}'s {name} differ from those of a plain fold of the same ledger")
        states.add(json.dumps(fleet.dump(), sort_keys=False))
    if len(states) > 1:
        world.fail("machines at the same tip have different states")


def _nobody_flagged(world: World, ledger: Ledger) -> None:
    for machine in machines(world):
        if machine.bad and not world.forged and world.hostile is None:
            world.fail(f"{machine.name} flags an honest fleet: {machine.bad[0]}")
    for fields in ledger.void:
        double = fields["uid"] in ledger.effective
        if not double and fields.get("term") is None and fields["actor"] != "liar":
            world.fail(f"event {fields['uid'][:6]} of {fields['actor']} is in the ledger without effect")


def _missing(world: World, ledger: Ledger) -> list[str]:
    return [uid for uid in world.acknowledged if uid not in ledger.effective and uid not in world.excused]


def _drained(world: World, ledger: Ledger) -> None:
    for uid in _missing(world, ledger):
        where = [machine.name for machine in machines(world) if _holds(machine, uid)]
        if where:
            world.fail(f"event {uid[:6]} still waits on {', '.join(where)}, long after the faults stopped")
        world.fail(f"event {uid[:6]} was acknowledged and is LOST")


def _holds(machine: Machine, uid: str) -> bool:
    lines = [*machine.disk.orphans, *(event.line for event in machine.disk.content.all())]
    return any(parse(line).uid == uid for line in lines)


def _nothing_gone(world: World, ledger: Ledger) -> None:
    """Fail if an acknowledged event is neither in the ledger, nor on a disk, nor in an outbox (faults may go on)."""
    boxes = {
        event.uid
        for ref, oid in world.server.refs.items()
        if ref != LEDGER
        for event in parse_all(outbox_lines(world, oid))
        if world.is_honest(event.actor, event.key)
    }
    tips = {machine.disk.tip for machine in machines(world) if not machine.dead and machine.disk.tip}
    seen = {
        event.uid
        for tip in sorted(tips - {world.tip})
        for event in parse_all(reference_fold.raw_lines(world.god, tip))
        if event.line not in world.forged
    }
    for uid in _missing(world, ledger):
        if uid not in boxes | seen and not any(_holds(m, uid) for m in machines(world) if not m.dead):
            world.fail(f"event {uid[:6]} was acknowledged and is LOST")


def _one_leader(world: World, ledger: Ledger) -> None:
    leaders = [
        machine.name
        for machine in machines(world)
        if not machine.dead
        and (lead := machine.local.leading(machine.replica.branch.fleet.terms)) is not None
        and lead.claims_term
        and lead.id == ledger.session
    ]
    if len(leaders) != 1:
        bound_s = world.end_s - world.calm_at_s
        world.fail(f"{bound_s:.0f} s after the faults stopped, {len(leaders)} machines lead: {', '.join(leaders)}")
