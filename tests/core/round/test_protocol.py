"""The sync round: who sequences what, what an answer is worth, and what a crash at any effect leaves behind."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from gitcoord.core.errors import BadCredentials, Denied, Lost, Unreachable
from gitcoord.core.format.event import Draft, parse, seal
from gitcoord.core.ports import Pushed, PushOutcome, Update
from gitcoord.core.round import effects
from gitcoord.core.round.hook_refusals import QUIET_S
from gitcoord.store.memory import MemoryServer
from tests.core.driver import FLEET, LEDGER, OUTBOXES, Machine, World, run, signer_of


def fleet_of(count: int, **settings: object) -> tuple[World, list[Machine]]:
    world = World()
    machines = [world.machine(f"agent{number}", **settings) for number in range(count)]
    world.settle(3)
    return world, machines


def contents(world: World) -> list[str]:
    return [event.content for event in world.events() if event.type == "note"]


@pytest.mark.parametrize("count", [2, 8])
def test_what_several_nodes_append_is_sequenced_once_each_and_all_agree(count: int) -> None:
    world, machines = fleet_of(count)
    for turn in range(5):
        for machine in machines:
            machine.say(f"{machine.agents[0]} {turn}")
        run(*machines, seed=turn)
    world.settle(3)
    fleet = world.check()
    assert all(machine.fleet.dump() == fleet.dump() for machine in machines)
    assert not any(machine.disk.pending() for machine in machines)


def test_the_winner_carries_the_losers_events() -> None:
    world, [winner, loser] = fleet_of(2)
    loser.say("mine")
    loser.answers(PushOutcome.STALE)  # the ledger race; its outbox is pushed again by itself
    steps = loser.steps()
    for effect in steps:
        if isinstance(effect, effects.Wait):
            break
    loser.push_through = loser.store.push
    outbox_only = loser.steps()
    for effect in outbox_only:
        if isinstance(effect, effects.Push):
            loser.store.push(effect.updates[:1])
            break
    winner.say("theirs")
    winner.round()
    assert contents(world) == ["theirs", "mine"]


def test_the_slowest_writer_is_not_starved() -> None:
    world, machines = fleet_of(8)
    slow = machines[0]
    slow.say("patience")
    waiting = slow.steps()
    for turn in range(6):  # for each step of the slow one, all others win a race
        next(waiting, None)
        for machine in machines[1:]:
            machine.say(f"{machine.agents[0]} {turn}")
            machine.round()
    for _ in waiting:
        for machine in machines[1:]:
            machine.say("again")
            machine.round()
        if "patience" in contents(world):
            break
    assert "patience" in contents(world)


def test_a_round_with_something_to_say_pushes_once_and_one_with_nothing_not_at_all() -> None:
    world, [one, other] = fleet_of(2)
    one.pushes.clear()
    one.say("once")
    one.round()
    assert [len(updates) for updates in one.pushes] == [2]
    one.round()
    one.round()
    assert len(one.pushes) == 1


def test_every_pushed_commit_differs_from_every_other_by_a_nonce() -> None:
    world, machines = fleet_of(3, runs=True)
    for _ in range(5):
        world.pass_time(1.5)
        run(*machines)
    pushed = [update.new for machine in machines for updates in machine.pushes for update in updates]
    assert len(pushed) == len(set(pushed))
    assert all("Nonce: " in world.god.commit(oid).message for oid in world.god.fetch().refs.values())


def test_the_same_words_pushed_twice_in_one_second_are_two_commits() -> None:
    world, [one, _] = fleet_of(2)
    one.say("twice")
    one.pushes.clear()
    one.answers(PushOutcome.UNKNOWN, times=2)
    one.round()
    assert len({updates[0].new for updates in one.pushes}) == len(one.pushes) == 3


def test_an_outbox_that_has_landed_is_not_sent_again_with_the_next_try() -> None:
    world, [one, _] = fleet_of(2)
    one.say("mine")
    one.loses_every_race()
    one.pushes.clear()
    with pytest.raises(Lost):
        one.round()
    assert [len(updates) for updates in one.pushes[:3]] == [2, 1, 1]


def test_who_lost_a_race_offers_its_lines_first_and_waits_to_be_carried() -> None:
    world, [winner, loser] = fleet_of(2)
    loser.say("one")
    loser.loses_every_race()
    with pytest.raises(Lost):
        loser.round()
    winner.say("two")
    loser.say("three")
    loser.pushes.clear()
    for effect in loser.steps():
        if isinstance(effect, effects.Wait):
            winner.round()
    assert [[update.ref for update in updates] for updates in loser.pushes] == [[f"{OUTBOXES}{loser.disk.node}"]]
    assert contents(world) == ["two", "one", "three"]


def test_of_those_whose_outboxes_lie_there_one_goes_first() -> None:
    world, machines = fleet_of(4)
    for machine in machines:
        machine.say(machine.disk.node)
        machine.loses_every_race()
        with pytest.raises(Lost):
            machine.round()
        machine.push_through = machine.store.push
    firsts = [
        next(effect for effect in machine.steps() if isinstance(effect, effects.Push | effects.Wait))
        for machine in machines
    ]
    assert sorted(type(effect).__name__ for effect in firsts) == ["Push", "Wait", "Wait", "Wait"]
    for machine in machines:
        machine.round()
    assert sorted(contents(world)) == sorted(machine.disk.node for machine in machines)


def test_a_ledger_won_beside_an_outbox_lost_begins_the_round_again() -> None:
    world, [one, _] = fleet_of(2)
    one.say("shared?")
    one.push_through = lambda updates: {updates[0].ref: Pushed(PushOutcome.STALE)} | one.store.push(updates[1:])
    one.round()
    assert len([effect for effect in one.effects if isinstance(effect, effects.Fetch)]) > 1


def test_a_lost_race_is_tried_again_until_it_is_won() -> None:
    world, [one, _] = fleet_of(2)
    one.say("third time")
    one.answers(PushOutcome.STALE, times=2)
    report = one.round()
    assert report and report.races_lost == 2
    assert contents(world) == ["third time"]


def test_races_lost_without_end_are_told_and_the_event_stays_queued() -> None:
    world, [one, _] = fleet_of(2)
    one.say("never")
    one.answers(PushOutcome.STALE, times=100)
    with pytest.raises(Lost):
        one.round()
    assert [event.content for event in one.disk.pending()] == ["never"]


@pytest.mark.parametrize("applied", [True, False])
def test_after_an_unknown_outcome_a_fetch_decides(applied: bool) -> None:
    world, [one, other] = fleet_of(2)
    one.say("perhaps")
    one.answers(PushOutcome.UNKNOWN, applied=applied)
    one.round()
    one.round()
    other.round()
    assert contents(world) == ["perhaps"]
    assert not one.disk.pending() and not one.heard("identity_shared")
    world.check()


def test_a_line_cut_in_mid_push_is_unreachable_and_what_arrived_counts() -> None:
    world, [one, _] = fleet_of(2)
    one.say("half")

    def half(updates: Sequence[Update]) -> dict[str, Pushed]:
        return one.store.push(updates[:1]) | {updates[1].ref: Pushed(PushOutcome.UNREACHABLE, "cut")}

    one.push_through = half
    with pytest.raises(Unreachable, match="cut"):
        one.round()
    assert one.replica.own.durable == one.disk.pending()[-1].head, "its outbox arrived"
    one.push_through = one.store.push
    one.round()
    world.check()


def test_an_unreachable_remote_keeps_everything_queued() -> None:
    world, [one, other] = fleet_of(2)
    world.server.reachable = False
    for number in range(30):
        one.say(str(number))
        with pytest.raises(Unreachable):
            one.round()
    world.server.reachable = True
    world.settle(2)
    assert contents(world) == [str(number) for number in range(30)]


def test_a_node_that_is_denied_the_ledger_keeps_its_outbox_up_and_is_quiet_for_a_minute() -> None:
    world, [one, other] = fleet_of(2)
    world.server.deny = lambda update: "protected branch" if update.ref == LEDGER else None
    one.say("through the outbox")
    one.round()
    assert one.heard("ledger_denied") == ["the remote refuses writes to the ledger: protected branch"]
    assert one.replica.own.durable == one.disk.pending()[-1].head
    one.say("and this")
    one.pushes.clear()
    one.round()
    assert [update.ref for updates in one.pushes for update in updates] == ["refs/gitcoord/nodes/agent0-1"]
    world.server.deny = lambda update: None
    world.pass_time(QUIET_S + 1)
    world.settle(2)
    assert contents(world) == ["through the outbox", "and this"]


def test_another_node_sequences_for_one_that_is_denied_the_ledger() -> None:
    world, [denied, helper] = fleet_of(2)
    own = denied.store.push
    denied.push_through = lambda updates: {
        u.ref: Pushed(PushOutcome.DENIED, "no") if u.ref == LEDGER else own([u])[u.ref] for u in updates
    }
    denied.say("please")
    denied.round()
    for _ in range(5):
        world.pass_time(0.5)
        helper.round()
    assert contents(world) == ["please"]


def minding(world: World, words: str, *, refs: str = "refs/") -> None:
    """A pre-receive hook that denies the whole push when any pushed line holds `words`."""

    def holds(update: Update) -> bool:
        if update.new is None or not update.ref.startswith(refs):
            return False
        from gitcoord.store.memory import reachable_objects

        old = {
            oid: None for oid in reachable_objects(world.server.objects, [update.old] if update.old else [], known={})
        }
        new = reachable_objects(world.server.objects, [update.new], known=old)
        return any(kind == "blob" and words.encode() in data for kind, data in new.values())

    def push(machine: Machine) -> None:
        def through(updates: Sequence[Update]) -> dict[str, Pushed]:
            world.server.objects |= machine.store.objects
            if any(holds(update) for update in updates):
                return {update.ref: Pushed(PushOutcome.DENIED, "hook declined") for update in updates}
            return machine.store.push(updates)

        machine.push_through = through

    for machine in world.machines.values():
        push(machine)


def test_an_event_that_a_hook_minds_is_named_and_the_ones_before_it_go_out() -> None:
    world, [one, other] = fleet_of(2)
    minding(world, "FORBIDDEN")
    for word in ("a", "b", "c", "FORBIDDEN", "d", "e"):
        one.say(word)
    bad = one.disk.pending()[3]
    one.round()
    [said] = one.heard("event_denied")
    assert bad.uid[:8] in said and "queue drop" in said and "hook declined" in said
    world.settle(3)
    assert contents(world) == ["a", "b", "c"]
    assert [event.content for event in one.disk.pending()] == ["FORBIDDEN", "d", "e"]
    one.pushes.clear()
    one.say("f")
    world.settle(3)
    assert one.pushes == [], "what comes after it waits, without asking again and again"
    drop(one, bad.uid)
    world.settle(3)
    assert contents(world) == ["a", "b", "c", "d", "e", "f"]
    world.check()


def drop(machine: Machine, uid: str) -> None:
    written = machine.disk.written
    rest = [event for event in written.queue if event.uid != uid]
    del machine.world.acknowledged[uid]
    written.queue = tuple(rest)
    machine._rechain(written.base, frozenset(), written.node)


def test_an_event_that_only_the_ledger_s_hook_minds_does_not_stop_the_fleet() -> None:
    world, [one, other] = fleet_of(2)
    minding(world, "FORBIDDEN", refs="refs/heads/")
    one.say("FORBIDDEN")
    one.say("behind it")
    other.say("innocent")
    for _ in range(12):
        world.pass_time(QUIET_S / 2 + 1)
        for machine in (one, other):
            machine.round()
    assert contents(world) == ["innocent"]
    denials = len(other.heard("ledger_denied"))
    other.say("still going")
    for _ in range(4):
        world.pass_time(QUIET_S / 2 + 1)
        for machine in (one, other):
            machine.round()
    assert contents(world) == ["innocent", "still going"]
    assert len(other.heard("ledger_denied")) == denials, "what is minded is not tried again and again"


def test_a_remote_that_refuses_everything_says_so() -> None:
    world, [one, _] = fleet_of(2)
    world.server.deny = lambda update: "read-only"
    one.say("no way")
    with pytest.raises(Denied, match="everything that this node writes: read-only"):
        one.round()
    world.server.deny = lambda update: None
    world.pass_time(QUIET_S + 1)
    world.settle(2)
    assert contents(world) == ["no way"]


def test_wrong_credentials_are_told_as_such() -> None:
    world, [one, _] = fleet_of(2)
    one.say("who am I")
    one.answers(PushOutcome.DENIED, reason="credentials: token expired")
    with pytest.raises(BadCredentials, match="^token expired$"):
        one.round()
    one.round()
    world.check()


def test_a_budget_that_is_spent_makes_the_round_wait_before_anything_is_written() -> None:
    from gitcoord.core.round import protocol

    world, [one, _] = fleet_of(2)
    one.say("later")
    steps = protocol.sync(one.replica, one.disk, one.local, may_push=lambda urgent: False)
    answer, noted = None, []
    while True:
        try:
            effect = steps.send(answer)
        except StopIteration as done:
            assert done.value.waiting
            break
        noted.append(type(effect))
        answer = one.perform(effect)
    assert noted == [effects.Fetch]


def test_events_that_lie_for_two_ticks_are_helped_by_anyone() -> None:
    world, [absent, helper] = fleet_of(2)
    absent.say("help")
    absent.on_effect = lambda effect: None
    absent.loses_every_race()
    with pytest.raises(Lost):
        absent.round()
    helper.round()
    assert contents(world) == []
    world.pass_time(2.1 * world.profile.poll_s)
    helper.round()
    assert contents(world) == ["help"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("story", ["plain", "leader", "new_term"])
def test_a_crash_at_any_effect_loses_nothing_and_doubles_nothing(story: str, after: bool) -> None:
    number = 0
    while True:
        world = World(seed=number)
        one = world.machine("one", runs=story != "plain")
        other = world.machine("other", runs=story == "new_term")
        world.settle(5)
        for word in "abc":
            one.say(word)
            other.say(word)
        other.round()
        one.say("d")
        done = one.round(crash_at=number, after=after)
        effects_done = len(one.effects)
        one.say("e")
        world.settle(8)
        world.check()
        assert one.fleet.dump() == other.fleet.dump() == world.newcomer().dump()
        assert not one.heard("identity_shared") and not one.heard("fork")
        number += 1
        if done is not None:
            assert effects_done > 3
            break


def test_rounds_that_crash_again_and_again_lose_nothing() -> None:
    for seed in range(30):
        world = World(seed=seed)
        rng = random.Random(seed)
        machines = [world.machine(name, runs=True) for name in ("a", "b", "c")]
        world.settle(4)
        for number in range(25):
            machine = rng.choice(machines)
            for _ in range(rng.randrange(3)):
                machine.say(f"{number}")
            world.pass_time(rng.uniform(0, 1))
            machine.round(crash_at=rng.randrange(14), after=rng.random() < 0.5)
        world.settle(14)
        world.check()
        assert len({str(machine.fleet.dump()) for machine in machines}) == 1


def test_parsing_what_was_pushed_gives_back_what_was_said() -> None:
    world, [one, _] = fleet_of(2)
    said = 'quotes " \\ ` $( ) <!-- \u2028 \x00 ### #1 @all \U0001f600'
    event = one.say(said)
    one.round()
    assert parse(world.lines()[-1]).content == said and parse(world.lines()[-1]).uid == event.uid


def test_who_copies_the_nonce_of_a_line_that_waits_takes_nothing_away() -> None:
    world, [bob, mallory] = fleet_of(2)
    one, two = bob.agents[0], mallory.agents[0]
    bob.answers(PushOutcome.ACCEPTED, applied=False)
    said = bob.say("do not release")
    nonce = said.nonce
    mine = Draft(two, "note", "release", world.wall(), nonce)
    world.attempted[mine.event_uid] = (two, "release")
    forged = Draft(one, "note", "release", world.wall(), nonce)
    written = mallory.disk.written
    head = written.queue[-1].head if written.queue else written.base
    first = seal(mine, node=written.node, after=head, signer=signer_of(two), fleet=FLEET)
    second = seal(forged, node=written.node, after=first.head, signer=signer_of(two), fleet=FLEET)
    written.queue += (first, second)
    mallory.round()
    assert [event.content for event in world.events()][-2:] == ["release", "release"]
    bob.round()
    world.settle(3)
    fleet = world.newcomer()
    [at] = [place for place, event in enumerate(world.events(), 1) if event.content == "do not release"]
    assert fleet.positions[said.uid] == at and fleet.why_without_effect(said) is None


def test_a_line_that_a_carrier_spells_otherwise_has_no_place() -> None:
    world, [bob, mallory] = fleet_of(2)
    said = bob.say("first")
    number = f"\\u{ord(said.sig[0]):04x}"
    altered = said.line.replace(f'"sig":"{said.sig}'.encode(), f'"sig":"{number}{said.sig[1:]}'.encode())
    assert altered != said.line
    world.put_by_hand([*world.lines(), altered])
    mallory.round()
    assert "one spelling" in mallory.heard("bad_line")[0] or "not a signature" in mallory.heard("bad_line")[0]
    bob.round()
    world.settle(3)
    assert world.lines().count(said.line) == 1 and altered not in world.lines()
    world.check()


def test_where_a_fleet_left_nothing_is_sequenced_until_it_arrives_and_then_everything() -> None:
    world = World()
    founder = world.machine("founder", runs=True)
    one = world.machine("one", runs=True)
    world.settle(8)
    founder.append("fleet_moved", "away", data={"to": "/elsewhere", "profile": "local"})
    world.settle(3)
    moved = founder.fleet.moves
    assert moved.under_way and moved.to == "/elsewhere"
    end = world.tip
    one.say("here still")
    founder.say("here too")
    one.append("fleet_arrived", "says one, who is no admin", re=moved.uid)
    world.settle(20)  # long enough for a campaign, and for lines that nobody takes along
    assert world.tip == end and contents(world) == []
    assert [event.content for event in one.disk.pending()][0] == "here still"
    assert world.server.refs[OUTBOXES + one.disk.node] is not None  # durable, for whoever comes by
    founder.append("fleet_arrived", "back again", re=moved.uid)
    world.settle(4)
    assert sorted(contents(world)) == ["here still", "here too"]
    assert not world.newcomer().moves.under_way


@pytest.mark.parametrize("unaware", [False, True])
def test_who_comes_late_to_the_new_remote_brings_what_it_has_once_and_in_order(unaware: bool) -> None:
    """`unaware`: it had extended the old ledger after the fleet left, as no version of ours does."""
    world, old = World(), MemoryServer()
    founder, late = world.machine("founder"), world.machine("late")
    world.settle(4)
    founder.say("before")
    founder.append("fleet_moved", "away", data={"to": "/elsewhere", "profile": "local"})
    world.settle(2)
    old.refs, old.objects = dict(world.server.refs), dict(world.server.objects)  # the new one is the world's
    late.store.server = old
    late.say("late 1")
    late.round()
    if unaware:
        late.fleet.moves.under_way = False
        late.round()
    assert (old.refs[LEDGER] != world.tip) == unaware
    founder.append("fleet_arrived", "there", re=founder.fleet.moves.uid)
    founder.say("after")
    world.settle(2)
    late.say("late 2")
    late.store.server = world.server  # the configuration names the new one now
    world.settle(8)
    fleet = world.check()
    assert not fleet.moves.under_way and fleet.moves.to == "/elsewhere"
    assert [text for text in contents(world) if text.startswith("late")] == ["late 1", "late 2"]
    assert sorted(contents(world)) == ["after", "before", "late 1", "late 2"]
