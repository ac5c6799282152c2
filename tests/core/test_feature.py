"""Features as the core sees them: the smallest one, and one that writes all of its names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gitcoord.core import feature as features_of
from gitcoord.core.commands import Context
from gitcoord.core.duties import wanted
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.keys import Verifier
from tests.core.lines import NOW, Story


@dataclass(slots=True)
class Count:
    notes: dict[str, int] = field(default_factory=dict)
    total: int = 0


def fold(state: Count, sequenced: SequencedEvent) -> str | None:
    if sequenced.event.type == "note":
        state.notes[sequenced.event.actor] = state.notes.get(sequenced.event.actor, 0) + 1
        state.total += 1
    return None


NAMES: Mapping[str, Any] = {"EVENTS": {}, "AUTHORITY": {}, "COMMANDS": {}, "State": Count, "fold": fold}


def folded(feature: Any) -> FleetState:
    story = Story(FleetState({"counting": feature}, Verifier())).founded()
    story.elect("alice", 1)
    for _ in range(3):
        story.say("alice", "note", "x")
    return story.fleet


def test_the_smallest_feature_is_folded_kept_and_asks_for_nothing() -> None:
    feature: Any = SimpleNamespace(**NAMES)
    fleet = folded(feature)
    assert fleet.states["counting"] == Count({"alice": 3}, 3)
    assert wanted(fleet, Context(fleet, NOW, "alice", "node-alice")) == []
    again = FleetState.load(json.loads(json.dumps(fleet.dump())), {"counting": feature}, Verifier())
    assert again.states == fleet.states


def test_a_state_that_dump_did_not_write_is_an_error() -> None:
    feature: Any = SimpleNamespace(**NAMES)
    for wrong in ({"total": "many"}, [], None):
        with pytest.raises(ValueError):
            features_of.load(feature, wrong)


def test_a_feature_s_own_names_count_before_the_defaults() -> None:
    feature: Any = SimpleNamespace(
        **NAMES,
        duty=lambda state, ctx: [Duty("note", f"{state.total} notes", "count")],
        dump=lambda state: state.total,
        load=lambda value: Count({}, value),
    )
    fleet = folded(feature)
    assert [one.content for one in wanted(fleet, Context(fleet, NOW, "alice", "node-alice"))] == ["3 notes"]
    dumped = fleet.dump()
    assert dumped["features"] == {"counting": 3}
    assert FleetState.load(dumped, {"counting": feature}, Verifier()).states["counting"] == Count({}, 3)
