"""Who a node is: copied clones, restored backups, identities that are given, and queues that are chained anew."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gitcoord.core import limits
from gitcoord.core.errors import Denied
from gitcoord.core.format.event import Head, parse, seal
from gitcoord.core.round import effects
from tests.core.driver import FLEET, LEDGER, OUTBOXES, Machine, World, Written, run, signer_of


def a_fleet(**settings: object) -> tuple[World, Machine, Machine]:
    world = World()
    one, other = world.machine("one", **settings), world.machine("other")
    world.settle(4)
    return world, one, other


def notes(world: World) -> list[str]:
    """What has effect, in the ledger's order."""
    fleet = world.newcomer()
    return [e.content for n, e in enumerate(world.events(), 1) if e.type == "note" and fleet.positions[e.uid] == n]


def agree(world: World) -> None:
    world.check()
    assert {str(machine.fleet.dump()) for machine in world.machines.values()} == {str(world.newcomer().dump())}
    assert not any(machine.disk.pending() for machine in world.machines.values())


def voids(world: World) -> list[str]:
    return [finding.text for finding in world.newcomer().states["health"].void]


# Copies


@pytest.mark.parametrize("seed", range(12))
def test_of_a_copied_clone_and_its_copy_one_becomes_a_new_node_and_nothing_is_lost(seed: int) -> None:
    world, one, other = a_fleet()
    copy = one.copy("copy")
    for number in range(3):
        one.say(f"one {number}")
        copy.say(f"copy {number}")
        run(one, copy, seed=seed)
    world.settle(4)
    agree(world)
    assert one.disk.node != copy.disk.node
    assert len(one.heard("identity_shared")) + len(copy.heard("identity_shared")) == 1
    assert set(notes(world)) == {f"{who} {number}" for who in ("one", "copy") for number in range(3)}
    assert not any("key" in text for text in voids(world)), "nobody is called a forger"


@pytest.mark.parametrize("durable", [False, True])
def test_a_clone_copied_while_events_are_queued_has_them_once_in_effect(durable: bool) -> None:
    world, one, other = a_fleet()
    one.say("queued 1")
    one.say("queued 2")
    if durable:
        world.server.deny = lambda update: "not now" if update.ref == LEDGER else None
        one.round()
        world.server.deny = lambda update: None
        one.replica.refusals.quiet_until_s = 0
    copy = one.copy("copy")
    copy.say("copy")
    one.say("original")
    copy.round()
    one.round()
    world.settle(4)
    agree(world)
    assert sorted(notes(world)) == ["copy", "original", "queued 1", "queued 2"]


def test_a_clone_copied_again_and_again_yields_as_many_nodes() -> None:
    world, one, other = a_fleet()
    copies = [one.copy(f"copy{number}") for number in range(4)]
    for machine in (one, *copies):
        machine.say(str(machine.disk.node))
    run(one, *copies, seed=3)
    world.settle(8)
    agree(world)
    assert len({machine.disk.node for machine in (one, *copies)}) == 5


def test_a_copy_carries_along_what_the_original_had_only_in_its_outbox() -> None:
    world, one, other = a_fleet()
    copy = one.copy("copy")
    world.server.deny = lambda update: "not now" if update.ref == LEDGER else None
    one.say("only in the outbox")
    one.round()
    world.server.deny = lambda update: None
    del world.machines["one"]  # the original burns
    copy.say("copy")
    copy.round()
    assert "only in the outbox" in [parse(line).content for line in copy.disk.orphans]
    world.server.refs.pop(f"{OUTBOXES}one-1")
    world.settle(4)
    agree(world)
    assert sorted(notes(world)) == ["copy", "only in the outbox"]


def test_a_copy_begins_other_sessions() -> None:
    world, one, other = a_fleet(runs=True)
    copy = one.copy("copy")
    copy.local.sessions[0].id = one.session.id  # the machine was copied while it ran
    before = one.session.id
    world.pass_time(1.5)
    one.round()
    copy.round()
    assert one.session.id == before and copy.session.id != before
    assert not copy.leads


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_effect_of_becoming_a_new_node_loses_nothing(after: bool) -> None:
    for number in range(40):
        world, one, other = a_fleet()
        one.say("shared")
        copy = one.copy("copy")
        one.say("one")
        one.round()
        copy.say("copy")
        done = copy.round(crash_at=number, after=after)
        copy.say("copy again")
        world.settle(5)
        agree(world)
        if done is not None:
            break
    assert 4 < number < 40


# Backups


def backup_of(machine: Machine) -> Written:
    return replace(machine.disk.written)


def restore(machine: Machine, written: Written) -> None:
    machine.disk.written = written
    if written.tip:
        machine.store.keep("ledger", written.tip)
    machine.crash()


