"""Refs that could not be fetched are left alone, longer each time, also by the next process."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitcoord.store.git import backoff as git_backoff
from gitcoord.store.git.backoff import Backoff

REF, OTHER = "refs/gitcoord/nodes/evil", "refs/gitcoord/nodes/other"


class Clock:
    now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


def pause_s(store: Path, clock: Clock) -> float:
    """How long REF is left alone from now on, to a tenth of a second, as a new process has it."""
    begin_s, taken_s = clock.now_s, 0.0
    while REF in Backoff(store, clock).paused():
        clock.now_s += 0.1
        taken_s += 0.1
    clock.now_s = begin_s
    return round(taken_s, 1)


def test_pauses_grow_and_outlive_the_process(tmp_path: Path) -> None:
    clock = Clock()
    seen = []
    for _ in range(4):
        Backoff(tmp_path, clock).failed(REF, "too large")
        seen.append(pause_s(tmp_path, clock))
        clock.now_s += 1000
    assert [round(one) for one in seen] == [10, 20, 40, 80]
    assert Backoff(tmp_path, clock).failing()[REF].why == "too large"


def test_no_pause_is_longer_than_an_hour_also_when_the_clock_is_set_back(tmp_path: Path) -> None:
    clock = Clock()
    for _ in range(40):
        Backoff(tmp_path, clock).failed(REF, "x")
    assert Backoff(tmp_path, clock).failing()[REF].until == clock.now_s + git_backoff.PAUSE_S_MAX
    clock.now_s -= 1e6
    assert not Backoff(tmp_path, clock).paused()


def test_one_that_fails_every_other_time_is_not_trusted_anew_each_time(tmp_path: Path) -> None:
    clock, backoff = Clock(), Backoff(tmp_path, Clock())
    for _ in range(4):
        backoff.failed(REF, "x")
    backoff.succeeded(REF)
    assert not backoff.paused() and not backoff.failing()
    backoff.failed(REF, "x")
    assert backoff.failing()[REF].fails == 3
    for _ in range(3):
        backoff.succeeded(REF)
    backoff.failed(REF, "x")
    assert backoff.failing()[REF].fails == 1
    assert pause_s(tmp_path, clock) > 0


def test_refs_that_are_gone_are_forgotten_once_their_pause_is_over(tmp_path: Path) -> None:
    clock = Clock()
    backoff = Backoff(tmp_path, clock)
    backoff.failed(REF, "x")
    backoff.failed(OTHER, "y")
    backoff.forget({OTHER})
    assert set(backoff.failing()) == {REF, OTHER}
    clock.now_s += 11
    backoff.forget({OTHER})
    assert set(backoff.failing()) == {OTHER}


def test_a_damaged_file_holds_nothing_against_anybody(tmp_path: Path) -> None:
    for text in ("", "[]", '{"refs": {"a": 1}}', "\0\xff"):
        (tmp_path / git_backoff.FILE).write_text(text, "latin-1")
        assert not Backoff(tmp_path).paused()
    Backoff(tmp_path).failed(REF, "x")
    assert REF in Backoff(tmp_path).paused()


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_backoff, "REFS_MAX", 10)
    clock = Clock()
    backoff = Backoff(tmp_path, clock)
    for number in range(git_backoff.REFS_MAX + 20):
        clock.now_s += 0.001
        backoff.failed(f"refs/gitcoord/nodes/n{number}", "x")
    assert len(Backoff(tmp_path, clock).failing()) == git_backoff.REFS_MAX
    assert f"refs/gitcoord/nodes/n{git_backoff.REFS_MAX + 19}" in Backoff(tmp_path, clock).failing()
