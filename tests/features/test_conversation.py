"""Conversation: which event belongs to which interaction, whoever was offline meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core import limits
from gitcoord.core.format.event import Event, parse
from gitcoord.features import conversation
from gitcoord.features.conversation import State
from gitcoord.features.pages.snapshot import Entry
from gitcoord.node import ledger_pages
from tests.core.lines import Story


def state_of(story: Story) -> State:
    state: State = story.fleet.states["conversation"]
    return state


def numbers(story: Story) -> list[int]:
    return state_of(story).numbers[1:]  # without the founding


def test_whatever_answers_nothing_opens_an_interaction() -> None:
    story = Story().founded()
    for type_ in ("question", "note", "something_new"):
        story.say("alice", type_)
    assert numbers(story) == [1, 2, 3]


def test_a_reply_belongs_to_what_it_answers() -> None:
    story = Story().founded()
    asked = story.say("alice", "question").event
    story.say("alice", "question")
    answer = story.say("alice", "answer", re=asked.uid).event
    story.say("alice", "followup", re=answer.uid)
    assert numbers(story) == [1, 2, 1, 1]


def test_a_reply_to_what_is_not_here_yet_opens_one() -> None:
    story = Story().founded()
    story.say("alice", "answer", re="b" * 16)
    assert numbers(story) == [1]


def test_the_callers_number_counts_and_new_ones_go_above_it() -> None:
    story = Story().founded()
    story.say("alice", "note", interaction=7)
    story.say("alice", "note")
    story.say("alice", "note", interaction=7)
    story.say("alice", "note", interaction=2)
    story.say("alice", "note")
    assert numbers(story) == [7, 8, 7, 2, 9]


@pytest.mark.parametrize("type_", ["agent_joined", "config_changed", "error", "agent_left"])
def test_records_open_no_interaction_but_may_belong_to_one(type_: str) -> None:
    story = Story().founded()
    data = {"set": {}} if type_ == "config_changed" else {}
    story.say("alice", type_, data=data)
    asked = story.say("alice", "question").event
    story.say("alice", type_, data=data, re=asked.uid)
    story.say("alice", type_, data=data, interaction=5)
    assert numbers(story) == [0, 1, 1, 5]


def test_what_has_no_effect_belongs_nowhere() -> None:
    story = Story().founded()
    assert story.say("mallory", "note", interaction=9).void is not None
    story.say("alice", "note")
    assert numbers(story) == [0, 1]
    assert conversation.number_of(state_of(story), 2) is None and conversation.number_of(state_of(story), 3) == 1


def test_zero_is_a_number_that_stands_for_none() -> None:
    story = Story().founded()
    story.say("alice", "note", interaction=0)
    assert conversation.number_of(state_of(story), 2) is None


def test_the_highest_number_leaves_room_for_new_ones() -> None:
    story = Story().founded()
    story.say("alice", "note", interaction=limits.INTERACTION_MAX)
    sequenced = story.say("alice", "note")
    assert sequenced.void is None and numbers(story)[-1] > 0


def test_an_interaction_is_put_together_for_the_page() -> None:
    story, lines = Story().founded(), [b""]
    asked = story.say("alice", "question", "who?", to=("bob",)).event
    lines.append(asked.line)
    story_source: dict[str, Any] = {"source": {"actor": "Old Hand", "timestamp": "2001-01-01T00:00:00Z"}}
    lines.append(story.say("alice", "answer", "me", re=asked.uid, data=story_source).event.line)
    page = conversation.interaction(
        state_of(story), 1, lambda position: conversation.entry(position, parse(lines[position - 1]))
    )
    assert page.number == 1
    assert [(one.actor, one.content, one.to, one.timestamp[:4]) for one in page.entries] == [
        ("alice", "who?", ("bob",), "2026"),
        ("Old Hand", "me", (), "2001"),
    ]


def test_a_pending_event_can_be_shown_too() -> None:
    event: Event = Story().founded().say("alice", "note", "x").event
    assert conversation.entry(None, event).position is None


@given(st.lists(st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 30)), max_size=30))
def test_every_position_is_in_at_most_one_interaction_and_the_state_survives_the_disk(
    said: list[tuple[int | None, int | None]],
) -> None:
    story = Story().founded()
    uids: list[str] = []
    for interaction, parent in said:
        re = uids[parent] if parent is not None and parent < len(uids) else None
        uids.append(story.say("alice", "note", interaction=interaction, re=re).event.uid)
    state = state_of(story)
    assert len(state.numbers) == story.fleet.position
    placed = sorted(position for positions in state.positions.values() for position in positions)
    assert placed == [place for place, number in enumerate(state.numbers, 1) if number]
    assert all(positions == sorted(positions) for positions in state.positions.values())
    assert state.highest == max([0, *state.positions])
    assert conversation.load(conversation.dump(state)) == state


def test_numbers_that_somebody_chose_do_not_pin_the_page_and_a_long_thread_is_read_from_its_end() -> None:
    story = Story().founded("alice")
    story.say("alice", "question", "huge", interaction=10**9 - 1)
    for number in range(5):
        story.say("alice", "question", f"question {number}")
    for number in range(1100):
        story.say("alice", "note", f"more {number}", interaction=3)
    state = story.fleet.states["conversation"]
    asked: list[int] = []

    def entry_at(position: int) -> Entry:
        asked.append(position)
        return conversation.entry(position, parse(story.read(position)))

    pages = ledger_pages.pages(story.fleet, ledger_pages.layout_of(story.fleet), entry_at, only={"communication.md"})
    page = pages["communication.md"].decode()
    assert "#999999999" not in page and "more 1099" in page and "101 earlier events" in page
    assert len(asked) < 1010
    again = conversation.load(conversation.dump(state))
    assert list(again.positions) == list(state.positions)
