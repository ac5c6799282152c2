"""Liveness: by the promise of the agent itself, on the clock of the one who looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core import liveness
from gitcoord.core.format.event import Event, seal
from gitcoord.core.liveness import GONE, GOODBYE, Observation, newest, observe, state
from tests.core.lines import FLEET, draft, signer_of

NOW_S = 1795230245.678  # of the heartbeats' own timestamp


def heartbeat(agent: str = "bob", *, node: str = "n1", **data: Any) -> Event:
    data = {"session": "s1", "n": 1, "next_s": 10.0, "state": "alive"} | data
    return seal(draft(agent, "heartbeat", data=data), node=node, after=None, signer=signer_of(agent), fleet=FLEET)


def states(seen: Sequence[Observation], at_s: float) -> dict[str, str]:
    return {agent: state(one, at_s, poll_s=1.0) for agent, one in newest(seen).items()}


@pytest.mark.parametrize(
    "after_s, expected", [(0, "alive"), (16, "alive"), (16.1, "late"), (31, "late"), (31.1, "gone")]
)
def test_an_agent_is_as_alive_as_its_promise(after_s: float, expected: str) -> None:
    assert states(observe([], [heartbeat()], NOW_S), NOW_S + after_s) == {"bob": expected}


def test_a_longer_promise_is_believed_up_to_the_limit() -> None:
    assert states(observe([], [heartbeat(next_s=100)], NOW_S), NOW_S + 150) == {"bob": "alive"}
    assert states(observe([], [heartbeat(next_s=10**9)], NOW_S), NOW_S + 3 * 600 + 2) == {"bob": "gone"}


def test_time_counts_from_when_the_counter_was_first_seen_to_move() -> None:
    seen = observe([], [heartbeat(n=1)], NOW_S)
    seen = observe(seen, [heartbeat(n=1)], NOW_S + 20)
    assert states(seen, NOW_S + 20) == {"bob": "late"}
    seen = observe(seen, [heartbeat(n=2)], NOW_S + 40)
    assert states(seen, NOW_S + 40) == {"bob": "alive"}
    seen = observe(seen, [heartbeat(n=1, session="s2")], NOW_S + 80)
    assert states(seen, NOW_S + 80) == {"bob": "alive"}


@pytest.mark.parametrize("skew_s", [-5000, -3600, 0, 3600, 5000])
def test_another_clock_says_nothing(skew_s: float) -> None:
    seen = observe([], [heartbeat()], NOW_S + skew_s)
    assert states(seen, NOW_S + skew_s) == {"bob": "alive"}


def test_ones_own_outage_is_nobodys_silence() -> None:
    seen = observe([], [heartbeat(n=1)], NOW_S)
    blind_s = liveness.blind_s(NOW_S, NOW_S + 600, poll_s=1.0)
    seen = observe(seen, [heartbeat(n=1)], NOW_S + 600, blind_s=blind_s)
    judged = {
        watched: liveness.standings(seen, NOW_S + 600, poll_s=1.0, watched=watched)["bob"] for watched in (True, False)
    }
    assert [judged[True].state, judged[True].silent_s] == ["alive", 2.0]
    assert [judged[False].state, judged[False].silent_s] == ["gone", 600.0]
    seen = observe(seen, [heartbeat(n=2)], NOW_S + 601)
    assert seen[0].blind_s == 0.0 and liveness.blind_s(None, NOW_S, poll_s=1.0) == 0.0


def test_an_outbox_of_last_week_met_for_the_first_time_is_not_taken_for_life() -> None:
    assert states(observe([], [heartbeat()], NOW_S + 7 * 86400), NOW_S + 7 * 86400) == {"bob": "gone"}


def test_goodbye_stays_goodbye() -> None:
    seen = observe([], [heartbeat(state="goodbye")], NOW_S)
    assert states(seen, NOW_S) == states(seen, NOW_S + 10**6) == {"bob": "goodbye"}


def test_an_agent_whose_outbox_went_away_grows_gone() -> None:
    seen = observe([], [heartbeat()], NOW_S)
    assert states(observe(seen, [], NOW_S + 100), NOW_S + 100) == {"bob": "gone"}


def test_of_two_nodes_the_living_session_speaks_for_the_agent() -> None:
    seen = observe([], [heartbeat(node="old")], NOW_S)
    seen = observe(seen, [heartbeat(node="old", n=2, state="goodbye"), heartbeat(node="new", session="s2")], NOW_S + 5)
    assert newest(seen)["bob"].node == "new" and states(seen, NOW_S + 5) == {"bob": "alive"}


def test_a_clock_set_back_does_not_keep_the_dead_alive() -> None:
    seen = observe([], [heartbeat()], NOW_S)
    seen = observe(seen, [heartbeat()], NOW_S - 3600)
    assert states(seen, NOW_S - 3600 + 40) == {"bob": "gone"}


@pytest.mark.parametrize("data", [{"n": "1"}, {"n": True}, {"session": 5}, {"next_s": None}, {"next_s": "soon"}])
def test_beats_of_another_shape_are_passed_over(data: dict[str, Any]) -> None:
    assert observe([], [heartbeat(**data)], NOW_S) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.floats(0, 50), st.booleans()), max_size=12))
def test_what_is_remembered_survives_the_disk(heartbeats: list[tuple[str, int, float, bool]]) -> None:
    seen: list[Observation] = []
    for moment, (agent, count, next_s, leaving) in enumerate(heartbeats):
        words = "goodbye" if leaving else "alive"
        seen = observe(seen, [heartbeat(agent, n=count, next_s=next_s, state=words)], NOW_S + moment)
    assert liveness.load(liveness.dump(seen)) == seen
    assert len(seen) == len({agent for agent, *_ in heartbeats})


def test_what_is_remembered_is_bounded() -> None:
    seen = [Observation("bob", f"n{number}", "s", 1, 1.0, False, float(number)) for number in range(1100)]
    assert len(observe(seen, [], NOW_S)) == liveness.OBSERVED_MAX


def test_the_time_until_the_next_one_is_gone_is_that_of_its_state() -> None:
    carol = heartbeat("carol", next_s=1, state="goodbye")
    known = observe([], [heartbeat("alice", next_s=4), heartbeat("bob", next_s=1), carol], NOW_S)
    for looked_s in (0.0, 2.0, 3.4):
        found = liveness.standings(known, NOW_S + looked_s, poll_s=0.5).values()
        assert liveness.gone_in_s(found, poll_s=0.5) == pytest.approx(3.5 - looked_s)
        assert state(newest(known)["bob"], NOW_S + 3.51, poll_s=0.5) == liveness.GONE
    found = liveness.standings(known, NOW_S + 4, poll_s=0.5).values()
    assert liveness.gone_in_s(found, poll_s=0.5) == pytest.approx(12.5 - 4)  # bob is gone already
    assert liveness.gone_in_s([], poll_s=0.5) == float("inf")


def test_how_long_an_agent_has_been_gone_counts_only_what_was_watched() -> None:
    seen = observe([], [heartbeat(next_s=4.0)], NOW_S)
    seen = observe(seen, [], NOW_S + 700, blind_s=600)

    def gone_s(at_s: float) -> float:
        return liveness.standings(seen, at_s, poll_s=1.0, watched=True)["bob"].gone_s

    assert gone_s(NOW_S + 600) == 0
    assert gone_s(NOW_S + 700) == pytest.approx(100 - 3 * 4 - 1)
    old = observe([], [heartbeat(next_s=4.0)], NOW_S + 86_400)
    found = liveness.standings(old, NOW_S + 86_405, poll_s=1.0)["bob"]
    assert found.state == GONE and found.gone_s == 5


def test_an_agent_that_said_goodbye_is_gone_since_that_was_seen() -> None:
    seen = observe([], [heartbeat(state="goodbye")], NOW_S)
    found = liveness.standings(seen, NOW_S + 7, poll_s=1.0)["bob"]
    assert (found.state, found.gone_s, found.at) == (GOODBYE, 7, heartbeat().timestamp)
