"""The fleet keeps to GitHub's limits together: what one has written the others have not to write."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gitcoord.github.api.limits import WRITES_PER_HOUR, WRITES_PER_MINUTE, Meter
from gitcoord.github.api.models import Quota
from gitcoord.github.api.retry import Limited


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter(clock, account="robot")


def heartbeat(writes: Any, *, account: str = "robot", session: str = "s1", state: str = "alive") -> Any:
    return SimpleNamespace(data={"session": session, "state": state, "github": {"account": account, "writes": writes}})


def test_who_has_written_as_much_as_is_allowed_waits(meter: Meter, clock: Clock) -> None:
    for _ in range(WRITES_PER_MINUTE):
        assert meter.wait_s() == 0
        meter.wrote()
        clock.now_s += 0.5
    assert meter.wait_s() == pytest.approx(60 - WRITES_PER_MINUTE / 2)
    clock.now_s += meter.wait_s()
    assert meter.wait_s() == 0


def test_an_hour_has_its_own_limit(meter: Meter, clock: Clock) -> None:
    for _ in range(WRITES_PER_HOUR):
        meter.wrote()
        clock.now_s += 2
    assert meter.wait_s() == pytest.approx(3600 - 2 * WRITES_PER_HOUR)


def test_what_others_wrote_with_the_same_account_counts(meter: Meter) -> None:
    meter.wrote()
    meter.heard([heartbeat([WRITES_PER_MINUTE - 2, 100])])
    assert meter.wait_s() == 0
    meter.heard([heartbeat([WRITES_PER_MINUTE - 1, 100])])
    assert meter.wait_s() == pytest.approx(60)
    meter.heard([])
    assert meter.wait_s() == 0


@pytest.mark.parametrize(
    "other",
    [
        heartbeat([60, 60], account="somebody"),
        heartbeat([60, 60], session="mine"),
        heartbeat([60, 60], state="goodbye"),
        heartbeat("many"),
        heartbeat([60]),
        heartbeat([-60, 0]),
        heartbeat([True, 1]),
        SimpleNamespace(data={}),
        SimpleNamespace(data={"github": 5}),
    ],
)
def test_what_is_no_word_about_our_account_counts_for_nothing(meter: Meter, other: Any) -> None:
    meter.wrote()
    meter.heard([other], own_sessions=["mine"])
    assert meter.wait_s() == 0


def test_one_who_lies_can_delay_and_not_stop_for_good(meter: Meter) -> None:
    meter.heard([heartbeat([10**9, 10**9])])
    assert meter.wait_s() <= 3600


def test_what_is_told_in_beats(meter: Meter) -> None:
    assert meter.heartbeat_fields() == {}
    meter.wrote()
    meter.quota = Quota(5000, 4321, 1_800_000_000.0)
    assert meter.heartbeat_fields() == {
        "github": {"account": "robot", "writes": [1, 1], "left": 4321, "reset": 1_800_000_000}
    }


def test_a_write_keeps_to_the_budget(meter: Meter, clock: Clock) -> None:
    from gitcoord.github.api.retry import RetryPolicy

    slept: list[float] = []
    for _ in range(WRITES_PER_MINUTE):
        meter.wrote()
    RetryPolicy(meter, who="a token", patience_s=90, sleep=slept.append).write("a thing", lambda: lambda: 1)
    assert slept == [60]
    with pytest.raises(Limited, match="the fleet has used up the writes"):
        RetryPolicy(meter, who="a token", patience_s=5, sleep=slept.append).write("a thing", lambda: lambda: 1)
