"""Places: what has no effect takes a bounded number of places a day, and waits then; what has effect goes on."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold import places
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.fold.revocations import Revocations
from gitcoord.core.format.event import Draft, Head, parse, seal
from gitcoord.core.format.keys import Verifier, fingerprint
from gitcoord.core.names import uid_from
from gitcoord.core.round.batch import Batch, Room
from gitcoord.features import FEATURES
from tests.core.driver import FLEET, World
from tests.core.leadership.test_sessions import a_fleet, live, put_outbox
from tests.core.lines import NOW, Story, signer_of

TOMORROW = "2026-11-22T00:00:01.000Z"
MUTE = {"agent": "bob"}


@pytest.fixture
def story() -> Story:
    return Story().founded().joined("bob", "carol")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "VOID_LINES_OF_MEMBER_MAX", 3)
    monkeypatch.setattr(places, "LINES_OF_STRANGERS_MAX", 3)
    monkeypatch.setattr(places, "NEWCOMERS_MAX", 4)


def waits(story: Story, actor: str, type_: str = "note", **fields: Any) -> str:
    """Why such a line waits; it is not said then, and its node's chain stays as it is."""
    heads = dict(story.heads)
    with pytest.raises(Inadmissible) as wrong:
        story.say(actor, type_, **fields)
    assert wrong.value.waits, wrong.value
    story.heads = heads
    return str(wrong.value)


def tomorrow(story: Story) -> None:
    for agent in ("alice", "carol"):
        assert story.say(agent, "note", "good morning", timestamp=TOMORROW).void is None


def test_void_lines_of_a_member_beyond_the_days_number_wait_and_come_the_next_day(story: Story) -> None:
    story.say("alice", "agent_muted", data=MUTE)
    assert all("muted" in (story.say("bob", "note").void or "") for _ in range(3))
    assert "bob has put 3 lines without effect into the ledger on 2026-11-21" in waits(story, "bob")
    assert story.say("carol", "note").void is None, "nobody else waits"
    waits(story, "bob", timestamp=TOMORROW)  # its own clock moves nothing
    story.say("alice", "agent_unmuted", data=MUTE)
    waits(story, "bob")
    tomorrow(story)
    assert story.say("bob", "note").void is None


def test_the_days_bytes_are_bounded_as_well(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "VOID_BYTES_OF_MEMBER_MAX", 5000)
    monkeypatch.setattr(places, "BYTES_OF_STRANGERS_MAX", 5000)
    story.say("alice", "agent_muted", data=MUTE)
    story.say("bob", "note", "x" * 6000)
    waits(story, "bob")
    waits(story, "nobody", content="x" * 6000)


def test_keys_that_are_no_members_have_one_number_together(story: Story) -> None:
    for name in ("x", "y", "z"):
        assert "has not joined" in (story.say(name, "note").void or "")
    assert "those who are no members have put 3 lines into the ledger" in waits(story, "w")
    waits(story, "bob", signer=signer_of("mallory"), node="node-m")  # a key that is not bob's is nobody's
    assert story.say("bob", "note").void is None
    assert story.say("newcomer", "agent_joined").void is None, "an honest newcomer gets through"
    assert story.say("newcomer", "note").void is None
    waits(story, "bob", "agent_joined", signer=signer_of("mallory"), node="node-m")  # void: the name is taken
    tomorrow(story)
    assert story.say("w", "note").void is not None


def test_who_was_expelled_or_waits_to_be_admitted_is_no_member() -> None:
    story = Story().founded(admission="closed")
    story.say("bob", "agent_joined")
    assert "waits to be admitted" in (story.say("bob", "note").void or "")
    assert story.say("bob", "agent_joined").void is None and story.say("bob", "agent_joined").void is None
    waits(story, "bob", "agent_joined")  # has effect, and is one line more all the same
    story.say("alice", "agent_admitted", data={"agent": "bob", "key": fingerprint(signer_of("bob").key)})
    assert story.say("bob", "note").void is None
    story.say("alice", "agent_expelled", data=MUTE)
    assert "no members" in waits(story, "bob")


def test_so_many_join_by_themselves_in_a_day_and_whom_an_admin_admits_joins_always(story: Story) -> None:
    story.joined("d", "e")
    assert "4 agents that no admin admitted have joined on 2026-11-21" in waits(story, "f", "agent_joined")
    story.say("alice", "agent_admitted", data={"agent": "f", "key": fingerprint(signer_of("f").key)})
    assert story.say("f", "agent_joined").void is None
    assert story.say("d", "agent_joined").void is None, "who is a member may say so again"
    waits(story, "g", "agent_joined")
    tomorrow(story)
    assert story.say("g", "agent_joined").void is None


