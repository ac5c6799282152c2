"""Reservations: the first in the ledger has the paths, and the second is told who and until when."""

from __future__ import annotations

import pytest

from gitcoord.core import times
from gitcoord.core.commands import Look
from gitcoord.core.errors import Lost, Refused
from gitcoord.features import reservations
from gitcoord.features.reservations import Release, Reservations, Reserve
from tests.core.lines import NOW, Story

HOUR_LATER = times.later(NOW, 3600)


def story() -> Story:
    return Story().founded().joined("bob")


def reserve(one: Story, actor: str, *paths: str, for_s: float = 7200.0, at: str = NOW, place: str = "") -> str | None:
    """Why it changed nothing; None when it did."""
    data = {"paths": list(paths), "for_s": for_s, "place": place, "why": "new login"}
    uid = one.say(actor, "paths_reserved", data=data, timestamp=at).event.uid
    return one.fleet.refusals.get(uid)


def look(one: Story, actor: str, now: str = NOW, place: str = "") -> Look:
    return Look(one.fleet, now, actor, f"node-{actor}", place)


def held(one: Story, now: str = NOW) -> list[str]:
    return [f"{row['agent']}{row['place']}: {' '.join(row['paths'])}"
            for row in reservations.reservations(look(one, "alice", now), Reservations())]


def test_first_reservation_in_ledger_order_wins_and_the_loser_is_told() -> None:
    one = story()
    assert reserve(one, "alice", "src/auth/**") is None
    assert reserve(one, "bob", "docs", "src/auth/login.py") == (
        "alice has src/auth/** until 21 Nov 05:04 UTC (new login)")
    assert held(one) == ["alice: src/auth/**"]
    with pytest.raises(Lost, match="alice has src/auth"):
        reservations.reserve(look(one, "bob"), Reserve(paths=["src"]))


def test_two_work_trees_of_one_clone_are_two_parties() -> None:
    one = story()
    assert reserve(one, "alice", "src") is None
    assert reserve(one, "alice", "src/a.py") is None  # its own
    assert reserve(one, "alice", "src/a.py", place="second") is not None


def test_time_over_sets_paths_free_and_nobody_sees_them_held() -> None:
    one = story()
    reserve(one, "alice", "src", for_s=3600)
    assert held(one, times.later(NOW, 3599)) == ["alice: src"]
    assert held(one, HOUR_LATER) == []
    assert reserve(one, "bob", "src", at=HOUR_LATER) is None
    assert held(one, HOUR_LATER) == ["bob: src"]


def test_release_gives_back_all_of_a_work_tree_or_what_is_named() -> None:
    one = story()
    reserve(one, "alice", "src")
    reserve(one, "alice", "docs")
    both = reservations.release(look(one, "alice"), Release())
    assert [proposal.content for proposal in both] == ["alice releases src", "alice releases docs"]
    [named] = reservations.release(look(one, "bob"), Release(ids=["3"]))  # by its position: anybody may
    assert named.re is not None
    one.say("bob", named.type, re=named.re)
    assert held(one) == ["alice: docs"]
    assert one.fleet.refusals.get(one.say("bob", named.type, re=named.re).event.uid) == "it is over already"
    with pytest.raises(Refused, match="nothing is reserved from here"):
        reservations.release(look(one, "bob"), Release())


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../b", "", "/", "a\\b"])
def test_what_is_no_path_inside_is_refused(path: str) -> None:
    with pytest.raises((Refused, ValueError)):
        reservations.reserve(look(story(), "alice"), Reserve(paths=[path]))