@pytest.mark.parametrize("queued", [False, True])
def test_a_restored_backup_loses_nothing_that_was_acknowledged(queued: bool) -> None:
    world, one, other = a_fleet()
    if queued:
        one.say("in the backup")
    old = backup_of(one)
    for word in "abc":
        one.say(word)
        one.round()
    world.settle(2)
    restore(one, old)
    one.say("after")
    world.settle(4)
    agree(world)
    assert notes(world) == (["in the backup"] if queued else []) + ["a", "b", "c", "after"]


def test_a_restored_backup_whose_outbox_held_more_loses_nothing() -> None:
    world, one, other = a_fleet()
    old = backup_of(one)
    world.server.deny = lambda update: "not now" if update.ref == LEDGER else None
    one.say("durable only")
    one.round()
    world.server.deny = lambda update: None
    restore(one, old)
    one.say("after")
    world.pass_time(61)
    world.settle(4)
    agree(world)
    assert sorted(notes(world)) == ["after", "durable only"]


def test_a_backup_restored_twice_is_a_new_node_each_time() -> None:
    world, one, other = a_fleet()
    old = backup_of(one)
    for turn in range(3):
        one.say(f"turn {turn}")
        world.settle(2)
        restore(one, replace(old))
        one.say(f"restored {turn}")
        world.settle(3)
    agree(world)


def test_a_restored_backup_and_a_fork_together_lose_nothing() -> None:
    """The restored node's chain goes on from the rolled-back ledger, where the vanished lines had their place."""
    world, one, other = a_fleet()
    old_tip, old = world.tip or "", backup_of(one)
    one.say("vanishes 1")
    world.settle(1)
    one.say("vanishes 2")
    world.settle(2)
    assert notes(world) == ["vanishes 1", "vanishes 2"]
    world.server.refs[LEDGER] = old_tip
    for ref in [ref for ref in world.server.refs if ref.startswith(OUTBOXES)]:
        del world.server.refs[ref]
    restore(one, old)
    one.say("in their place")
    one.round()  # it knows nothing of what vanished: its chain takes their place
    assert notes(world) == ["in their place"]
    world.settle(8)
    agree(world)
    assert sorted(notes(world)) == ["in their place", "vanishes 1", "vanishes 2"]
    assert not other.disk.orphans


def test_a_home_without_its_list_of_outboxes_becomes_a_new_node() -> None:
    world, one, other = a_fleet()
    one.say("a")
    one.round()
    one.disk.written.outboxes = ()
    one.crash()
    one.say("b")
    world.settle(4)
    agree(world)
    assert one.disk.node != "one-1" and notes(world) == ["a", "b"]


def test_a_carried_line_keeps_those_that_lead_to_it_though_they_count_elsewhere() -> None:
    world, one, other = a_fleet()
    first = other.say("a")
    world.settle(2)
    del world.machines["other"]  # its key is nowhere else
    twin = seal(first.draft(), node="gone-1", after=Head(), signer=signer_of("other"), fleet=FLEET)
    draft = replace(first.draft(), uid=world.uid(), content="b")
    world.attempted[draft.event_uid] = ("other", "b")
    second = seal(draft, node="gone-1", after=twin.head, signer=signer_of("other"), fleet=FLEET)
    one.disk.written.orphans = (twin.line, second.line)
    world.settle(3)
    assert notes(world) == ["a", "b"] and not one.disk.orphans


# Identities that are given


@pytest.mark.parametrize("sequenced", [False, True])
def test_a_machine_born_empty_takes_up_the_chain_from_ledger_and_outbox(sequenced: bool) -> None:
    world, one, other = a_fleet()
    one.say("1")
    if not sequenced:
        world.server.deny = lambda update: "not now" if update.ref == LEDGER else None
    one.round()
    world.server.deny = lambda update: None
    del world.machines["one"]
    mine = world.server.refs[f"{OUTBOXES}one-1"]
    base = other.fleet.heads.get("one-1", Head())
    born = Machine(world, Written("one-1", base=base, outboxes=(mine,)), ["one"])
    world.machines["born"] = born
    born.say("2")
    born.round()
    world.settle(4)
    agree(world)
    assert born.disk.node == "one-1" and not born.heard("identity_shared")
    assert notes(world) == ["1", "2"]


def test_a_disk_that_lost_its_queue_takes_its_lines_back_from_its_own_outbox() -> None:
    world, one, other = a_fleet()
    world.server.deny = lambda update: "not now" if update.ref == LEDGER else None
    one.say("1")
    one.say("2")
    one.round()
    world.server.deny = lambda update: None
    one.disk.written.queue = one.disk.written.queue[:1]
    one.crash()
    world.pass_time(61)
    world.settle(3)
    agree(world)
    assert notes(world) == ["1", "2"]


# The queue


