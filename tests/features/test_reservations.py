"""Reservations: the first in the ledger has the paths, and the second is told who and until when."""

from __future__ import annotations

import pytest

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.liveness import ALIVE, GONE, GOODBYE, AgentLiveness
from gitcoord.features import reservations
from gitcoord.features.reservations import commands
from gitcoord.features.reservations.commands import ListReservations, ReleasePaths, ReservePaths
from gitcoord.features.reservations.endings import GRACE_S
from gitcoord.features.tasks.state import in_a_line
from tests.core.lines import NOW, Story
from tests.features.work import Work

HOUR_LATER = times.later(NOW, 3600)


def story() -> Story:
    return Story().founded().joined("bob")


def reserve(one: Story, actor: str, *paths: str, for_s: float = 7200.0, at: str = NOW, place: str = "") -> str | None:
    """Why it changed nothing; None when it did."""
    data = {"paths": list(paths), "for_s": for_s, "place": place, "why": "new login"}
    uid = one.say(actor, "paths_reserved", data=data, timestamp=at).event.uid
    return one.fleet.refusals.get(uid)


def ctx(one: Story, actor: str, now: str = NOW, place: str = "") -> Context:
    return Context(one.fleet, now, actor, f"node-{actor}", place)


def held(one: Story, now: str = NOW) -> list[str]:
    return [
        f"{row['agent']}{row['place']}: {' '.join(row['paths'])}"
        for row in commands.reservations(ctx(one, "alice", now), ListReservations())
    ]


def test_first_reservation_in_ledger_order_wins_and_the_loser_is_told() -> None:
    one = story()
    assert reserve(one, "alice", "src/auth/**") is None
    assert reserve(one, "bob", "docs", "src/auth/login.py") == (
        "alice has src/auth/** until 21 Nov 05:04 UTC (new login)"
    )
    assert held(one) == ["alice: src/auth/**"]
    with pytest.raises(Lost, match="alice has src/auth"):
        commands.reserve(ctx(one, "bob"), ReservePaths(paths=["src"]))


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
    one.say("alice", "note", timestamp=HOUR_LATER)  # two members have reached that time
    assert reserve(one, "bob", "src", at=HOUR_LATER) is None
    assert held(one, HOUR_LATER) == ["bob: src"]


@pytest.mark.parametrize("lead_s", [3 * 3600.0, 400 * 86_400.0])
@pytest.mark.parametrize(("holder", "other"), [("alice", "bob"), ("bob", "alice")])
def test_a_clock_ahead_takes_no_reservation_from_its_holder(holder: str, other: str, lead_s: float) -> None:
    one = story().joined("carol")
    assert reserve(one, holder, "src/**", for_s=3600) is None
    reason = reserve(one, other, "src/x.py", at=times.later(NOW, lead_s))
    if lead_s > 86_400 and other == "alice":
        return  # an admin's clock that is a year ahead is believed, but for a day
    assert reason is not None and reason.startswith(f"{holder} has src/**")
    assert held(one, NOW)[0] == f"{holder}: src/**"


def test_a_reservation_dated_far_ahead_lasts_no_longer_than_a_week_and_its_own_span() -> None:
    one = story().joined("mallory")
    one.say("mallory", "paths_reserved", timestamp="9999-12-30T00:00:00.000Z", data={"paths": ["**"], "for_s": 604_800})
    only = next(iter(one.fleet.states["reservations"].held.values()))
    assert only.until == times.later(NOW, 14 * 86_400)


def test_a_clock_behind_ends_nothing_early() -> None:
    one = story().joined("mallory")
    assert reserve(one, "bob", "src", for_s=60) is None
    one.say("mallory", "note", timestamp="1970-01-01T00:00:00.000Z")
    assert reserve(one, "mallory", "src", at="1970-01-01T00:00:00.000Z") is not None
    assert reserve(one, "mallory", "docs", for_s=60, at="1970-01-01T00:00:00.000Z") is None
    assert held(one) == ["bob: src", "mallory: docs"]  # what is dated in the past is of ledger time


def test_the_leader_ends_what_it_saw_last_for_its_span_though_nobody_else_writes() -> None:
    one = story()
    one.elect("alice", 1)
    reserve(one, "bob", "src", for_s=3600)
    age_s = 3600.0

    def duties() -> list[str]:
        seen = Context(one.fleet, NOW, "alice", "node-alice", seen_s=lambda position: age_s)
        return [duty.type for duty in reservations.duty(one.fleet.states["reservations"], seen)]

    assert duties() == []
    age_s += GRACE_S + 1
    assert duties() == ["paths_released"]


