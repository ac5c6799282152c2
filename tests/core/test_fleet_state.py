"""The fold: which line may take the next position, what has no effect, and the same state from the same lines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core import limits
from gitcoord.core.feature import Duty
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.format.event import Head, fleet_id_of, hash_of
from gitcoord.core.format.keys import Verifier
from gitcoord.features import FEATURES
from tests.core.lines import Story, signer_of

LINES = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob", "Carol"]),
        st.sampled_from(["note", "agent_joined", "agent_left", "config_changed", "error", "key_changed"]),
        st.none() | st.integers(0, 9),
        st.sampled_from([{}, {"set": {"recent": 5}}, {"set": {"recent": -1, "no": 1}}, {"key": "x"}, {"set": 1}]),
    ),
    max_size=25,
)


def told(lines: list[tuple[str, str, int | None, dict[str, Any]]]) -> tuple[Story, list[bytes]]:
    story, written = Story().founded(), []
    for actor, type_, interaction, data in lines:
        written.append(story.say(actor, type_, "x", interaction=interaction, data=data).event.line)
    return story, written


def test_a_ledger_begins_with_its_founding() -> None:
    story = Story()
    with pytest.raises(Inadmissible, match="begins with fleet_founded"):
        story.say("alice", "note")
    assert story.fleet.id is None
    assert story.founded().fleet.id == fleet_id_of(story.lines[0])


def test_each_nodes_lines_come_in_their_order_each_once() -> None:
    story = Story().founded()
    first = story.sealed("alice", "note", node="n", after=Head())
    second = story.sealed("alice", "note", node="n", after=first.head)
    rival = story.sealed("alice", "note", node="n", after=Head(1, hash_of(b"x")))
    with pytest.raises(Inadmissible, match="events 1 to 1 of n are missing") as gap:
        story.fleet.append(second.line)
    assert gap.value.gap
    story.fleet.append(first.line)
    with pytest.raises(Inadmissible, match="has sequenced its event 1 already"):
        story.fleet.append(first.line)
    with pytest.raises(Inadmissible, match="not the successor of event 1"):
        story.fleet.append(rival.line)
    story.fleet.append(second.line)
    assert story.fleet.heads["n"] == second.head


@pytest.mark.parametrize(
    "type_, chained, words",
    [
        ("leader_election", True, "leader_election inside a chain"),
        ("fleet_founded", True, "fleet_founded inside a chain"),
        ("note", False, "note outside a chain"),
        ("heartbeat", False, "heartbeat outside a chain"),
    ],
)
def test_control_lines_stand_outside_any_chain_and_nothing_else_does(type_: str, chained: bool, words: str) -> None:
    story = Story().founded()
    line = story.sealed("alice", type_, node="n", after=Head() if chained else None).line
    with pytest.raises(Inadmissible, match=words):
        story.fleet.append(line)


def test_a_line_that_is_refused_changes_nothing() -> None:
    story = Story().founded()
    before = story.fleet.dump()
    forged = story.sealed("alice", "note", node="n", after=Head()).line.replace(b'"content":""', b'"content":"x"')
    for line in (forged, b"", b"{}", b"\xff", b"[" * 1000):
        with pytest.raises(Inadmissible):
            story.fleet.append(line)
    assert story.fleet.dump() == before


def test_wrong_data_of_a_known_type_has_no_effect_and_says_where() -> None:
    story = Story().founded()
    assert str(story.say("alice", "config_changed", data={"set": 1}).void).startswith("its data is wrong: set: ")
    assert str(story.say("alice", "agent_admitted").void).startswith("its data is wrong: agent: ")
    assert story.say("alice", "whatever", data={"set": 1}).void is None


def test_an_event_chained_anew_counts_once() -> None:
    story = Story().founded()
    story.say("alice", "note", uid="a" * 16, node="old")
    again = story.say("alice", "note", uid="a" * 16, node="new")
    assert again.void == "the same event as at position 2"
    assert story.fleet.positions[again.event.uid] == 2


def test_a_void_event_does_not_take_its_id_away_from_the_true_one() -> None:
    story = Story().founded()
    assert story.say("mallory", "note", uid="a" * 16).void is not None
    true = story.say("alice", "note", uid="a" * 16)
    assert true.void is None and story.fleet.positions[true.event.uid] == 3
    forged = story.say("bob", "note", uid="b" * 16, signer=signer_of("mallory"), node="m")
    true = story.say("bob", "agent_joined", uid="b" * 16)
    assert (forged.void, true.void) == ("bob has not joined", None) and forged.event.uid == true.event.uid
    assert story.fleet.positions[true.event.uid] == 5


def test_why_an_event_is_void_is_told_of_that_event_and_not_of_another_of_its_type() -> None:
    story = Story().founded().joined("bob")
    wrong = story.say("bob", "config_changed", data={"nonsense": 1}).event
    forged = story.say("mallory", "config_changed", data={"set": {"recent": 5}}).event
    good = story.say("bob", "note").event
    for fleet in (story.fleet, FleetState.load(json.loads(json.dumps(story.fleet.dump())), FEATURES, Verifier())):
        assert str(fleet.why_without_effect(wrong)).startswith("its data is wrong: set: ")
        assert fleet.why_without_effect(forged) == "mallory has not joined"
        assert fleet.why_without_effect(good) is None
        assert [fleet.position_of(event) for event in (wrong, forged, good)] == [3, 4, 5]


def test_other_words_under_a_nonce_of_ones_own_are_told_where_the_first_are() -> None:
    story = Story().founded()
    first = story.say("alice", "note", "first", uid="a" * 16).event
    second = story.say("alice", "note", "second", uid="a" * 16).event
    assert story.fleet.why_without_effect(second) == "the same event as at position 2"
    assert story.fleet.why_without_effect(first) is None
    assert [story.fleet.position_of(event) for event in (first, second)] == [2, 3]


@pytest.mark.parametrize("early", [True, False])
def test_another_key_with_a_copied_nonce_hides_no_reason(early: bool) -> None:
    story = Story().founded().joined("bob")

    def forge() -> None:
        forged = story.say("bob", "note", uid="c" * 16, signer=signer_of("mallory"), node="m")
        assert forged.void == "signed by a key that is not bob's"

    if early:
        forge()
    wrong = story.say("bob", "config_changed", data={"nonsense": 1}, uid="c" * 16).event
    if not early:
        forge()
    assert str(story.fleet.why_without_effect(wrong)).startswith("its data is wrong: set: ")


def test_reasons_are_kept_within_bounds_and_what_is_forgotten_is_still_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "REFUSALS_REMEMBERED_MAX", 3)
    story = Story().founded()
    events = [story.say("mallory", "note").event for _ in range(5)]
    assert [story.fleet.why_without_effect(event) == "mallory has not joined" for event in events] == (
        [False, False, True, True, True]
    )
    assert "no longer at hand" in str(story.fleet.why_without_effect(events[0]))
    assert len(story.fleet.voids.known) == 3


def test_lines_of_one_fleet_are_not_admissible_in_another_of_the_same_founder() -> None:
    one, other = Story().founded(), Story()
    other.control("alice", "fleet_founded", uid="b" * 16)
    assert one.fleet.id != other.fleet.id
    one.elect("alice", 1)
    for line in (one.say("alice", "note").event.line, one.sealed("alice", "note", node="n", after=Head()).line):
        with pytest.raises(Inadmissible, match="wrong signature"):
            other.fleet.append(line)
    for line in one.lines:
        with pytest.raises(Inadmissible):
            other.fleet.append(line)


@pytest.mark.parametrize(
    "data, words",
    [
        ({"format": 3}, "written in format 3"),
        ({"format": 2.0}, "written in format 2.0"),
        ({"profile": "none"}, "it founds no fleet: its data is wrong: profile"),
    ],
)
def test_what_founds_no_fleet_takes_no_position(data: dict[str, Any], words: str) -> None:
    story = Story()
    with pytest.raises(Inadmissible, match=words):
        story.founded(**data)
    with pytest.raises(Inadmissible, match="it founds no fleet: its term is 1"):
        story.control("alice", "fleet_founded", term=1)
    assert (story.fleet.position, story.fleet.id) == (0, None)


def test_a_founder_chooses_no_id() -> None:
    story = Story().founded(fleet="my0wn1d0")
    assert story.fleet.id == fleet_id_of(story.lines[0]) and story.say("alice", "note").void is None


def test_no_line_is_good_before_there_is_a_fleet() -> None:
    story = Story()
    event = story.sealed("alice", "note", node="n", after=Head())  # under no id at all
    with pytest.raises(Inadmissible, match="no fleet is founded"):
        story.fleet.check_signature(event)


def test_the_event_that_is_answered_is_found_when_it_has_its_place() -> None:
    story = Story().founded()
    asked = story.say("alice", "question").event
    assert story.say("alice", "answer", re=asked.uid).parent == 2
    assert story.say("alice", "answer", re="b" * 16).parent is None


def test_a_duty_is_done_once_the_leader_said_so_in_its_term() -> None:
    story = Story().founded()
    story.elect("alice", 1)
    duty = Duty("error", "x", "bad:1").draft(actor="alice", term=1, timestamp="", uid="")
    story.say("alice", "error", data=duty.data)
    assert "bad:1" not in story.fleet.done
    story.say("alice", "error", data=duty.data, term=2)
    assert "bad:1" not in story.fleet.done
    story.say("alice", "error", data=duty.data, term=1)
    assert "bad:1" in story.fleet.done


def test_what_is_done_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DUTIES_REMEMBERED_MAX", 3)
    story = Story().founded()
    story.elect("alice", 1)
    for number in range(5):
        story.say("alice", "error", data={"duty": f"d{number}"}, term=1)
    assert list(story.fleet.done) == ["d2", "d3", "d4"]


@given(LINES)
def test_equal_lines_give_equal_states(lines: list[tuple[str, str, int | None, dict[str, Any]]]) -> None:
    story, written = told(lines)
    founding = Story().founded().fleet
    for line in written:
        founding.append(line)
    assert json.dumps(founding.dump()) == json.dumps(story.fleet.dump())
    assert story.fleet.position == len(written) + 1


@given(LINES, st.data())
def test_a_fold_may_stop_anywhere_be_written_down_and_go_on(
    lines: list[tuple[str, str, int | None, dict[str, Any]]], data: st.DataObject
) -> None:
    story, written = told(lines)
    stop = data.draw(st.integers(0, len(written)))
    first = Story().founded().fleet
    for line in written[:stop]:
        first.append(line)
    second = FleetState.load(json.loads(json.dumps(first.dump())), FEATURES, Verifier())
    for line in written[stop:]:
        second.append(line)
    assert json.dumps(second.dump()) == json.dumps(story.fleet.dump())


@given(st.permutations(["alice", "bob", "Carol", "alice", "bob", "bob"]))
def test_nodes_may_be_sequenced_in_any_order_and_each_keeps_its_own(order: list[str]) -> None:
    story = Story().founded()
    for actor in order:
        story.say(actor, "note", actor)
    assert {node: head.seq for node, head in story.fleet.heads.items()} == {
        "node-alice": 2,
        "node-bob": 3,
        "node-carol": 1,
    }


@pytest.mark.parametrize("spoil", [{"schema": "gitcoord.state/1"}, {"position": None}, {"chains": 5}, {"features": {}}])
def test_a_state_of_another_shape_is_not_loaded(spoil: dict[str, Any]) -> None:
    value = Story().founded().fleet.dump() | spoil
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        FleetState.load(value, FEATURES)
