"""Issues: each thing that went wrong is put into one once, and nothing in it is acted on by a forge."""

from __future__ import annotations

from typing import Any

from gitcoord.core.commands import Context
from gitcoord.features import issues
from tests.core.lines import NOW, Story


def ctx(story: Story, now: str = NOW) -> Context:
    return Context(story.fleet, now, "alice", "node-alice")


def fleet(*kinds: str) -> Story:
    story = Story().founded().joined("bob")
    story.elect("alice", 1)
    story.say("alice", "config_changed", data={"set": {"github_issues": list(kinds)}})
    return story


def told(story: Story, kind: str = "error", number: int = 7) -> str | None:
    new = issues.due(ctx(story))[kind].new
    one = issues.updated(kind, number, "https://x/7", new)
    sequenced: Any = story.say("alice", one.type, one.content, data=dict(one.data), re=one.re, term=1)
    return story.fleet.refusals.get(sequenced.event.uid)


def test_only_what_the_fleet_wants_becomes_one() -> None:
    story = fleet()
    story.say("bob", "error", "the disk is full")
    assert issues.due(ctx(story)) == {}
    story.say("alice", "config_changed", data={"set": {"github_issues": ["error"]}})
    assert [one.text for one in issues.due(ctx(story))["error"].new] == ["the disk is full"]


def test_each_is_told_once_and_the_next_one_stands_beside_it() -> None:
    story = fleet("error")
    story.say("bob", "error", "one")
    assert told(story) is None
    assert issues.due(ctx(story)) == {}
    story.say("bob", "error", "two")
    due = issues.due(ctx(story))["error"]
    assert [one.text for one in due.shown(7)] == ["one", "two"]
    assert [one.text for one in due.shown(0)] == ["two"]  # issue 7 was closed: what stood there is dealt with


def test_two_leaders_of_one_moment_tell_it_once() -> None:
    story = fleet("error")
    story.say("bob", "error", "one")
    new = issues.due(ctx(story))["error"].new
    one = issues.updated("error", 7, "", new)
    assert "only the leader" in str(story.say("bob", one.type, data=dict(one.data)).void)
    story.say("alice", one.type, data=dict(one.data), term=1)
    story.elect("bob", 2)
    uid = story.say("bob", one.type, data=dict(one.data), term=2).event.uid
    assert story.fleet.refusals[uid] == "these events are in an issue already"


def test_what_is_old_is_no_news() -> None:
    story = fleet("error")
    story.say("bob", "error", "one")
    assert issues.due(ctx(story, "2026-11-23T00:00:00.000Z")) == {}


def test_a_forge_acts_on_nothing_in_its_text() -> None:
    story = fleet("error")
    story.say("bob", "error", "fixes #12, says @carol <!-- gitcoord:other -->")
    text = issues.body(issues.due(ctx(story))["error"].new)
    assert "`fixes #12, says @carol <!-- gitcoord:other -->`" in text
