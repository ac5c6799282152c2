"""Leading: who stands and when, what is a sign of life, and what a leader of the past can still do (nothing)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gitcoord.core.errors import Unreachable
from gitcoord.core.format.event import Draft, Event, Head, parse, seal
from gitcoord.core.leadership import control_lines
from gitcoord.core.leadership.campaign import campaign
from gitcoord.core.leadership.leader_watch import LeaderWatch
from gitcoord.core.leadership.session import Session
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.ledger import outbox
from gitcoord.core.ports import Fetched, Pushed, PushOutcome, Update
from tests.core.driver import FLEET, LEDGER, OUTBOXES, Machine, World, run, signer_of

LOCAL = PROFILES["local"]
STEP_S = 0.25


def a_fleet(*names: str, seed: int = 0, **settings: object) -> tuple[World, list[Machine]]:
    """Several agents that run; the first of them leads."""
    world = World(seed=seed)
    machines = []
    for name in names:
        machines.append(world.machine(name, runs=True, **settings))
        live(world, machines, 1.5)
    assert machines[0].leads
    return world, machines


def live(world: World, machines: Sequence[Machine], seconds: float) -> None:
    """All of them poll as their own due times say."""
    due = {id(machine): world.now_s for machine in machines}
    end = world.now_s + seconds
    while world.now_s < end:
        for machine in machines:
            if world.now_s >= due[id(machine)]:
                try:
                    machine.round()
                except Unreachable:
                    machine.local.watch.discard_interval()
                due[id(machine)] = world.now_s + machine.local.next_due_s(machine.fleet, world.now_s)
        world.pass_time(STEP_S)


def elections(world: World) -> list[Event]:
    return [event for event in world.events() if event.type == "leader_election"]


def time_until(world: World, machines: Sequence[Machine], leader: Machine, *, most_s: float = 60) -> float:
    start = world.now_s
    while not leader.leads:
        live(world, machines, STEP_S)
        assert world.now_s - start < most_s, "nobody stood"
    return world.now_s - start


# Elections


def test_the_first_agent_of_a_fleet_leads_within_two_rounds() -> None:
    world = World()
    one = world.machine("one", runs=True)
    one.round()
    one.round()
    assert one.leads and one.fleet.terms.term == 1


@pytest.mark.parametrize("seed", range(8))
def test_of_two_that_stand_at_once_one_leads(seed: int) -> None:
    world = World()
    machines = [world.machine("one", runs=True), world.machine("other", runs=True)]
    for machine in machines:
        machine.local.sessions[0].may_lead = False
    world.settle(3)
    for machine in machines:
        machine.local.sessions[0].may_lead = True
    run(*machines, seed=seed)
    world.settle(2)
    assert len(elections(world)) == 1 and sum(machine.leads for machine in machines) == 1
    assert not any("election" in finding.text for finding in machines[0].fleet.states["health"].void)


def test_a_living_leader_is_not_deposed() -> None:
    world, machines = a_fleet("a", "b", "c")
    live(world, machines, 60)
    assert len(elections(world)) == 1 and machines[0].leads


def test_a_silent_leader_is_replaced_after_t_and_not_before_and_within_the_bound() -> None:
    for seed in range(10):
        world, [leader, *rest] = a_fleet("a", "b", "c", seed=seed)
        live(world, [leader, *rest], 5)
        leader.round()
        died = world.now_s
        while not any(machine.leads for machine in rest):
            live(world, rest, STEP_S)
            assert world.now_s - died < 20
        assert LOCAL.election_timeout_s - 1 < world.now_s - died <= LOCAL.bound_s() + 2 * STEP_S
        assert len(elections(world)) == 2


def test_clocks_that_differ_by_an_hour_and_run_at_other_speeds_do_not_matter() -> None:
    world = World()
    early = world.machine("early", runs=True, wall_offset_s=-3600, clock_rate=0.99)
    live(world, [early], 2)
    late = world.machine("late", runs=True, wall_offset_s=3600, clock_rate=1.01)
    live(world, [early, late], 60)
    assert len(elections(world)) == 1
    assert time_until(world, [late], late) <= LOCAL.bound_s() + 1
    world.check()


def test_a_leader_that_resigned_is_replaced_at_once_by_another() -> None:
    world, [one, other] = a_fleet("one", "other")
    one.append("leader_resigned", "enough", term=one.fleet.terms.term)
    one.round()
    other.round()
    assert other.leads and "nobody leads" in other.fleet.terms.reason
    live(world, [one, other], 10)
    assert other.leads


def test_a_leader_that_said_goodbye_is_replaced_at_once() -> None:
    world, [one, other] = a_fleet("one", "other")
    one.session.leaving = True
    one.round()
    other.round()
    assert other.leads and "goodbye" in other.fleet.terms.reason


def test_an_old_goodbye_of_another_session_is_none() -> None:
    world, [one, other] = a_fleet("one", "other")
    one.session.leaving = True
    one.round()
    last = one.session.line or b""
    one.start()
    live(world, [one], 8)
    assert one.leads
    live(world, [one, other], 20)
    assert one.leads
    put_outbox(world, "mallory-1", heartbeats=[last])
    live(world, [one, other], 5)
    assert one.leads


def test_an_election_is_never_carried_by_others() -> None:
    """Put into an outbox, it waits there for ever: its author alone pushes it, against the tip that it names."""
    world, [leader, other] = a_fleet("chief", "other")
    fleet = other.fleet
    line = control_lines.election(
        fleet,
        other.session,
        "ambition",
        node=other.disk.node,
        term=fleet.terms.highest + 1,
        timestamp=world.wall(),
        uid=world.uid(),
    )
    put_outbox(world, "mallory-1", lines=[line], orphans=[line])
    leader.say("busy")
    live(world, [leader, other], 10)
    assert leader.leads and line not in world.lines() and not leader.replica.branch.bad


def put_outbox(
    world: World,
    node: str,
    *,
    lines: Sequence[bytes] = (),
    orphans: Sequence[bytes] = (),
    heartbeats: Sequence[bytes] = (),
) -> None:
    """An outbox that somebody wrote by hand."""
    from gitcoord.core.ports import TreeEntry

    god = world.god

    def blob(rows: Sequence[bytes]) -> TreeEntry:
        return TreeEntry(god.put_blob(b"".join(row + b"\n" for row in rows)))

    root = {
        "queue": TreeEntry(god.put_tree({"00000000.log": blob(lines)}), True),
        "orphans.log": blob(orphans),
        "heartbeats.log": blob(heartbeats),
    }
    oid = god.put_commit(tree=god.put_tree(root), parents=[], message=world.uid(), author="m", time_s=0)
    world.server.objects |= god.objects
    world.server.refs[OUTBOXES + node] = oid


@pytest.mark.parametrize("after,above", [("elsewhere", 1), (None, 0), (None, -1), (None, 10**9)])
def test_an_election_after_another_log_or_with_a_wrong_term_is_void_or_takes_no_position(
    after: str | None, above: int
) -> None:
    world, [leader, other] = a_fleet("chief", "other")
    fleet = other.fleet
    data = {"session": "s", "after": after or fleet.digest}
    draft = Draft(
        "other", "leader_election", "", world.wall(), world.uid(), data=data, term=max(0, fleet.terms.highest + above)
    )
    line = seal(draft, node="x-1", after=None, signer=signer_of("other"), fleet=FLEET).line
    world.put_by_hand([*world.lines(), line])
    live(world, [leader, other], 5)
    assert leader.leads
    assert leader.fleet.dump() == other.fleet.dump() == world.newcomer().dump()


def test_an_election_replayed_is_nothing() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    old = elections(world)[0].line
    leader.append("leader_resigned", "", term=leader.fleet.terms.term)
    leader.round()
    live(world, [leader, other], 2)
    assert other.leads
    world.put_by_hand([*world.lines(), old])
    live(world, [leader, other], 3)
    assert other.leads and world.lines().count(old) == 1


def test_what_a_deposed_leader_had_queued_has_no_effect() -> None:
    world, [old, new] = a_fleet("old", "new")
    term = old.fleet.terms.term
    event = old.append("error", "from a term that is over", term=term)
    assert time_until(world, [new], new) > 0
    old.round()
    world.settle(3)
    assert event.uid not in new.fleet.positions
    assert any(f"its term is {term}" in finding.text for finding in new.fleet.states["health"].void)


def test_a_deposed_leader_s_write_can_not_land() -> None:
    world, [old, new] = a_fleet("old", "new")
    old.local.lease.wanted = True
    steps = old.steps()
    for effect in steps:
        if type(effect).__name__ == "Push":
            break
    time_until(world, [new], new)
    for _ in steps:
        pass
    assert new.leads and old.fleet.terms.leader == "new"
    assert old.local.lease.valid_until_s < world.now_s


# Signs of life, and what is none


def test_a_restarted_leader_does_not_hold_its_seat_by_beating() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    leader.start()
    leader.session.may_lead = False  # it sends heartbeats, and would not lead again
    time_until(world, [leader, other], other, most_s=LOCAL.bound_s() + 2)


def test_a_restarted_leader_stands_in_place_of_its_own_dead_session_at_once() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    dead = leader.session.id
    leader.crash()
    leader.session.replaces_session = dead
    leader.round()
    assert leader.leads and leader.fleet.terms.term == 2


def test_a_takeover_replaces_a_living_session_and_the_old_one_learns_of_it() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    second = Machine(world, leader_written(world, "elsewhere-1"), ["chief"], runs=True)
    world.machines["second"] = second
    second.session.takes_over_from = leader.session.id
    live(world, [second], 1)
    assert second.leads
    live(world, [leader, second], 1.5)
    assert leader.local.ousted(leader.replica.heartbeats()) is leader.session
    assert second.local.ousted(second.replica.heartbeats()) is None


def leader_written(world: World, node: str):  # type: ignore[no-untyped-def]
    from tests.core.driver import Written

    return Written(node)


def test_a_followers_own_outage_is_no_silence_of_the_leader() -> None:
    world, [leader, other] = a_fleet("chief", "other")

    def gone() -> Fetched:
        raise Unreachable("cable")

    other.fetch_through = gone
    live(world, [leader, other], 30)
    other.fetch_through = other.store.fetch
    leader_only = [leader]
    live(world, [other, *leader_only], 10)
    assert leader.leads and len(elections(world)) == 1


def test_an_outage_of_the_remote_deposes_nobody() -> None:
    world, machines = a_fleet("chief", "b", "c")
    for _ in range(4):
        world.server.reachable = False
        live(world, machines, 20)
        world.server.reachable = True
        live(world, machines, 3)
    assert machines[0].leads and len(elections(world)) == 1


def test_a_stale_mirror_earns_no_credit() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    live(world, [leader, other], 3)
    frozen = other.store.fetch()
    live(world, [leader, other], 3)

    def mirror() -> Fetched:
        other.store.fetch()
        return frozen

    other.fetch_through = mirror
    pushed: list[object] = []
    other.push_through = lambda updates: (
        pushed.append(updates) or {u.ref: Pushed(PushOutcome.STALE, "stale info") for u in updates}
    )
    for _ in range(80):
        world.pass_time(STEP_S)
        leader.round()
        try:
            other.round()
        except Exception as wrong:
            assert type(wrong).__name__ == "Lost"
        assert not any(u.ref == LEDGER for updates in pushed for u in updates)  # type: ignore[attr-defined]
    assert other.local.watch.silent_s < LOCAL.election_timeout_s


@pytest.mark.parametrize(
    "trick", ["replayed", "older_outbox", "wrong_signature", "other_key", "no_term", "old_term", "other_session"]
)
def test_what_only_looks_like_a_beat_is_no_sign_of_life(trick: str) -> None:
    world, [leader, other] = a_fleet("chief", "other")
    live(world, [leader, other], 5)
    leader.round()
    heartbeat = leader.session.line or b""
    history = [u.new for updates in leader.pushes for u in updates if u.ref == OUTBOXES + "chief-1"][-12:]
    other.round()

    def forged(number: int) -> list[bytes]:
        terms = other.fleet.terms
        data = dict(parse(heartbeat).data) | {"n": 10_000 + number}
        term: int | None = terms.term
        signer = signer_of("chief")
        if trick == "other_key":
            signer = signer_of("mallory")
        if trick == "no_term":
            term = None
        if trick == "old_term":
            term = terms.term - 1
        if trick == "other_session":
            data["session"] = "restarted"
        draft = Draft("chief", "heartbeat", "", world.wall(), "0" * 16, term=term, data=data)
        line = seal(draft, node="chief-1", after=None, signer=signer, fleet=FLEET).line
        return [line.replace(b'"alive"', b'"Alive"') if trick == "wrong_signature" else line]

    start, number = world.now_s, 0
    while not other.leads:
        number += 1
        if trick == "replayed":
            put_outbox(world, "mallory-1", heartbeats=[heartbeat])
        elif trick == "older_outbox":
            world.server.refs[OUTBOXES + "chief-1"] = history[number % len(history)] or ""
        else:
            put_outbox(world, "chief-1", heartbeats=forged(number))
        live(world, [other], STEP_S)
        assert world.now_s - start < LOCAL.bound_s() + 2, "it was believed"


def test_a_beat_told_by_another_node_counts_when_the_leader_signed_it() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    number = 0
    for _ in range(40):
        number += 1
        leader.local.heartbeats(leader.fleet, world.now_s, timestamp=world.wall(), fresh=True)
        put_outbox(world, "relay-1", heartbeats=[leader.session.line or b""])
        live(world, [other], STEP_S)
    assert not other.leads


def test_one_long_gap_between_two_polls_is_little_credit_and_two_polls_are_none() -> None:
    watch = LeaderWatch()
    for now_s in (0.0, 1000.0):
        watch.poll(now_s, (1, "s", 1, 0), 1.0)
    assert watch.silent_s == 1.0
    world, [leader, other] = a_fleet("chief", "other")
    other.local.watch.silent_s, other.local.watch.polls = 1000.0, 2
    assert campaign(other.local, other.fleet, world.now_s) is None and other.local.watch.campaign_at_s is None


def test_a_leader_that_has_seen_higher_terms_in_a_lost_ledger_stands_again_above_them() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    leader.disk.written.term = 7
    leader.round()
    assert leader.leads and leader.fleet.terms.term == 8
    other.disk.written.term = 20
    live(world, [leader, other], 5)
    assert leader.fleet.terms.term == 8, "a follower that has does not depose it"


# Leaders that cannot lead


def test_a_leader_that_loses_races_is_not_deposed() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    writers = [world.machine(f"w{number}") for number in range(3)]
    live(world, [leader, other, *writers], 2)
    own = leader.store.push

    def losing(updates: Sequence[Update]) -> dict[str, Pushed]:
        return {u.ref: Pushed(PushOutcome.STALE) if u.ref == LEDGER else own([u])[u.ref] for u in updates}

    leader.push_through = losing
    for number in range(40):
        for writer in writers:
            writer.say(f"{number}")
        from contextlib import suppress

        from gitcoord.core.errors import Lost

        for writer in writers:
            writer.round()
        with suppress(Lost):
            leader.round()
        other.round()
        world.pass_time(STEP_S)
    assert len(elections(world)) == 1 and leader.fleet.terms.leader == "chief"


def test_a_leader_that_is_denied_the_ledger_stops_claiming_and_is_replaced() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    own = leader.store.push
    leader.push_through = lambda updates: {
        u.ref: Pushed(PushOutcome.DENIED, "protected") if u.ref == LEDGER else own([u])[u.ref] for u in updates
    }
    leader.say("try")
    leader.round()
    assert leader.session.claims_term is False
    time_until(world, [leader, other], other, most_s=LOCAL.bound_s() + 2)


def test_a_sole_leader_that_was_denied_for_a_while_leads_on() -> None:
    world, [leader] = a_fleet("chief")
    world.server.deny = lambda update: "maintenance" if update.ref == LEDGER else None
    leader.say("try")
    live(world, [leader], 10)
    assert not leader.session.claims_term
    world.server.deny = lambda update: None
    live(world, [leader], 70)
    assert leader.session.claims_term and leader.leads
    world.check()


def test_a_leader_that_stopped_claiming_asks_the_ledger_and_leads_on_if_it_may() -> None:
    world, [leader, _] = a_fleet("chief", "other", may_lead=True)
    leader.session.claims_term = False
    leader.round()
    assert leader.session.claims_term and leader.leads
    assert world.events()[-1].type == "leader_renewed"


def test_a_leader_that_sees_an_event_lie_for_t_stops_claiming() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    third = world.machine("third")
    third.loses_every_race()
    from gitcoord.core.errors import Lost

    with pytest.raises(Lost):
        third.round()
    mine = leader.store.push
    leader.push_through = lambda updates: {
        u.ref: Pushed(PushOutcome.STALE) if u.ref == LEDGER else mine([u])[u.ref] for u in updates
    }
    for _ in range(20):
        with pytest.raises(Lost):
            leader.round()
        world.pass_time(STEP_S)
    assert leader.session.claims_term is False


# Who may stand, and when


def test_who_may_not_lead_does_not_stand() -> None:
    world = World()
    one = world.machine("one", runs=True, may_lead=False)
    live(world, [one], 10)
    assert not elections(world)


def test_of_those_that_wait_the_one_preferred_stands_first() -> None:
    for seed in range(6):
        world, [leader, plain] = a_fleet("chief", "plain", seed=seed)
        preferred = world.machine("preferred", runs=True, election_delay_factor=0.0)
        live(world, [leader, plain, preferred], 3)
        live(world, [preferred, plain], 8)
        assert preferred.leads


def test_the_random_wait_is_at_most_j() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    for _ in range(100):
        other.local.watch.campaign_at_s = None
        other.local.watch.silent_s, other.local.watch.polls = 100.0, 10
        campaign(other.local, other.fleet, 5.0)
        assert other.local.watch.campaign_at_s is not None
        assert 5.0 <= other.local.watch.campaign_at_s <= 5.0 + LOCAL.election_jitter_s


def test_a_leader_that_promised_a_longer_silence_is_given_it_and_not_for_ever() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    leader.local.stretch = 4.0
    leader.session.heartbeat_at_s = None
    leader.round()
    assert time_until(world, [other], other) > 3 * LOCAL.election_timeout_s
    other.local.watch.promised_s = 0.0
    heartbeat = Draft(
        "other",
        "heartbeat",
        "",
        world.wall(),
        "0" * 16,
        term=other.fleet.terms.term,
        data={"session": other.session.id, "n": 10**9, "next_s": 1e308},
    )
    line = seal(heartbeat, node="other-1", after=None, signer=signer_of("other"), fleet=FLEET).line
    leader.local.observe(other.fleet, [parse(line)], world.now_s, trusted=True)
    assert leader.local.watch.promised_s == 600.0


def test_a_leader_acts_outside_only_within_v_of_the_start_of_a_push_that_took_both() -> None:
    world, [leader] = a_fleet("chief")
    own = leader.store.push
    leader.local.lease.valid_until_s = 0.0
    start = world.now_s

    def slow(updates: Sequence[Update]) -> dict[str, Pushed]:
        answers = own(updates)
        world.pass_time(1.5)
        return answers

    leader.push_through = slow
    leader.local.lease.wanted = True
    leader.round()
    assert leader.local.lease.valid_until_s == start + LOCAL.lease_s
    leader.push_through = lambda updates: {
        u.ref: Pushed(PushOutcome.STALE) if u.ref == LEDGER else own([u])[u.ref] for u in updates
    }
    before = leader.local.lease.valid_until_s
    leader.local.lease.wanted = False
    world.pass_time(2)
    leader.round()
    assert leader.local.lease.valid_until_s == before, "an accepted outbox alone says nothing"
    leader.push_through = lambda updates: {
        u.ref: own([u])[u.ref] if u.ref == LEDGER else Pushed(PushOutcome.UNKNOWN) for u in updates
    }
    leader.say("something")
    leader.round()
    assert leader.local.lease.valid_until_s == before, "nor does an accepted ledger, without the claim beside it"


def test_a_new_leader_and_one_whose_time_had_run_out_wait_v_before_they_act() -> None:
    """So long may another one act who was copied, or whose election the remote has lost."""
    world, [leader] = a_fleet("chief")
    leader.local.lease.wanted = True
    local, terms = leader.local, leader.fleet.terms

    def acts() -> list[bool]:
        """At each of the next ten ticks."""
        ticks = []
        for _ in range(10):
            leader.round()
            ticks.append(local.holds_lease(terms, world.now_s))
            world.pass_time(LOCAL.poll_s)
        return ticks

    waiting_ticks = int(LOCAL.outlast_s() / LOCAL.poll_s) + 1
    local.lease.holder = (0, None)  # as if it had been elected just now
    assert acts() == [False] * waiting_ticks + [True] * (10 - waiting_ticks)
    assert acts() == [True] * 10
    world.pass_time(LOCAL.lease_s)
    assert not local.holds_lease(terms, world.now_s)
    assert acts() == [False] * waiting_ticks + [True] * (10 - waiting_ticks)
    leader.session.leaving = True
    assert not local.holds_lease(terms, world.now_s)


def test_only_who_leads_gets_time_to_act() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    other.local.lease.valid_until_s = 0.0
    other.say("both refs of this push are taken")
    other.round()
    assert other.local.lease.valid_until_s == 0.0 and not other.local.holds_lease(other.fleet.terms, world.now_s)


def test_a_renewal_is_written_when_there_is_nothing_else_to_write() -> None:
    world, [leader] = a_fleet("chief")
    leader.round()
    before = len(world.lines())
    leader.local.lease.wanted = True
    leader.round()
    assert world.events()[-1].type == "leader_renewed" and len(world.lines()) == before + 1
    leader.say("something")
    leader.round()
    assert world.events()[-1].type == "note"


def test_an_agent_whose_key_is_not_the_members_does_not_stand() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    other.local.sessions = [Session("other", "s2", signer_of("mallory"))]
    live(world, [other], 10)
    assert not other.leads


def test_beats_of_neighbours_go_along_and_junk_among_them_does_not() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    draft = Draft("other", "heartbeat", "", world.wall(), "0" * 16, data={"session": "s", "n": 1})
    beside = seal(draft, node="chief-1", after=None, signer=signer_of("other"), fleet=FLEET).line
    leader.local.neighbours = lambda: [beside, b"junk", b"[]", b'{"actor":5}']
    world.pass_time(2)
    leader.round()
    box = outbox.read(leader.store, world.server.refs[OUTBOXES + "chief-1"])
    assert [heartbeat.actor for heartbeat in box.heartbeats] == ["chief", "other"]


def test_a_beat_that_a_neighbour_left_is_pushed_when_its_promise_is_over_and_not_before() -> None:
    world, [leader, other, _] = a_fleet("chief", "other", "beside")
    other.local.sessions[0].may_lead = False

    def left(count: int) -> bytes:
        data = {"session": "s", "n": count, "next_s": 10}
        draft = Draft("beside", "heartbeat", "", world.wall(), "0" * 16, data=data)
        return seal(draft, node="other-1", after=None, signer=signer_of("beside"), fleet=FLEET).line

    def boxed() -> list[object]:
        box = outbox.read(other.store, world.server.refs[OUTBOXES + "other-1"])
        return [heartbeat.data["n"] for heartbeat in box.heartbeats if heartbeat.actor == "beside"]

    lines = [left(1)]
    other.local.neighbours = lambda: lines
    other.round()
    assert boxed() == [1]
    other.local.sessions.clear()  # whoever has nothing to say itself
    for passed_s, count, expected in ((5, 2, [1]), (6, 3, [3])):
        world.pass_time(passed_s)
        lines[:] = [left(count)]
        other.round()
        assert boxed() == expected


def test_a_session_is_heard_of_when_a_neighbour_has_pushed_what_it_left() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    world.pass_time(1)
    other.round()
    local, fleet = other.local, other.fleet
    assert local.hand_over(fleet, world.now_s, timestamp=world.wall()) == []  # half of its promise is not over
    world.pass_time(1.1)
    assert local.heartbeat_due(fleet, world.now_s)
    [session] = local.hand_over(fleet, world.now_s, timestamp=world.wall())
    pushed = parse(session.line or b"")
    world.pass_time(0.7)
    local.hand_over(fleet, world.now_s, timestamp=world.wall())
    local.observe(fleet, [pushed], world.now_s, trusted=True)
    assert not local.heartbeat_due(fleet, world.now_s)
    world.pass_time(0.4)
    assert local.heartbeat_due(fleet, world.now_s)


def test_heads_default_to_an_empty_chain() -> None:
    assert Head() == Head(0, "")