def test_a_line_is_trimmed_only_when_the_ledger_holds_that_line() -> None:
    world, one, other = a_fleet()
    head = one.disk.base
    twin = seal(one.say("mine").draft(), node="one-1", after=head, signer=signer_of("one"), fleet=FLEET)
    assert twin.line == one.disk.pending()[0].line
    from gitcoord.core.format.event import Draft

    draft = Draft("one", "note", "another at its place", world.wall(), world.uid())
    world.attempted[draft.event_uid] = ("one", draft.content)
    taken = seal(draft, node="one-1", after=head, signer=signer_of("one"), fleet=FLEET)
    world.put_by_hand([*world.lines(), taken.line])
    one.round()
    world.settle(3)
    agree(world)
    assert notes(world) == ["another at its place", "mine"]


def test_the_queue_is_trimmed_by_a_fetch_and_not_on_a_push_s_word() -> None:
    world, one, other = a_fleet()
    one.say("a")
    one.round()
    assert [type(effect) for effect in one.effects][-1] is effects.SaveTip
    assert [event.content for event in one.disk.pending()] == ["a"]
    one.round()
    assert not one.disk.pending() and one.disk.base == one.fleet.heads["one-1"]


def test_an_event_chained_anew_under_its_uid_counts_once() -> None:
    world, one, other = a_fleet()
    one.say("a")
    one.say("b")
    copy = one.copy("copy")
    run(one, copy, seed=1)
    world.settle(4)
    agree(world)
    assert notes(world) == ["a", "b"]
    assert all("the same event as at position" in text for text in voids(world))


@pytest.mark.parametrize("seed", range(25))
def test_copies_backups_rollbacks_and_crashes_in_any_order_lose_nothing(seed: int) -> None:
    rng = random.Random(seed)
    world = World(seed=seed)
    machines = [world.machine(name) for name in ("a", "b", "c")]
    world.settle(4)
    tips, backups = [world.tip or ""], [(machines[0], backup_of(machines[0]))]
    for number in range(30):
        machine = rng.choice(list(world.machines.values()))
        for _ in range(rng.randrange(3)):
            machine.say(f"{number} {rng.random()}")
        what = rng.random()
        if what < 0.05 and len(world.machines) < 6:
            machine.copy(f"copy{number}")
        elif what < 0.1:
            backups.append((machine, backup_of(machine)))
        elif what < 0.15:
            owner, written = rng.choice(backups)
            # What was acknowledged and never left the machine is gone with the disk: nobody promises that.
            owner.round()
            owner.round()
            restore(owner, replace(written))
        elif what < 0.2:
            world.server.refs[LEDGER] = rng.choice(tips)
        world.pass_time(rng.uniform(0, 2))
        machine.round(crash_at=rng.choice([None, None, rng.randrange(12)]), after=rng.random() < 0.5)
        tips.append(world.tip or tips[-1])
    world.settle(30)
    agree(world)
    assert not any(machine.disk.orphans for machine in world.machines.values())


def test_a_ref_made_below_our_outbox_between_our_look_and_our_push_costs_no_round() -> None:
    world = World()
    one = world.machine("one", "alice")
    one.say("mine")
    strays = [f"{OUTBOXES}{one.disk.node}/below"]

    def meanwhile(effect: effects.Effect) -> None:
        if isinstance(effect, effects.Push) and strays:
            world.server.refs[strays.pop()] = world.tip or ""

    one.on_effect = meanwhile
    assert one.round() is not None
    assert not strays and any(b'"content":"mine"' in line for line in world.lines())


def a_follower(left: list[int]) -> tuple[World, Machine]:
    """Return a machine that pushes its outbox only, with an event to push.

    Somebody makes a ref below that outbox before each push, until `left` is empty.
    """
    world = World()
    leader, follower = world.machine("one", "alice", runs=True), world.machine("other", "bob", runs=True)
    world.settle(6)
    assert leader.leads

    def meanwhile(effect: effects.Effect) -> None:
        if isinstance(effect, effects.Push) and left and any(update.new for update in effect.updates):
            ref = f"{OUTBOXES}{follower.disk.node}"
            world.server.refs[f"{ref}/below-{left.pop()}"] = world.server.refs.pop(ref, world.tip) or ""

    follower.on_effect = meanwhile
    world.server.deny = lambda update: "not you" if update.ref == LEDGER else None
    follower.say("mine")
    return world, follower


def test_refs_made_below_our_outbox_again_and_again_cost_no_round() -> None:
    left = list(range(limits.ROUND_RACES_MAX // 2))
    world, one = a_follower(left)
    assert one.round() is not None
    assert not left and f"{OUTBOXES}{one.disk.node}" in world.server.refs


def test_a_ref_below_our_outbox_that_comes_back_each_time_is_named() -> None:
    _, one = a_follower(list(range(1000)))
    with pytest.raises(Denied, match="name taken.*its owner can delete that ref"):
        one.round()