def test_an_admin_ends_a_flood_whatever_it_wrote_itself(story: Story) -> None:
    for _ in range(3):
        story.say("alice", "fleet_founded_again", data={}, term=7)
    waits(story, "alice")
    for type_, data in (
        ("agent_muted", MUTE),
        ("agent_unmuted", MUTE),
        ("agent_expelled", {"agent": "carol"}),
        ("agent_admitted", {"agent": "new", "key": fingerprint(signer_of("new").key)}),
    ):
        assert story.say("alice", type_, data=data).void is None
    assert {*places.ALWAYS} <= {*story.fleet.types.permissions}


def test_an_author_begins_so_many_nodes_in_a_day(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "NODES_OF_MEMBER_MAX", 2)
    for node in ("second", "third"):
        story.say("bob", "note", node=node)
    assert "bob has begun 2 nodes on 2026-11-21" in waits(story, "bob", node="fourth")
    assert story.say("bob", "note", node="second").void is None
    tomorrow(story)
    assert story.say("bob", "note", node="fourth").void is None


def test_where_one_member_is_all_the_next_day_comes_with_its_own_lines() -> None:
    story = Story().founded()
    for _ in range(3):
        story.say("alice", "note", term=5)
    waits(story, "alice")
    assert story.say("alice", "note", term=5, timestamp=TOMORROW).void is not None
    for _ in range(2):
        story.say("alice", "note", term=5, timestamp=TOMORROW)
    waits(story, "alice", timestamp=TOMORROW)  # void lines made no day, and are counted as that day's


def test_the_counts_come_back_from_json(story: Story) -> None:
    for name in ("x", "y", "z"):
        story.say(name, "note")
    for _ in range(3):
        story.say("bob", "note", term=9)
    dumped = json.loads(json.dumps(story.fleet.dump()))
    story.fleet = FleetState.load(dumped, FEATURES, Verifier())
    assert json.loads(json.dumps(story.fleet.dump())) == dumped
    waits(story, "w")
    waits(story, "bob")


def test_lines_that_are_void_only_now_keep_the_places_that_they_have(story: Story) -> None:
    """A revocation that reaches back makes more lines void than a day takes: they were not void when they came."""
    for _ in range(9):
        story.say("bob", "note")
    revoked = {"key": fingerprint(signer_of("bob").key), "after": 3}
    story.say("alice", "key_revoked", data=revoked)
    learnt = story.fleet.revocations.learnt
    assert isinstance(learnt, Revocations)
    anew = story.fleet.anew()
    for line in story.lines:
        anew.append(line, is_again=True)
    assert anew.position == len(story.lines) and len(anew.positions) == 4
    story.fleet = anew
    waits(story, "bob")  # a stranger's by now


# Batches

AGENTS = ("alice", "bob", "carol", "new", "newer")
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("note", {}),
    ("note", {}),
    ("note", {"term": 7}),
    ("agent_joined", {}),
    ("agent_left", {}),
    ("key_changed", {}),
    *(
        (type_, {"data": {"agent": agent, "key": fingerprint(signer_of(agent).key)}})
        for type_ in ("agent_expelled", "agent_muted", "agent_unmuted", "agent_admitted", "key_revoked")
        for agent in ("bob", "carol", "new")
    ),
)
SAID = st.lists(
    st.tuples(
        st.sampled_from(AGENTS),
        st.sampled_from(KINDS),
        st.sampled_from(AGENTS),
        st.sampled_from([NOW, NOW, TOMORROW]),
        st.booleans(),
    ),
    max_size=30,
)


class Plan:
    """A batch that is put together on top of a story."""

    def __init__(self, story: Story) -> None:
        replica: Any = SimpleNamespace(branch=SimpleNamespace(fleet=story.fleet), check=parse)
        self.story, self.batch = story, Batch(replica, frozenset(), Room(1000, 10**6))

    def offer(self, actor: str, type_: str, *, node: str, key: str = "", timestamp: str = NOW, **fields: Any) -> bool:
        event = seal(
            Draft(actor, type_, "", timestamp, uid_from(next(self.story.uids).to_bytes(10, "big")), **fields),
            node=node,
            after=self.batch.chains.heads.get(node, Head()),
            signer=signer_of(key or actor),
            fleet=self.story.fleet.id or "",
        )
        return self.batch.take(event)

    def fold(self) -> None:
        """All of it: a line that takes no place raises Inadmissible, and would be damage to the ledger."""
        for event in self.batch.events:
            self.story.fleet.append(event.line)


