"""Planning: whose events go into a commit, in which order, and how a commit says so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcoord.core import limits
from gitcoord.core.feature import Duty
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.format.event import Draft, Event, Head, seal, uid_of
from gitcoord.core.format.keys import Verifier
from gitcoord.core.ports import PushOutcome
from gitcoord.features import FEATURES
from tests.core.driver import FLEET, LEDGER, OUTBOXES, Machine, World, signer_of


def a_fleet(count: int = 2, **more: object) -> tuple[World, list[Machine]]:
    world = World()
    machines = [world.machine(f"m{number}", **more) for number in range(count)]
    world.settle(4)
    return world, machines


def message(world: World) -> str:
    world.god.fetch()
    return world.god.commit(world.tip or "").message


def durable_only(world: World, machine: Machine, *contents: str) -> None:
    for content in contents:
        machine.say(content)
    world.server.deny = lambda update: "no" if update.ref == LEDGER else None
    machine.round()
    world.server.deny = lambda update: None
    machine.replica.refusals.quiet_until_s = 1e12


def test_a_commit_says_who_wrote_and_what_in_its_subject_and_trailers() -> None:
    world, [one, other] = a_fleet()
    one.append("question", "@all #12 fixes #3")
    one.round()
    subject, _, rest = message(world).partition("\n\n")
    assert subject == "m0: question [skip ci]"
    assert "@" not in subject and "#" not in subject
    trailers = dict(line.split(": ") for line in rest.strip().split("\n"))
    assert trailers["Position"] == str(len(world.lines())) and trailers["Sequenced-by"] == "m0-1"
    durable_only(world, other, "a", "b")
    one.say("c")
    one.round()
    assert message(world).startswith("3 events from m0, m1 [skip ci]\n\n")


def test_a_batch_that_is_capped_rotates_among_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    world, machines = a_fleet(6)
    for machine in machines[1:]:
        durable_only(world, machine, *(str(number) for number in range(60)))
    monkeypatch.setattr(limits, "BATCH_EVENTS_MAX", 9)
    helped = set()
    for number in range(10):
        machines[0].say(str(number))
        machines[0].round()
        helped |= {event.node for event in world.events()[-9:]}
    assert helped == {machine.disk.node for machine in machines}


@pytest.mark.parametrize("carries", [True, False])
def test_an_outbox_that_offers_more_than_a_batch_leaves_the_others_their_part(
    carries: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.core.leadership.test_sessions import put_outbox

    world, [one, other, mallory] = a_fleet(3)
    monkeypatch.setattr(limits, "BATCH_EVENTS_MAX", 12)
    for number in range(200):
        mallory.say(f"flood {number}")
    flood = [event.line for event in mallory.disk.pending()]
    durable_only(world, other, "a", "b", "c")
    before = len(world.events())
    for _ in range(2):
        put_outbox(world, mallory.disk.node, lines=[] if carries else flood, orphans=flood if carries else [])
        one.say("x")
        one.round()
    batches = [event.content for event in world.events()[before:]]
    assert {"a", "b", "c"} <= {*batches[:12]}, "in the very first one"
    assert len(batches) == 24 and "flood 10" in batches, "and what they leave is used"


def test_a_batch_is_capped_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    world, [one, _] = a_fleet()
    monkeypatch.setattr(limits, "BATCH_BYTES_MAX", 5000)
    for number in range(40):
        one.say("x" * 300)
    before = len(world.lines())
    one.round()
    assert 3 <= len(world.lines()) - before <= 10
    world.settle(30)
    world.check()
    assert not one.disk.pending()


def test_a_batch_takes_a_chain_only_as_far_as_it_holds() -> None:
    world, [one, other] = a_fleet()
    durable_only(world, other, "a", "b", "c")
    lines = [event.line for event in other.disk.pending()]
    bad = lines[1].replace(b'"b"', b'"B"')
    from tests.core.leadership.test_sessions import put_outbox

    put_outbox(world, "m1-1", lines=[lines[0], bad, lines[2]])
    one.say("x")
    one.round()
    assert [event.content for event in world.events()[-2:]] == ["x", "a"]


def test_a_duty_is_appended_once_by_one_leader_and_its_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    one, other = world.machine("one", runs=True), world.machine("other", runs=True)
    monkeypatch.setattr(
        FEATURES["health"],
        "duty",
        lambda state, ctx: [Duty("error", "due", "the-key")] if ctx.fleet.position > 4 else [],
        raising=False,
    )
    world.settle(10)
    assert one.leads or other.leads
    leader, heir = (one, other) if one.leads else (other, one)
    leader.append("leader_resigned", "", term=leader.fleet.terms.term)
    leader.round()
    world.settle(6)
    assert heir.leads
    assert [event.data["duty"] for event in world.events() if event.type == "error"] == ["the-key"]


def test_a_duty_that_is_pending_is_not_appended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world, [one] = a_fleet(1, runs=True)
    monkeypatch.setattr(FEATURES["health"], "duty", lambda state, ctx: [Duty("error", "due", "the-key")], raising=False)
    one.answers(PushOutcome.UNKNOWN, times=100)
    for _ in range(3):
        try:
            one.round()
        except Exception as wrong:
            assert type(wrong).__name__ == "Lost"
    assert [event.content for event in one.disk.pending()] == ["due"]


def test_data_that_is_no_duty_does_not_confuse_the_leader() -> None:
    world, [one] = a_fleet(1, runs=True)
    for odd in ([1], {"a": 1}, 5, None, "x"):
        one.say("odd", data={"duty": odd})
    world.settle(3)
    world.check()


def test_own_events_that_wait_behind_a_line_brought_back_go_after_it() -> None:
    world, [one, other] = a_fleet()
    one.say("lost")
    one.round()
    one.round()
    old = one.store.commit(world.tip or "").parents[0]
    world.server.refs[LEDGER] = old
    other.say("elsewhere")
    other.round()
    one.say("next")
    one.round()
    one.round()
    assert [event.content for event in world.events()][-3:] == ["elsewhere", "lost", "next"]


def test_planning_limits_are_named() -> None:
    assert limits.DUTIES_PER_TICK < limits.DUTIES_REMEMBERED_MAX


# Folds: any order of any events


CORE = [
    "agent_joined",
    "agent_left",
    "agent_admitted",
    "key_changed",
    "config_changed",
    "leader_resigned",
    "error",
    "note",
    "question",
    "heartbeat",
    "unheard_of",
    "fleet_founded",
    "leader_election",
    "leader_renewed",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-limits.INTEGER_MAX, limits.INTEGER_MAX) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
DATA = st.dictionaries(
    st.sampled_from(["agent", "key", "set", "reason", "about", "admin", "session", "after", "fleet", "duty", "source"])
    | st.text(max_size=4),
    JSON | st.sampled_from(["a", "b", {"recent": 5}, {"headings": {"x": "y"}}]),
    max_size=3,
)
DRAFTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "A", "founder"]),
        st.sampled_from(CORE),
        st.text(max_size=6),
        st.none() | st.integers(0, 5),
        st.none() | st.integers(0, 8),
        st.none() | st.integers(0, 4) | st.just(2**53 - 1),
        DATA,
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(DRAFTS)
def test_any_order_of_any_events_of_any_author_folds_and_round_trips_at_any_prefix(drafts: list[tuple]) -> None:
    world = World()
    fleet = FleetState(FEATURES, Verifier())
    fleet.append(world.founding)
    resumed = fleet
    uids = [f"{number:016d}" for number in range(9)]
    for number, (actor, type_, content, interaction, re, term, data, key, control) in enumerate(drafts):
        draft = Draft(
            actor,
            type_,
            content,
            world.wall(),
            uids[number % 9],
            interaction=interaction,
            re=None if re is None else uid_of("a", uids[re]),
            term=term,
            data=dict(data) | ({"after": fleet.digest} if control else {}),
        )
        after = None if control else fleet.heads.get(f"{actor.lower()}-1", Head())
        event: Event = seal(
            draft,
            node=f"{actor.lower()}-1",
            after=after,
            fleet=FLEET,
            signer=signer_of([actor, actor, actor.lower(), "mallory"][key]),
        )
        try:
            fleet.append(event.line)
        except Inadmissible:
            continue
        if resumed is not fleet:
            resumed.append(event.line)
        text = json.dumps(fleet.dump())
        resumed = FleetState.load(json.loads(text), FEATURES, Verifier())
        assert json.dumps(resumed.dump()) == text


def test_the_leader_retires_the_outbox_of_a_node_gone_for_a_day() -> None:
    from tests.core.leadership.test_sessions import a_fleet

    world, [leader, other] = a_fleet("chief", "other")
    leader.round()
    ref = f"refs/gitcoord/nodes/{other.disk.node}"
    assert ref in world.server.refs
    for _ in range(3):
        world.pass_time(86_000)
        leader.round()
        if _ == 0:
            assert ref in world.server.refs, "a day is not over"
    assert ref not in world.server.refs
    other.append("note", "back again", actor="other")
    other.round()
    leader.round()
    assert ref in world.server.refs
    world.check()


def test_a_long_queues_lines_are_the_same_objects_in_outbox_and_ledger() -> None:
    world, [machine, _] = a_fleet(2)
    for number in range(3 * limits.OUTBOX_CHUNK_EVENTS):
        machine.say(f"{number} " + "x" * 400)
    machine.round()
    store = world.god
    refs = store.fetch().refs
    box = store.tree(store.tree(store.commit(refs[f"{OUTBOXES}{machine.disk.node}"]).tree)["queue"].oid)
    chunks = {entry.oid for entry in box.values()}
    ledger = store.tree(store.tree(store.commit(refs[LEDGER]).tree)["events"].oid)
    sealed = {entry.oid for folder in ledger.values() for entry in store.tree(folder.oid).values()}
    assert len(chunks & sealed) >= 2
