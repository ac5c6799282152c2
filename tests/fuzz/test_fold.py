"""Whatever members say, the fold, the leader's duties, queries and pages go on: random worlds, each from its seed."""

from __future__ import annotations

import os
import random

import pytest

from gitcoord.core import values
from gitcoord.features import FEATURES
from tests.fuzz import folding
from tests.fuzz.folding import Trouble, play

WORLDS = int(os.environ.get("GITCOORD_FUZZ_WORLDS", "30"))  # a few seconds; `scripts/fuzz fold SECONDS` plays on


@pytest.mark.parametrize("first", [1, 1_000_001])
def test_no_world_of_random_events_makes_anything_fail(first: int) -> None:
    worlds, events = play(first, WORLDS)
    assert worlds == WORLDS and events > 20 * worlds


@pytest.mark.parametrize(("feature", "what"), [("tasks", "fold"), ("workflows", "duty"), ("agents", "dump")])
def test_the_fuzz_finds_what_fails(feature: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(FEATURES[feature], what, values.dump)

    def wrong(state: object, *more: object) -> object:
        if what == "dump":
            return {**right(state), "doubt": None, "agents": {}}
        if state.tasks if feature == "tasks" else state.runs:  # type: ignore[attr-defined]
            raise KeyError("x")
        return right(state, *more)

    monkeypatch.setattr(FEATURES[feature], what, wrong, raising=False)
    with pytest.raises(Trouble, match=feature if what != "fold" else "the fold of"):
        play(1, 200)


def test_worlds_are_of_all_types_and_mostly_not_void() -> None:
    rng = random.Random(1)
    assert {rng.choice(folding.TYPES) for _ in range(5000)} == set(folding.TYPES)