def test_who_wants_what_only_the_ledger_takes_for_held_is_told_what_to_do() -> None:
    one = story()
    reserve(one, "alice", "src", for_s=3600)
    later = Context(one.fleet, HOUR_LATER, "bob", "node-bob", seen_s=lambda position: 3601.0)
    with pytest.raises(Lost, match="ledger time has not passed it yet.*gitcoord release"):
        commands.reserve(later, ReservePaths(paths=["src"]))


def test_release_gives_back_all_of_a_work_tree_or_what_is_named() -> None:
    one = story()
    reserve(one, "alice", "src")
    reserve(one, "alice", "docs")
    both = commands.release(ctx(one, "alice"), ReleasePaths())
    assert [proposal.content for proposal in both] == ["alice releases src", "alice releases docs"]
    [named] = commands.release(ctx(one, "alice"), ReleasePaths(ids=["3"]))  # by its position
    assert named.re is not None
    void = one.say("bob", named.type, re=named.re).void
    assert void is not None and "only an admin, the leader (by its term) or alice (whose reservation it is) may" in void
    one.say("alice", named.type, re=named.re)
    assert held(one) == ["alice: docs"]
    assert (
        one.fleet.refusals.get(one.say("bob", named.type, re=named.re).event.uid) == "this reservation is over already"
    )
    assert commands.release(ctx(one, "bob"), ReleasePaths()) == []  # there is nothing to do


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../b", "", "/", "a\\b"])
def test_what_is_no_path_inside_is_refused(path: str) -> None:
    with pytest.raises((Refused, ValueError)):
        commands.reserve(ctx(story(), "alice"), ReservePaths(paths=[path]))


class Tasks(Work):
    """A fleet in which alice has a task, and what she reserved for it."""

    def __init__(self) -> None:
        super().__init__(alice=[], bob=[])
        self.uid = self.create("parser")
        self.do("alice", "task claim", task=self.uid)
        self.do("alice", "reserve", paths=["src"], task=self.uid)
        self.do("alice", "reserve", paths=["docs"])

    def held(self) -> list[str]:
        rows = commands.reservations(self.ctx("alice"), ListReservations())
        return [" ".join(row["paths"]) for row in rows]

    def duties(self) -> list[str]:
        state = self.story.fleet.states["reservations"]
        return [duty.content for duty in reservations.duty(state, self.ctx("alice"))]


@pytest.mark.parametrize("over", ["task finish", "task fail", "task release"])
def test_what_belongs_to_a_task_ends_when_its_agent_is_done_with_it(over: str) -> None:
    one = Tasks()
    assert one.held() == ["src", "docs"] and one.duties() == []
    one.do("alice", over, task=one.uid)
    assert [*one.story.fleet.states["reservations"].held.values()][0].paths == ["docs"]
    with pytest.raises(Refused, match="alice does not have the task 'parser'.*gitcoord task claim"):
        one.do("alice", "reserve", paths=["x"], task=one.uid)


def test_what_belongs_to_a_task_that_another_took_away_is_over_for_all_and_ended_by_the_leader() -> None:
    one = Tasks()
    one.do("alice", "task reassign", task=one.uid, agent="bob")
    assert one.held() == ["docs"]
    [why] = one.duties()
    assert why == f"alice's reservation of src is over: its task 'parser' went on ({in_a_line(one.task(one.uid))})"
    with pytest.raises(Lost, match="bob has it.*gitcoord release"):
        one.do("bob", "reserve", paths=["src/a.py"])


def test_who_leaves_gives_all_back() -> None:
    one = Tasks()
    one.story.say("alice", "agent_left")
    assert one.held() == []


@pytest.mark.parametrize(
    ("state", "gone_s", "at", "ends"),
    [
        (GOODBYE, 200.0, HOUR_LATER, True),
        (GONE, 200.0, HOUR_LATER, True),
        (GONE, 60.0, HOUR_LATER, False),  # within the grace
        (ALIVE, 0.0, HOUR_LATER, False),
        (GOODBYE, 9000.0, times.later(NOW, -3600), False),  # it reserved after that session, from the command line
    ],
)
def test_the_leader_gives_back_what_a_session_had_that_ended(state: str, gone_s: float, at: str, ends: bool) -> None:
    one = story()
    reserve(one, "bob", "src")
    seen = AgentLiveness("bob", state, "node-bob", "s", gone_s, 1.0, at=at, watched_s=gone_s, gone_s=gone_s)
    look = Context(one.fleet, NOW, "alice", "node-alice", liveness={"bob": seen}, seen_s=lambda position: 0.0)
    found = [duty.content for duty in reservations.duty(one.fleet.states["reservations"], look)]
    assert found == (["bob's reservation of src is over: the session of its agent has ended"] if ends else [])
