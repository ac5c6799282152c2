"""Ledgers that are set back, deleted, parted or replaced: nothing is followed silently, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gitcoord.core.errors import ForeignLedger
from gitcoord.core.format.event import Draft, context_of, fleet_id_of, parse, seal
from gitcoord.core.format.strict_json import Malformed
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.log_files import open_path
from gitcoord.core.ports import PushOutcome, TreeEntry
from gitcoord.core.round.effects import Push, SaveOrphans
from gitcoord.core.round.sight import DAY_S, RESTORATIONS_PER_DAY, SAVED_EVERY_S, Sight
from tests.core.driver import FLEET, LEDGER, OUTBOXES, Machine, World, signer_of


def a_fleet(**settings: object) -> tuple[World, Machine, Machine]:
    world = World()
    one, other = world.machine("one", **settings), world.machine("other")
    world.settle(4)
    return world, one, other


def notes(world: World) -> list[str]:
    return [event.content for event in world.events() if event.type == "note"]


def agree(world: World, *machines: Machine) -> None:
    world.check()
    assert {str(machine.fleet.dump()) for machine in machines} == {str(world.newcomer().dump())}


def test_a_ledger_set_back_to_an_ancestor_is_pushed_back_loudly() -> None:
    world, one, other = a_fleet()
    old = world.tip
    for word in "abc":
        one.say(word)
        one.round()
    newest = world.tip
    world.server.refs[LEDGER] = old or ""
    one.round()
    assert world.tip == newest and len(one.heard("rollback")) == 1
    world.settle(2)
    assert not other.heard("fork")
    agree(world, one, other)


@pytest.mark.parametrize("in_a_pause", [False, True])
def test_the_push_that_restores_a_ledger_takes_our_outbox_along(in_a_pause: bool) -> None:
    """Where pushes are counted, a member that deletes the ledger again and again would otherwise leave none for it.

    So it is in the pause after somebody else wrote to that outbox.
    """
    world, one, _ = a_fleet()
    one.say("in time")
    if in_a_pause:
        one.replica.own.quiet_until_s = one.replica.clock.monotonic_s() + 600
    del world.server.refs[LEDGER]
    one.round()
    first = next(effect for effect in one.effects if isinstance(effect, Push))
    assert [update.ref for update in first.updates] == [LEDGER, OUTBOXES + one.disk.node]
    world.settle(2)
    assert notes(world) == ["in time"]


def test_a_deleted_ledger_is_restored() -> None:
    world, one, other = a_fleet()
    one.say("kept")
    world.settle(2)
    tip = world.server.refs.pop(LEDGER)
    other.round()
    assert world.tip == tip and "set back to nothing" in other.heard("rollback")[0]
    agree(world, one, other)


def test_who_restores_a_ledger_second_finds_it_restored() -> None:
    world, one, other = a_fleet()
    tip = world.server.refs.pop(LEDGER)
    steps = one.steps()
    next(steps)
    next(steps)  # has seen it gone, and is about to tell
    other.round()
    for _ in steps:
        pass
    assert world.tip == tip
    agree(world, one, other)


def test_a_rollback_that_may_not_be_mended_is_told_and_the_outbox_still_goes_out() -> None:
    world, one, other = a_fleet()
    old = world.tip
    one.say("a")
    one.round()
    one.round()
    world.server.refs[LEDGER] = old or ""
    world.server.deny = lambda update: "protected" if update.ref == LEDGER else None
    before = one.fleet.position
    one.say("b")
    one.round()
    assert "protected" in one.heard("ledger_denied")[0]
    assert one.fleet.position == before, "it goes by what it has seen"
    world.server.deny = lambda update: None
    world.pass_time(61)
    world.settle(2)
    assert notes(world) == ["a", "b"]
    agree(world, one, other)


def test_a_ledger_set_back_while_everybody_is_offline_comes_back_from_any_disk() -> None:
    world, one, other = a_fleet()
    old = world.tip
    for word in "abc":
        one.say(word)
        world.settle(2)
    world.server.refs[LEDGER] = old or ""
    one.crash()
    other.crash()
    one.say("d")
    world.settle(4)
    assert notes(world) == ["a", "b", "c", "d"]
    agree(world, one, other)


def test_where_ledgers_parted_every_vanished_line_comes_back_in_order() -> None:
    world, one, other = a_fleet()
    third = world.machine("third")
    world.settle(3)
    old = world.tip or ""
    for word in ("a", "b", "c"):
        one.say(f"one {word}")
        other.say(f"other {word}")
        one.round()
        other.round()
    lost_tip = world.tip or ""
    one.round()
    world.server.refs[LEDGER] = old
    third.say("elsewhere")  # third has seen nothing of what is lost, and goes on from the old ledger
    third.round()
    assert "elsewhere" in notes(world) and "one a" not in notes(world)
    one.round()
    assert len(one.heard("fork")) == 1
    assert one.store.kept("forks/") == {f"forks/{lost_tip[:12]}": lost_tip}
    world.settle(4)
    assert notes(world)[0] == "elsewhere"
    for name in ("one", "other"):
        assert [n for n in notes(world) if n.startswith(name)] == [f"{name} {word}" for word in "abc"]
    agree(world, one, other, third)
    assert not one.disk.orphans and not other.disk.orphans


def test_lines_of_an_author_who_is_gone_are_offered_again_by_whoever_saw_them() -> None:
    world, one, other = a_fleet()
    old = world.tip or ""
    gone = world.machine("gone")
    gone.say("my last words")
    world.settle(4)
    del world.machines["gone"]
    world.server.refs[LEDGER] = old
    world.server.refs.pop("refs/gitcoord/nodes/gone-1")
    blind = world.machine("blind")
    blind.round()
    world.settle(5)
    assert "my last words" in notes(world)
    agree(world, one, other, blind)


@pytest.mark.parametrize("encode", [dict(separators=(", ", " : ")), dict(separators=(",", ":"))])
def test_a_line_that_another_tool_wrote_comes_back_after_a_fork_or_was_never_one(encode: dict[str, Any]) -> None:
    world, one, other = a_fleet()
    third, old = world.machine("third"), world.tip or ""
    fields = {
        "interaction": None,
        "actor": "third",
        "type": "note",
        "content": "by another tool",
        "timestamp": world.wall(),
        "nonce": world.uid(),
        "node": "third-1",
        "seq": 2,
        "prev": third.disk.pending()[-1].head.hash,
        "key": signer_of("third").key,
    }
    signed = json.dumps(fields, **encode)[:-1].encode()
    line = signed + b',"sig":"' + signer_of("third").sign(context_of(FLEET) + signed).encode() + b'"}'
    if " : " in encode["separators"]:
        with pytest.raises(Malformed, match="one spelling"):
            parse(line)
        return
    event = parse(line)
    third.disk.written.queue = (*third.disk.pending(), event)
    world.attempted[event.uid] = world.acknowledged[event.uid] = ("third", event.content)
    for machine in (third, third, one):
        machine.round()
    assert "by another tool" in notes(world)
    world.server.refs[LEDGER] = old
    del world.server.refs[OUTBOXES + "third-1"]
    del world.machines["third"]
    other.say("elsewhere")
    other.round()
    world.settle(4)
    assert one.heard("fork") and "by another tool" in notes(world)
    agree(world, one, other)


def test_a_control_line_is_not_offered_again_whatever_its_data_says() -> None:
    world, one, other = a_fleet()
    old = world.tip or ""
    data = {"session": "s", "after": one.fleet.digest, "reason": "x", "seq": 5}
    draft = Draft("one", "leader_election", "", world.wall(), world.uid(), term=1, data=data)
    election = seal(draft, node="one-1", after=None, signer=signer_of("one"), fleet=FLEET).line
    world.put_by_hand([*world.lines(), election])
    one.round()
    assert one.fleet.terms.leader == "one"
    world.server.refs[LEDGER] = old
    other.say("elsewhere")
    other.round()
    one.round()
    offered = [line for effect in one.effects if isinstance(effect, SaveOrphans) for line in effect.lines]
    [told] = one.heard("fork")
    assert "0 events that vanished" in told and election not in offered


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_effect_of_a_fork_loses_nothing(after: bool) -> None:
    for number in range(40):
        world, one, other = a_fleet()
        old = world.tip or ""
        third = world.machine("third")
        one.say("a")
        one.round()
        one.say("b")
        one.round()
        world.server.refs[LEDGER] = old
        third.round()
        one.say("c")
        done = one.round(crash_at=number, after=after)
        world.settle(5)
        agree(world, one, other, third)
        assert len(one.disk.orphans) == 0
        if done is not None:
            break
    assert 5 < number < 40


def test_terms_go_on_above_every_term_of_a_lost_ledger() -> None:
    world = World()
    one = world.machine("one", runs=True)
    other = world.machine("other", runs=True)
    world.settle(4)
    old = world.tip or ""
    first = one.fleet.terms.term
    leader = one if one.leads else other
    follower = other if leader is one else one
    for _ in range(3):  # terms that only the lost side of the fork knows
        leader.append("leader_resigned", "enough", term=leader.fleet.terms.term)
        leader.round()
        follower.round()
        leader.round()
        leader, follower = follower, leader
    highest = one.fleet.terms.highest
    assert highest > first
    world.server.refs[LEDGER] = old
    blind = world.machine("blind")
    blind.round()
    assert world.newcomer().terms.term == first
    world.settle(12)
    fleet = world.check()
    assert fleet.terms.term > highest, "the leader of the remaining side stands again, above"
    elected = [event.term for event in world.events() if event.type == "leader_election"]
    assert elected == sorted(set(elected))


def founding_of_another(world: World) -> bytes:
    """The first line of another fleet, whose founder is the same."""
    draft = Draft("founder", "fleet_founded", "x", world.wall(), world.uid())
    return seal(draft, node="x-1", after=None, signer=signer_of("founder"), fleet="").line


def lay_another(world: World) -> str:
    """Lay another fleet's ledger on the branch; return that fleet's id."""
    line = founding_of_another(world)
    world.put_by_hand([line], parents=[])
    return fleet_id_of(line)


def entry(world: World, data: bytes) -> TreeEntry:
    return TreeEntry(world.god.put_blob(data))


def lines_below(world: World, bottom: bytes) -> None:
    """Our newest tree, on a first commit that is none of ours: nobody who walks from the first one can read it."""
    root = world.root()
    world.put_tree(root, parents=[world.put_by_hand([bottom], parents=[])])


REPLACED: dict[str, Callable[[World], object]] = {
    "another fleet's ledger": lay_another,
    "another fleet's, and its parent is ours": lambda world: world.put_tree(
        {open_path(0): entry(world, founding_of_another(world) + b"\n")},
        parents=[world.put_by_hand([founding_of_another(world)], parents=[]), world.lost_tip],
    ),
    "our tree, on another's first commit": lambda world: lines_below(world, founding_of_another(world)),
    "our tree, on rubbish": lambda world: lines_below(world, b"rubbish"),
    "lines that are none": lambda world: world.put_by_hand([b"print('hello')"], parents=[]),
    "a later version's ledger": lambda world: world.put_tree({"events.v9": entry(world, b"{}")}, parents=[]),
    "source code": lambda world: world.put_tree({"main.py": entry(world, b"print()")}, parents=[]),
    "an empty tree": lambda world: world.put_tree({}, parents=[]),
    "an empty tree, on an empty one": lambda world: world.put_tree({}, parents=[world.put_tree({}, parents=[])]),
}
NO_LEDGER = {"source code", "an empty tree", "an empty tree, on an empty one"}


@pytest.mark.parametrize("name", REPLACED)
@pytest.mark.parametrize("restarted", [False, True])
def test_what_replaces_the_ledger_gives_way_to_it_and_the_fleet_goes_on(name: str, restarted: bool) -> None:
    world, one, other = a_fleet()
    one.say("before")
    world.settle(2)
    tip = world.lost_tip = world.tip or ""
    before = one.fleet.dump()
    REPLACED[name](world)
    if restarted:
        one.crash()
    one.round()
    assert world.tip == tip and one.fleet.dump() == before
    [told] = one.heard("replaced")
    assert "was replaced by" in told and tip[:12] in told and not one.heard("fork")
    other.say("after")
    world.settle(2)
    assert notes(world) == ["before", "after"]
    agree(world, one, other)


@pytest.mark.parametrize("name", REPLACED)
def test_who_was_away_for_months_overwrites_no_ledger_until_a_person_says_so(name: str) -> None:
    world, one, other = a_fleet()
    tip = world.lost_tip = world.tip or ""
    REPLACED[name](world)
    theirs, event = world.tip, one.say("meanwhile")
    world.pass_time(60 * DAY_S)
    if name in NO_LEDGER:
        one.round()
        assert one.heard("replaced")
        return
    for _ in range(2):
        with pytest.raises(ForeignLedger, match="not seen its own ledger there for days: run `gitcoord sync --restore"):
            one.round()
        assert world.tip == theirs and one.disk.tip == tip and one.disk.pending()[-1].uid == event.uid
    one.disk.written.sight = Sight().seen(int(world.now_s))  # as the command does
    one.round()
    world.settle(2)
    assert notes(world) == ["meanwhile"]
    agree(world, one, other)


def test_a_clone_whose_clock_was_set_back_by_years_overwrites_nobody() -> None:
    world, one, _ = a_fleet()
    lay_another(world)
    one.disk.written.sight = Sight(int(world.now_s) + 400 * DAY_S)
    with pytest.raises(ForeignLedger):
        one.round()


def test_a_ledger_that_is_seen_is_written_down_now_and_then_only() -> None:
    world, one, _ = a_fleet()
    seen = []
    for _ in range(10):
        world.pass_time(600)
        one.round()
        seen.append(one.disk.sight.seen_s)
    assert len(set(seen)) == 2 and world.now_s - (seen[-1] or 0) < SAVED_EVERY_S


def test_two_fleets_do_not_fight_forever_over_one_branch() -> None:
    world, one, other = a_fleet()
    for machine in (one, other):
        for number in range(RESTORATIONS_PER_DAY):
            world.pass_time(60)
            lay_another(world)
            machine.round()
        assert len(machine.heard("replaced")) == RESTORATIONS_PER_DAY
        lay_another(world)
        with pytest.raises(ForeignLedger, match=f"put its own ledger back {RESTORATIONS_PER_DAY} times in a day"):
            machine.round()
    theirs = world.tip
    for _ in range(30):
        world.pass_time(DAY_S / 3)
        for machine in (one, other):
            with pytest.raises(ForeignLedger):
                machine.round()
    assert world.tip == theirs


def test_who_has_put_it_back_too_often_goes_on_when_another_clone_does_it() -> None:
    world, one, other = a_fleet()
    for _ in range(RESTORATIONS_PER_DAY):
        lay_another(world)
        one.round()
    lay_another(world)
    with pytest.raises(ForeignLedger):
        one.round()
    other.round()
    one.say("on")
    world.settle(2)
    assert "on" in notes(world)
    world.pass_time(DAY_S + 1)
    world.settle(1)
    lay_another(world)
    one.round()  # a day later it may again
    assert len(one.heard("replaced")) == RESTORATIONS_PER_DAY + 1
    agree(world, one, other)


def test_a_restoration_that_was_denied_is_told_and_the_outbox_still_goes_out() -> None:
    world, one, other = a_fleet()
    lay_another(world)
    theirs = world.tip
    world.server.deny = lambda update: "protected" if update.ref == LEDGER else None
    event = one.say("b")
    one.round()
    assert "protected" in one.heard("ledger_denied")[0] and world.tip == theirs
    assert one.replica.own.durable == event.head and not one.disk.sight.restored_s
    world.server.deny = lambda update: None
    world.pass_time(61)
    world.settle(2)
    assert notes(world) == ["b"]
    agree(world, one, other)


def test_of_two_who_restore_at_once_only_the_winner_has_done_it() -> None:
    world, one, other = a_fleet()
    lay_another(world)
    steps = one.steps()
    while not isinstance(next(steps), Push):
        pass
    other.round()
    for _ in steps:
        pass
    assert (len(one.disk.sight.restored_s), len(other.disk.sight.restored_s)) == (0, 1)
    agree(world, one, other)


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_effect_of_a_restoration_loses_nothing(after: bool) -> None:
    for number in range(40):
        world, one, other = a_fleet()
        one.say("a")
        one.round()
        lay_another(world)
        one.say("b")
        done = one.round(crash_at=number, after=after)
        world.settle(4)
        assert notes(world) == ["a", "b"]
        agree(world, one, other)
        if done is not None:
            break
    assert 5 < number < 40


def test_a_fork_with_a_checkpoint_that_lies_is_folded_line_by_line() -> None:
    world, one, other = a_fleet()
    forged = one.fleet.dump() | {"position": 10**6}
    lines = world.lines()
    world.put_by_hand(lines, parents=[], **{checkpoint.PATH: json.dumps(forged).encode()})
    begun: list[object] = []
    start = checkpoint.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "start", lambda *given: begun.append(given) or start(*given))
        one.round()
    assert one.heard("fork") and not begun
    world.settle(2)
    agree(world, one, other)


def test_without_its_store_a_clone_still_follows_no_other_fleet() -> None:
    world, one, _ = a_fleet()
    one.store.objects.clear()
    one.start()
    one.replica.fleet_id = FLEET
    theirs = lay_another(world)
    with pytest.raises(ForeignLedger, match=theirs):
        one.round()
    assert one.fleet.id != theirs


def test_a_private_store_that_was_deleted_is_fetched_anew() -> None:
    world, one, other = a_fleet()
    one.say("a")
    world.settle(2)
    one.store.objects.clear()
    one.store.keep("ledger", None)
    one.start()
    other.say("b")
    world.settle(2)
    agree(world, one, other)
    assert not one.heard("fork") and not one.heard("rollback")


def test_without_its_store_a_node_cannot_tell_a_rollback_and_says_so() -> None:
    world, one, other = a_fleet()
    old = world.tip or ""
    one.say("a")
    world.settle(2)
    one.store.objects.clear()
    one.start()
    world.server.refs[LEDGER] = old
    one.round()
    assert one.heard("forgotten")
    other.round()
    world.settle(3)
    agree(world, one, other)


def test_a_win_that_the_remote_forgot_is_a_fork_and_comes_back() -> None:
    """git 2.39 on ext4: while pack-refs runs, a compare-and-swap may have two winners."""
    world, one, other = a_fleet()
    before = world.tip or ""
    one.say("won")
    one.round()
    world.server.refs[LEDGER] = before
    other.say("won too")
    other.replica.own.seen = None
    other.round()
    world.settle(3)
    assert sorted(notes(world)) == ["won", "won too"]
    agree(world, one, other)


def test_a_stale_push_back_is_looked_at_again() -> None:
    world, one, other = a_fleet()
    tip = world.tip or ""
    del world.server.refs[LEDGER]
    one.answers(PushOutcome.UNKNOWN, applied=True)
    one.round()
    assert world.tip == tip
    agree(world, one, other)