@settings(max_examples=200, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # to shrink takes minutes
@given(SAID, SAID)
def test_whatever_goes_into_a_batch_takes_its_place(before: list[Any], batch: list[Any]) -> None:
    story = Story().founded().joined("bob", "carol")
    for said in [before, batch]:
        plan = Plan(story)
        for number, (actor, (type_, fields), key, timestamp, own) in enumerate(said):
            data = {"data": {"key": signer_of("new").key, "proof": "x" * 86}} if type_ == "key_changed" else {}
            plan.offer(
                actor, type_, node=f"n{number % 4}", key="" if own else key, timestamp=timestamp, **{**fields, **data}
            )
        plan.fold()


def test_two_names_of_one_key_that_join_in_one_batch_are_one_newcomer_and_a_strangers_line(story: Story) -> None:
    for name in ("x", "y", "z"):
        story.say(name, "note")
    plan = Plan(story)
    assert plan.offer("new", "agent_joined", node="a")
    assert not plan.offer("newer", "agent_joined", node="b", key="new")
    assert not plan.offer("new", "agent_joined", node="c", key="bob")
    plan.fold()


def test_a_batch_holds_no_more_newcomers_than_the_day_takes(story: Story) -> None:
    plan = Plan(story)
    assert [plan.offer(name, "agent_joined", node=name) for name in ("d", "e", "f", "g")] == [True, True, False, False]
    plan.fold()
    assert not Plan(story).offer("f", "agent_joined", node="f")


def test_in_a_batch_that_may_set_the_time_back_no_line_makes_a_day(story: Story) -> None:
    for _ in range(3):
        story.say("bob", "note", term=9)
    assert story.say("carol", "note", timestamp=TOMORROW).void is None  # it waits for a second one's word
    plan = Plan(story)
    assert plan.offer("carol", "note", node="c", timestamp=NOW)
    assert not plan.offer("bob", "note", node="b", timestamp=TOMORROW)
    plan.fold()
    story.say("carol", "note", node="again", timestamp=TOMORROW)
    assert Plan(story).offer("bob", "note", node="b", timestamp=TOMORROW)


def test_who_is_expelled_in_a_batch_is_a_stranger_in_the_rest_of_it(story: Story) -> None:
    for name in ("x", "y", "z"):
        story.say(name, "note")
    plan = Plan(story)
    assert plan.offer("carol", "agent_expelled", node="c", data=MUTE)  # void, and delays nobody
    assert plan.offer("bob", "note", node="b")
    assert plan.offer("alice", "agent_expelled", node="a", data=MUTE)
    assert not plan.offer("bob", "note", node="b")
    plan.fold()


def test_a_flood_of_strangers_lines_waits_and_damages_nothing() -> None:
    world, [leader, other] = a_fleet("chief", "other")
    flood, head = [], Head()
    for number in range(50):
        event = seal(
            Draft("mallory", "note", "", world.wall(), world.uid()),
            node="mallory-1",
            after=head,
            signer=signer_of("mallory"),
            fleet=FLEET,
        )
        head = event.head
        flood.append(event.line)
    put_outbox(world, "mallory-1", lines=flood)
    for number in range(10):
        other.say(str(number))
        live(world, [leader, other], 1)
    assert [event.content for event in world.events() if event.type == "note" and event.actor == other.session.agent]
    assert sum(event.actor == "mallory" for event in world.events()) == 2  # one place is spare, for a control line
    assert not leader.replica.branch.bad and not other.replica.branch.bad
    world.put_by_hand([*world.lines(), *flood[2:]])
    live(world, [leader, other], 3)
    assert sum(event.actor == "mallory" for event in world.events()) == 3
    assert leader.fleet.dump() == other.fleet.dump() == world.newcomer().dump()


def test_an_author_whose_lines_wait_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    one = world.machine("one")
    other = world.machine("other")
    world.settle(4)
    for number in range(6):
        one.append("note", str(number), term=99)
        one.round()
    world.settle(3)
    assert one.disk.pending() and not one.replica.branch.bad
    [told] = one.heard("waits")
    assert "lines without effect into the ledger on 2026-11-21" in told and "queue drop" in told
    world.pass_time(86_400)
    for _ in range(3):
        other.say("good morning")
        other.round()
    assert not one.heard("waits")[1:]
