"""Ledger time: two members have reached it, and no clock alone moves it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core import times
from gitcoord.core.fold.ledger_time import ADMIN_LEAD_S, GAP_S, LEAD_S, MARKS_MAX, FirstSeen, LedgerTime

NOON = "2026-06-01T12:00:00.000Z"


def at(span_s: float) -> str:
    return times.later(NOON, span_s)


def time_of(*events: tuple[str, float], admin: str = "alice") -> LedgerTime:
    one = LedgerTime()
    for author, span_s in events:
        one.witness(author, at(span_s), admin=author == admin)
    return one


def test_two_members_make_the_time() -> None:
    assert time_of(("alice", 0), ("bob", 60)).now == NOON
    assert time_of(("alice", 0), ("bob", 60), ("carol", 30)).now == at(30)
    assert time_of(("alice", 0), ("bob", 60), ("alice", 90)).now == at(60)


def test_one_member_alone_makes_it_by_its_own_clock() -> None:
    assert time_of(("bob", 3600)).now == at(3600)


@pytest.mark.parametrize("ahead_s", [3 * 3600, 400 * 86_400, 7000 * 365 * 86_400])
def test_a_members_clock_moves_it_neither_on_nor_back(ahead_s: float) -> None:
    honest = [("alice", 0.0), ("bob", 1.0)]
    assert time_of(*honest, ("mallory", ahead_s)).now == at(1)
    assert time_of(*honest, ("mallory", -50 * 365 * 86_400)).now == NOON


def test_an_admins_clock_three_hours_ahead_moves_nothing() -> None:
    assert time_of(("alice", 0), ("bob", 0), ("alice", 3 * 3600)).now == NOON


def test_a_clock_that_has_stopped_holds_a_fleet_of_two_back_by_a_day_at_most() -> None:
    one = time_of(("alice", 0), ("mallory", -50 * 365 * 86_400))
    assert one.now == at(-ADMIN_LEAD_S) and one.accepted(NOON) == NOON


def test_who_is_expelled_is_no_witness() -> None:
    one = time_of(("alice", 0), ("bob", 0), ("mallory", LEAD_S), ("mal", LEAD_S))
    assert one.now == at(LEAD_S)
    one.forget("Mallory")
    assert one.now == NOON


def test_an_event_is_of_its_authors_time_within_bounds() -> None:
    one = time_of(("alice", 0), ("bob", 0))
    assert one.accepted(at(-5)) == NOON
    assert one.accepted(at(5)) == at(5)
    assert one.accepted(at(86_400)) == at(86_400)
    assert one.accepted("9999-12-31T23:59:59Z") == at(LEAD_S)


@given(
    st.lists(st.tuples(st.sampled_from(["alice", "bob", "carol", "dave"]), st.integers(-(10**6), 10**6)), max_size=40)
)
def test_it_is_what_the_latest_events_give_and_is_read_back_alike(events: list[tuple[str, int]]) -> None:
    one = time_of(*events)
    latest = {author: span_s for author, span_s in events}
    ordered = sorted(latest.values(), reverse=True)
    if ordered:
        expected = ordered[min(1, len(ordered) - 1)]
        if "alice" in latest:
            expected = max(expected, latest["alice"] - int(ADMIN_LEAD_S))
        assert one.now == at(expected)
    assert LedgerTime.load(one.dump()) == one


def test_ages_are_measured_by_this_machine_alone() -> None:
    marks = FirstSeen()
    marks.note(10, 100.0)
    marks.note(10, 101.0)
    marks.note(12, 105.0)
    assert [marks.age_s(position, 110.0) for position in (1, 10, 11, 12, 13)] == [10, 10, 5, 5, 0]


def test_a_gap_between_two_looks_ends_a_watch() -> None:
    marks = FirstSeen()
    assert marks.watching_s(50.0) == 0
    for now_s in (100.0, 100.0 + GAP_S, 150.0 + GAP_S):
        marks.note(10, now_s)
    assert marks.watching_s(160.0 + GAP_S) == 60.0 + GAP_S
    marks.note(10, 151.0 + 2 * GAP_S)
    assert marks.watching_s(152.0 + 2 * GAP_S) == 1.0


def test_after_the_machine_was_started_anew_nothing_is_older_than_its_start() -> None:
    assert FirstSeen([10], [5000.0]).age_s(10, 30.0) == 30.0


def test_a_ledger_that_was_set_back_is_seen_anew() -> None:
    marks = FirstSeen([10, 20], [1.0, 2.0])
    marks.note(15, 3.0)
    assert marks.age_s(15, 4.0) == 1.0 and marks.age_s(20, 4.0) == 0.0


def test_marks_are_bounded_and_an_age_is_never_more_than_it_is() -> None:
    marks = FirstSeen()
    for position in range(1, 20_000):
        marks.note(position, float(position))
    assert len(marks.positions) <= MARKS_MAX
    for position in (1, 100, 10_000, 19_000, 19_990):
        age_s = 20_000.0 - position
        assert age_s >= marks.age_s(position, 20_000.0) >= (0.9 * age_s if position > 15_000 else 0)
