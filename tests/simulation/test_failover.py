"""A dead leader is replaced within the bound that the timings promise, also where the push budget binds."""

from __future__ import annotations

import pytest

from gitcoord.core.leadership.timings import PROFILES
from gitcoord.node import push_budget
from gitcoord.simulation import failover
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.schedule import Options, run
from gitcoord.simulation.world import World

BUSY = Options(only=frozenset({"death", "clock", "rush"}), seconds=900)


def test_a_follower_whose_budget_is_spent_still_looks_for_its_leader() -> None:
    """Seed 10: everybody wrote, nobody might push, so nobody looked; the successor was late by half a minute."""
    assert run(10, BUSY).violation == ""


def test_a_successor_that_is_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_budget, "wait_s", lambda budget, now_s, **_: max(0.1, budget.wait_s(now_s)))
    assert "nobody led for 144" in run(10, BUSY).violation


@pytest.mark.no_cover  # test_simulate runs the same lines
@pytest.mark.parametrize("profile, seconds, seed", [("local", 200, 22), ("lan", 600, 3)])
def test_a_gap_is_longer_than_the_silence_and_shorter_than_the_bound(
    profile: str, seconds: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps: list[float] = []

    def measure(world: World, remote: SimulatedRemote) -> None:
        gaps.extend(failover.gaps_s(world, remote))

    monkeypatch.setattr(failover, "check", measure)
    run(seed, Options(profile=profile, only=frozenset({"death", "clock"}), seconds=seconds))
    assert gaps and all(
        PROFILES[profile].election_timeout_s / 2 < gap_s <= PROFILES[profile].bound_s() for gap_s in gaps
    )
