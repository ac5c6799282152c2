"""Duties: whatever a feature does or the ledger holds, the leader goes on; each thing that fails is told once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gitcoord.core import duties, limits, times
from gitcoord.core.commands import Context
from gitcoord.core.duties import wanted
from gitcoord.core.feature import Duty
from gitcoord.features import FEATURES
from tests.core.driver import Machine, World
from tests.core.lines import NOW, Story


def fails(*first: Duty) -> Any:
    def duty(state: Any, ctx: Context) -> Iterator[Duty]:
        yield from first
        raise OverflowError("a date before the first one \0 \ud800")

    return duty


def is_due(*due: Duty) -> Any:
    return lambda state, ctx: iter(due)


@pytest.fixture
def story() -> Story:
    story = Story().founded().joined("bob")
    story.elect("alice", 1)
    return story


def asked(story: Story, now: str = NOW) -> list[Duty]:
    return wanted(story.fleet, Context(story.fleet, now, "alice", "node-alice"))


def led() -> tuple[World, Machine]:
    world = World()
    one = world.machine("one", runs=True)
    world.settle(4)
    assert one.leads
    return world, one


def test_a_feature_that_fails_is_told_once_and_the_others_go_on(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FEATURES["tasks"], "duty", fails(Duty("note", "before", "k1")))
    monkeypatch.setattr(FEATURES["reviews"], "duty", is_due(Duty("note", "after", "k2")), raising=False)  # it has none
    before, told, after = asked(story)
    assert (before.key, after.key, told.type) == ("k1", "k2", "error")
    assert "tasks" in told.content and "position 3" in told.content and "OverflowError" in told.content
    story.say("alice", "error", told.content, data={"duty": told.key}, term=1)
    story.say("bob", "note")
    assert [duty.key for duty in asked(story)] == ["k1", "k2"]


def test_a_leader_survives_a_feature_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    world, one = led()
    monkeypatch.setattr(FEATURES["workflows"], "duty", fails())
    world.settle(6)
    assert one.leads
    assert len([event for event in world.events() if event.type == "error"]) == 1


UNWRITABLE = {
    "too large": Duty("note", "x" * 70_000, "k"),
    "no agent": Duty("note", "x", "k", to=("no id!",)),
    "no type": Duty("No type", "x", "k"),
    "no id": Duty("note", "x", "k", re="short"),
    "not finite": Duty("note", "x", "k", data={"a": float("inf")}),
    "not text": Duty("note", "\ud800", "k"),
    "wrong data": Duty("task_created", "x", "k", data={"title": "x" * 300}),
    "NUL": Duty("note", "\0", "k"),
    "deep": Duty("note", "x", "k", data={"a": __import__("json").loads("[" * 40 + "]" * 40)}),
}


@pytest.mark.parametrize("what", UNWRITABLE)
def test_a_duty_that_cannot_be_written_becomes_one_error_and_counts_as_done(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, one = led()
    monkeypatch.setattr(
        FEATURES["health"], "duty", is_due(UNWRITABLE[what], Duty("note", "the next one", "k2")), raising=False
    )
    world.settle(6)
    assert one.leads
    [error] = [event for event in world.events() if event.type == "error"]
    assert error.data["duty"] == "k" and f"cannot write {UNWRITABLE[what].type} for k" in error.content
    assert [event.content for event in world.events() if event.type == "note"] == ["the next one"]
    assert {"k", "k2"} <= one.fleet.done.keys()


def test_a_duty_that_the_ledger_voids_is_tried_again_with_growing_pauses_then_told(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = Duty("task_created", "x", "k", data={"title": "x"})
    monkeypatch.setattr(FEATURES["health"], "duty", is_due(due), raising=False)
    now, tried = NOW, []
    for _ in range(200):
        for duty in asked(story, now):
            tried.append(now)
            story.say("alice", duty.type, data={"title": "x" * 300, "duty": duty.key}, term=1, timestamp=now)
        now = times.later(now, 10)
        if len(tried) == limits.DUTY_TRIES_MAX:
            break
    assert [times.between_s(one, other) for one, other in zip(tried, tried[1:])] == [60, 240]
    [due] = asked(story, now)
    draft = duties.draft(story.fleet, due, signer(), actor="alice", node="node-alice", timestamp=now, uid="0" * 16)
    assert draft is not None and draft.type == "error" and draft.data == {"duty": "k"}
    assert "voided it 3 times: its data is wrong" in draft.content


def signer() -> Any:
    from tests.core.lines import signer_of

    return signer_of("alice")


def test_nobody_else_spends_the_leaders_tries(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FEATURES["health"], "duty", is_due(Duty("note", "x", "k")), raising=False)
    for _ in range(5):
        assert story.say("bob", "note", data={"duty": "k"}, term=1).void
        assert story.say("alice", "note", data={"duty": "k"}, term=1, signer=other(), node="node-mal").void
        assert story.say("alice", "note", data={"duty": "k"}, term=0).void
    assert [duty.key for duty in asked(story)] == ["k"] and not story.fleet.occasions.tried


def other() -> Any:
    from tests.core.lines import signer_of

    return signer_of("mallory")


def test_the_leader_writes_a_bounded_number_of_events_in_a_tick_and_in_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [Duty("note", "x", f"k{number}") for number in range(limits.DUTIES_PER_TICK + 10)]
    world, one = led()
    monkeypatch.setattr(FEATURES["health"], "duty", is_due(*many), raising=False)
    monkeypatch.setattr(FEATURES["issues"], "duty", is_due(Duty("note", "x", "another feature's")), raising=False)
    before = len(world.events())
    one.round()
    keys = [event.data.get("duty") for event in world.events()[before:]]
    assert len(keys) == limits.DUTIES_PER_TICK + 1 and keys[-1] == "another feature's"
    one.replica.duties.tokens = 3.0
    one.replica.duties.rate = 0.0
    before = len(world.events())
    one.round()
    assert len(world.events()) - before == 3


def test_a_fold_goes_on_where_a_feature_fails_at_an_event(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    def fold(state: Any, recorded: Any) -> None:
        raise KeyError("x")

    monkeypatch.setattr(FEATURES["issues"], "fold", fold)
    with pytest.raises(AssertionError):  # in tests a bug is none that may pass
        story.say("bob", "note", "x")
    assert story.fleet.position == 4
    assert "issues fails with KeyError" in next(iter(story.fleet.refusals.values()))
