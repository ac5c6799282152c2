"""Every feature has the same shape, and keeps to the same rules; a new one is tested here without a word."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gitcoord.core.commands import Command, Context, NewEvent
from gitcoord.core.duties import wanted
from gitcoord.core.errors import GitcoordError
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.keys import Verifier
from gitcoord.features import FEATURES, LISTED
from tests.core.lines import NOW, Story
from tests.features.payloads import payloads

COMMANDS = {(feature, name): what for feature, module in FEATURES.items() for name, what in module.COMMANDS.items()}
EVENTS = {type_: model for module in FEATURES.values() for type_, model in module.EVENTS.items()}
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.parametrize("name", LISTED)
def test_it_opens_with_one_sentence_and_has_every_name(name: str) -> None:
    module = FEATURES[name]
    assert (module.__doc__ or "").splitlines()[0].count(":") >= 1
    for one in ("EVENTS", "AUTHORITY", "COMMANDS", "State", "fold"):
        assert hasattr(module, one)


@pytest.mark.parametrize("name", LISTED)
def test_each_command_stands_under_a_listed_word(name: str) -> None:
    words = {command.split(" ")[0] for command in FEATURES[name].COMMANDS}
    assert words == set(LISTED[name])


@pytest.mark.parametrize(("feature", "name"), COMMANDS)
def test_a_command_is_documented(feature: str, name: str) -> None:
    what = COMMANDS[feature, name]
    assert what.help[0].isupper() and not what.help.endswith(".") and "\n" not in what.help
    assert f"gitcoord {name}" in what.example
    for field_name, field in what.arguments.model_fields.items():
        assert field.description and field.description[0].isupper(), field_name
        assert not field.description.endswith("."), field_name
    assert set(what.positional) <= set(what.arguments.model_fields)


def test_no_type_of_event_belongs_to_two() -> None:
    types = [type_ for module in FEATURES.values() for type_ in module.EVENTS]
    assert len(types) == len(set(types))


@pytest.mark.parametrize("type_", EVENTS)
def test_an_event_makes_the_round_trip(type_: str) -> None:
    @settings(max_examples=10, deadline=None, suppress_health_check=SLOW)
    @given(payloads(EVENTS[type_]))
    def round_trip(payload: BaseModel) -> None:
        again = EVENTS[type_].model_validate(json.loads(payload.model_dump_json()))
        assert again == payload

    round_trip()


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Any events of any authors in any order, some of them answers to others, some of them the leader's."""
    story = Story().founded().joined("bob", "carol")
    story.elect("alice", 1)
    uids: list[str] = []
    for type_ in draw(st.lists(st.sampled_from(sorted(EVENTS)), max_size=12)):
        payload = draw(payloads(EVENTS[type_]))
        parent = draw(st.none() | st.sampled_from(uids)) if uids else None
        author, term = draw(
            st.sampled_from(
                [("alice", 1), ("alice", None), ("bob", None), ("carol", None), ("mallory", None), ("bob", 1)]
            )
        )
        sequenced = story.say(
            author,
            type_,
            "words",
            data=json.loads(payload.model_dump_json()),
            re=parent,
            term=term,
            to=draw(st.sampled_from([(), ("bob",), ("nobody", "alice")])),
        )
        uids.append(sequenced.event.uid)
    return story


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(stories())
def test_any_order_of_any_events_folds_and_comes_back_from_json(story: Story) -> None:
    dumped = story.fleet.dump()
    again = FleetState.load(json.loads(json.dumps(dumped)), FEATURES, Verifier())
    assert again.dump() == dumped


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(stories(), st.data())
def test_duties_commands_and_queries_change_nothing(story: Story, data: st.DataObject) -> None:
    ctx = Context(story.fleet, NOW, "alice", "node-alice", read=story.read)
    before = copy.deepcopy(story.fleet.dump())
    wanted(story.fleet, ctx)
    for key in data.draw(st.lists(st.sampled_from(sorted(COMMANDS)), min_size=15, max_size=25, unique=True)):
        what = COMMANDS[key]
        asked = data.draw(payloads(what.arguments), label=key[1])
        try:
            answer: Any = what.decide(ctx, asked) if isinstance(what, Command) else what.ask(ctx, asked)
        except GitcoordError:
            continue
        if isinstance(what, Command):
            assert all(isinstance(one, NewEvent) for one in answer)
        else:
            json.dumps(list(answer) if isinstance(answer, list) else answer)
            assert not what.columns or all(set(what.columns) <= set(row) for row in answer)
    assert story.fleet.dump() == before
