"""Conflicts: told once while they last, to those whom they concern, and closed when they are gone."""

from __future__ import annotations

from typing import Any

import pytest

from gitcoord.core.commands import Context
from gitcoord.core.errors import Refused
from gitcoord.features import conflicts
from gitcoord.features.conflicts.commands import ListConflicts, ResolveConflicts, list_, resolve
from gitcoord.features.conflicts.events import BranchTip, ConflictFound, PathConflict
from tests.core.lines import NOW, Story


def found(a: str, b: str, *, commits: str = "ab", paths: int = 1) -> ConflictFound:
    return ConflictFound(
        a=BranchTip(name=a, commit=commits[0] * 40, agent="alice"),
        b=BranchTip(name=b, commit=commits[1] * 40, agent="bob"),
        paths=[PathConflict(path=f"src/{number}.py", kind="content", lines=3) for number in range(paths)],
        severity="low",
    )


class Fleet:
    def __init__(self) -> None:
        self.story = Story().founded().joined("bob")

    def ctx(self) -> Context:
        return Context(self.story.fleet, NOW, "alice", "node-alice")

    def tell(self, *some: ConflictFound, looked_at: str = "one two three") -> list[str]:
        """What is written after a look, in words; all of it takes effect."""
        proposals = conflicts.news(self.ctx().state("conflicts"), some, looked_at.split())
        for one in proposals:
            sequenced = self.story.say("alice", one.type, one.content, data=dict(one.data), re=one.re, to=one.to)
            assert sequenced.event.uid not in self.story.fleet.refusals
        return [one.content for one in proposals]

    def rows(self, **asked: Any) -> list[dict[str, Any]]:
        return list_(self.ctx(), ListConflicts(**asked))


def test_a_conflict_is_told_once_to_both_and_closed_when_it_is_gone() -> None:
    fleet = Fleet()
    assert fleet.tell(found("two", "one")) == ["two and one conflict in src/0.py"]
    assert fleet.tell(found("one", "two", commits="ba")) == []
    [event] = [sequenced for sequenced in fleet.story.fleet.states["conflicts"].open.values()]
    assert (event.a.name, event.b.name) == ("one", "two")
    assert fleet.tell(looked_at="one three") == []  # two was not looked at
    assert fleet.tell() == ["one and two: they can be merged"]
    assert fleet.rows() == [] and fleet.rows(all=True)[0]["reason"] == "they can be merged"


def test_a_branch_that_moved_on_and_conflicts_still_goes_on_in_the_same_conversation() -> None:
    fleet = Fleet()
    fleet.tell(found("one", "two"))
    [before] = fleet.rows()
    assert fleet.tell(found("one", "two", commits="cb", paths=5)) == [
        "one and two conflict in src/0.py, src/1.py, src/2.py …"
    ]
    [after] = fleet.rows()
    assert after["id"] == before["id"] and after["a"]["commit"] == "c" * 40 and len(after["paths"]) == 5


def test_who_settles_it_says_how_and_whose_it_is_can_be_asked() -> None:
    fleet = Fleet()
    fleet.tell(found("one", "two"))
    assert len(fleet.rows(agent="BOB")) == 1 and fleet.rows(agent="carol") == []
    [closing] = resolve(fleet.ctx(), ResolveConflicts(conflict="3", why="alice takes both"))
    assert closing.to == ("alice", "bob")
    fleet.story.say("bob", closing.type, closing.content, data=dict(closing.data), re=closing.re)
    with pytest.raises(Refused, match="closed since .* alice takes both"):
        resolve(fleet.ctx(), ResolveConflicts(conflict="3"))


def test_two_who_look_at_once_tell_it_once() -> None:
    fleet = Fleet()
    [one] = conflicts.news(fleet.ctx().state("conflicts"), [found("one", "two")], ["one", "two"])
    fleet.story.say("alice", one.type, data=dict(one.data))
    uid = fleet.story.say("bob", one.type, data=dict(one.data)).event.uid
    assert fleet.story.fleet.refusals[uid] == "alice reported this conflict before" and len(fleet.rows()) == 1
