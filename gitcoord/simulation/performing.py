"""The driver of a simulated machine: it performs a round's effects, and a fault may happen before each of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from gitcoord.core.errors import GitcoordError
from gitcoord.core.format.event import Draft, Event, Head
from gitcoord.core.round import effects
from gitcoord.core.round.results import Report
from gitcoord.simulation.disk import Crash
from gitcoord.simulation.hostile import gains
from gitcoord.simulation.machine import Machine
from gitcoord.simulation.world import Life

_LASTS = (effects.Fetch, effects.Push, effects.Wait)


def drive(machine: Machine, steps: Generator[effects.Effect, Any, Report]) -> Generator[float, None, Report]:
    """Perform the effects of the protocol's generator until it ends, and return its report. Raise what it raises."""
    answer: Any = None
    wrong: GitcoordError | None = None
    while True:
        try:
            effect = steps.throw(wrong) if wrong is not None else steps.send(answer)
        except StopIteration as done:
            report: Report = done.value
            return report
        answer, wrong = None, None
        if machine.world.stormy:
            yield from _weather(machine, effect)
        try:
            if isinstance(effect, _LASTS):
                answer = yield from _lasting(machine, effect)
            else:
                answer = _at_once(machine, effect)
        except GitcoordError as raised:
            wrong = raised
        machine.look_at_fate()


def _weather(machine: Machine, effect: effects.Effect) -> Life:
    world, rng = machine.world, machine.rng
    if world.happens("crash", machine.name):
        if rng.random() < 0.5:
            raise Crash
        machine.disk.fuse, machine.disk.torn = rng.randrange(3), rng.random()
    if world.happens("suspend", machine.name):
        asleep_s = rng.uniform(5, 3 * world.profile.election_timeout_s)
        machine.say(f"is suspended for {asleep_s:.0f} s before {type(effect).__name__}")
        machine.asleep = True
        yield asleep_s
        machine.asleep, machine.slept_s = False, machine.slept_s + asleep_s
        machine.look_at_fate()
    elif isinstance(effect, effects.Push) and world.happens("pause", machine.name):
        yield rng.uniform(0.1, 2 * world.profile.poll_s)
        machine.look_at_fate()


def _lasting(machine: Machine, effect: effects.Effect) -> Generator[float, None, Any]:
    match effect:
        case effects.Fetch(_, first):
            return (yield from machine.remote.fetch(machine.name, machine.store, first))
        case effects.Push(updates):
            machine.budget.spend(machine.local_s())
            return (yield from machine.remote.push(machine.name, machine.store, updates))
        case effects.Wait(losses):
            longest_s = min(machine.local.profile.poll_s, max(machine.round_trip_s, 0.02) * 2**losses)
            yield machine.rng.uniform(0, longest_s)
    return None


def _at_once(machine: Machine, effect: effects.Effect) -> Any:
    match effect:
        case effects.Notify(kind, text):
            machine.say(f"{kind}: {text}")
            if kind == "bad_line":
                machine.bad.append(text)
        case effects.BecomeNewNode(reason):
            return _become_new_node(machine, reason)
        case _:
            _write_down(machine, effect)
    return None


def _write_down(machine: Machine, effect: effects.Effect) -> None:
    disk = machine.disk
    match effect:
        case effects.SaveTip(oid, term):
            machine.store.keep("ledger", oid)
            disk.save_tip(oid, term)
            machine.remote.witness.wrote_down(machine.name, oid)
        case effects.SaveSight(sight):
            disk.save_sight(sight)
        case effects.Trim(head):
            disk.trim(head)
            machine.say(f"trims up to {head.seq}")
        case effects.Rechain(head, sequenced):
            disk.rechain(head, sequenced)
            machine.say(f"rechains its queue after {head.seq}")
        case effects.RestoreFromOutbox(events):
            disk.adopt(events)
        case effects.Resubmit(events):
            _append(machine, [event.draft() for event in events if disk.owns(event)])
        case effects.RecordOutbox(oid, heartbeats):
            disk.note_outbox(oid, heartbeats)
        case effects.SaveOrphans(lines):
            disk.save_orphans(lines)
            machine.say(f"carries {len(lines)} lines")
        case effects.Append(drafts):
            gains.check_tick(machine, drafts)
            _append(machine, drafts)
        case _:
            raise AssertionError(effect)


def _append(machine: Machine, drafts: Sequence[Draft]) -> Sequence[Event]:
    for draft in drafts:
        machine.world.attempted.setdefault(draft.event_uid, draft.content)
    return machine.disk.append(drafts)


def _become_new_node(machine: Machine, reason: str) -> str:
    if not machine.world.weather.on & {"copy", "image", "restore", "rollback"}:
        machine.world.fail(f"{machine.name} takes itself for a copy: {reason}")
    node = machine.world.signers.new_node(f"{machine.name}-{machine.rng.randbytes(3).hex()}")
    machine.disk.rechain(Head(), frozenset(machine.replica.branch.fleet.positions), node)
    machine.say(f"becomes node {node}: {reason}")
    return node
