"""Somebody else in our outbox's place: a copy of this clone makes it a new node, rubbish does not, whatever it says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gitcoord.core.format.event import Draft, Event, Head, hash_of, seal
from gitcoord.core.ledger import outbox
from gitcoord.core.ports import Oid
from gitcoord.core.round import own_outbox
from tests.core.driver import FLEET, LEDGER, OUTBOXES, Machine, World, signer_of

ONE = f"{OUTBOXES}one-1"


def a_fleet(**settings: object) -> tuple[World, Machine, Machine]:
    world = World()
    one, other = world.machine("one", **settings), world.machine("other")
    world.settle(4)
    return world, one, other


def deface(world: World, ref: str, oid: Oid) -> None:
    """Anybody who may push puts this there."""
    world.server.objects |= world.god.objects
    world.server.refs[ref] = oid


def written(world: World, *, pending: Sequence[Event] = (), heartbeats: Sequence[bytes] = ()) -> Oid:
    world.god.fetch()
    return outbox.write(
        world.god,
        node="one-1",
        pending=pending,
        heartbeats=heartbeats,
        orphans=(),
        nonce=world.uid(),
        parent=None,
        time_s=1,
    )


def line_of(world: World, key: str, *, actor: str = "one", node: str = "one-1", seq: int = 50) -> Event:
    draft = Draft(actor, "note", "never said", world.wall(), world.uid())
    return seal(draft, node=node, after=Head(seq - 1, hash_of(b"x")), signer=signer_of(key), fleet=FLEET)


def rubbish(world: World, one: Machine, kind: str) -> Oid:
    god = world.god
    box = next(iter(reversed(one.disk.written.outboxes)))
    match kind:
        case "blob":
            return god.put_blob(b"x")
        case "nothing":
            return written(world)
        case "another member's line":
            return written(world, pending=[line_of(world, "other", actor="other")])
        case "our name and another key":
            return written(world, pending=[line_of(world, "other")])
        case "our line of another node":
            return written(world, pending=[line_of(world, "one", node="other-1")])
        case "what we pushed before, in another commit":
            god.fetch()
            god.objects |= one.store.objects
            return god.put_commit(tree=god.commit(box).tree, parents=[], message="replayed", author="mallory", time_s=2)
        case "a line of ours from the ledger":
            [line] = [event for event in world.events() if event.content == "said"]
            return written(world, pending=[line])
        case "heartbeats of ours, shown again":
            god.objects |= one.store.objects
            heartbeats = [
                heartbeat.line for oid in one.disk.written.outboxes for heartbeat in outbox.read(god, oid).heartbeats
            ]
            return written(world, heartbeats=heartbeats)
    raise AssertionError(kind)


KINDS = [
    "blob",
    "nothing",
    "another member's line",
    "our name and another key",
    "our line of another node",
    "what we pushed before, in another commit",
    "a line of ours from the ledger",
    "heartbeats of ours, shown again",
]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_no_key_of_ours_signed_anew_is_rubbish_and_is_written_over(kind: str, restarted: bool) -> None:
    world, one, other = a_fleet(runs=True)
    one.say("said")
    world.settle(3)
    for number in range(2):
        deface(world, ONE, rubbish(world, one, kind))
        if restarted:
            one.crash()
        one.say(f"after it {number}")
        world.settle(3)
    assert one.disk.node == "one-1" and not one.heard("identity_shared") and one.heard("outbox_defaced")
    assert one.disk.pushed(world.server.refs[ONE])
    world.check()


def test_a_line_that_only_a_copy_can_have_written_makes_a_new_node() -> None:
    world, one, other = a_fleet()
    deface(world, ONE, written(world, pending=[line_of(world, "one")]))
    world.settle(2)
    assert one.disk.node != "one-1" and one.heard("identity_shared")


def test_a_line_of_ours_that_a_ledger_lost_is_none_of_a_copy() -> None:
    """Somebody sets the ledger back, and shows in our outbox what stood there before."""
    world, one, _ = a_fleet()
    old = world.tip or ""
    event = one.say("said")
    one.round()
    one.round()
    world.server.refs[LEDGER] = old
    del world.server.refs[ONE]
    world.machine("third").round()
    deface(world, ONE, written(world, pending=[event]))
    one.round()
    assert one.heard("fork") and event.line in one.disk.orphans
    assert one.heard("outbox_defaced") and not one.heard("identity_shared")
    world.settle(4)
    world.check()


def test_a_copy_that_only_beats_makes_a_new_node() -> None:
    world, one, other = a_fleet(runs=True)
    copy = one.copy("copy")
    for _ in range(3):
        world.pass_time(20)
        one.round()
        copy.round()
    assert len(one.heard("identity_shared")) + len(copy.heard("identity_shared")) == 1
    assert one.disk.node != copy.disk.node


def test_a_copy_whose_lines_are_in_the_ledger_already_makes_a_new_node() -> None:
    world, one, other = a_fleet()
    copy = one.copy("copy")
    copy.say("from the copy")
    copy.round()
    deface(world, ONE, written(world))
    one.say("from the original")
    world.settle(4)
    assert one.heard("identity_shared") and one.disk.node != "one-1"
    world.check()


def test_two_who_overwrite_each_other_do_so_less_and_less() -> None:
    world, one, other = a_fleet(runs=True)
    world.settle(2)
    rewritten = 0
    for _ in range(400):
        world.pass_time(2)
        if one.disk.pushed(world.server.refs[ONE]):
            rewritten += 1
            deface(world, ONE, written(world))
        one.round()
    assert own_outbox.DEFACED_FREE < rewritten < 15
    assert len(one.heard("outbox_defaced")) == rewritten
    one.say("goes on all the same")
    one.round()
    assert "goes on all the same" in [event.content for event in world.events()]
    world.pass_time(2 * own_outbox.DEFACED_FORGOTTEN_S)
    world.settle(2)
    assert one.disk.pushed(world.server.refs[ONE]), "left alone, it has its outbox back"


def test_refs_below_an_outboxs_name_are_removed_by_its_owner() -> None:
    world, one, other = a_fleet()
    oid = world.server.refs.pop(ONE)
    for number in range(3):
        world.server.refs[f"{ONE}/x{number}"] = oid
    one.say("here")
    world.settle(3)
    assert one.disk.node == "one-1" and one.heard("outbox_blocked")
    assert not any(ref.startswith(ONE + "/") for ref in world.server.refs) and ONE in world.server.refs
    world.check()


def test_where_they_cannot_be_removed_the_clone_goes_on_as_a_new_node() -> None:
    world, one, other = a_fleet()
    world.server.refs[f"{ONE}/x"] = world.server.refs.pop(ONE)
    world.server.deny = lambda update: "no deletions" if update.new is None else None
    one.say("here")
    world.settle(3)
    assert one.disk.node != "one-1" and "cannot be removed" in one.heard("identity_shared")[0]
    world.check()


def test_our_own_outbox_that_cannot_be_brought_is_written_over() -> None:
    world, one, other = a_fleet()
    tree = world.god.put_tree({})
    deface(world, ONE, world.god.put_commit(tree=tree, parents=[], message="bad", author="m", time_s=1))
    del world.server.objects[tree]
    one.say("goes on")
    world.settle(3)
    assert one.disk.node == "one-1" and one.disk.pushed(world.server.refs[ONE])
    world.check()


def test_an_outbox_that_stays_on_the_remote_is_named_once_and_its_lines_of_before_count() -> None:
    world, one, other = a_fleet()
    world.server.deny = lambda update: "not now" if update.ref == LEDGER else None
    other.say("in the outbox")
    other.round()
    one.round()
    world.server.deny = lambda update: None
    tree = world.god.put_tree({})
    deface(world, f"{OUTBOXES}other-1", world.god.put_commit(tree=tree, parents=[], message="b", author="m", time_s=1))
    del world.server.objects[tree]
    for _ in range(5):
        world.pass_time(world.profile.poll_s)
        one.round()
    assert "in the outbox" in [event.content for event in world.events()]
    [told] = one.heard("outbox_left")
    assert f"{OUTBOXES}other-1" in told
    world.check(drained=False)


def test_thousands_of_odd_refs_are_told_once_and_stop_nobody() -> None:
    world, one, other = a_fleet()
    oid = world.server.refs[ONE]
    for number in range(3000):
        world.server.refs[f"{OUTBOXES}X{number}\x1b[31m"] = oid
        world.server.refs[f"{OUTBOXES}n{number}"] = oid
    for number in range(3):
        one.say(f"{number}")
        one.round()
    [odd], [left] = one.heard("odd_refs"), one.heard("outbox_left")
    assert "3000 refs" in odd and "\x1b" not in odd and len(odd) < 1000 and len(left) < 1000
    assert len(one.replica.outboxes) <= 1001
    world.check()
