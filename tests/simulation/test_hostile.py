"""A hostile member in the simulator: honest machines go on beside it, and it gains nothing."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from gitcoord.cli.simulate import command
from gitcoord.core import settling
from gitcoord.simulation import faults, story
from gitcoord.simulation.schedule import Options, run

ALONE = Options(nodes=3, seconds=700, only=frozenset({"hostile"}))
BESIDE = Options(nodes=3, seconds=700, hostile=True)


@pytest.mark.parametrize("seed", range(4))
def test_honest_machines_go_on_beside_a_hostile_member(seed: int) -> None:
    result = run(seed, ALONE)
    assert result.violation == ""
    assert result.events and result.elections and result.pushes


@pytest.mark.parametrize("seed", range(4))
def test_honest_machines_go_on_beside_a_hostile_member_in_bad_weather(seed: int) -> None:
    result = run(seed, BESIDE)
    assert result.violation == "" and "hostile" in result.classes
    assert set(result.classes) <= faults.BESIDE_HOSTILE


def test_a_hostile_member_does_all_that_it_can() -> None:
    told = "\n".join(line for seed in range(4) for line in run(seed, ALONE, keep_trace=True).trace)
    done = set(re.findall(r"the hostile +([a-z' -]+)$", told, re.MULTILINE))
    assert done >= {"says anything", "floods", "claims leadership", "front-runs", "overwrites outboxes",
                    "makes stray refs", "respells lines", "forges a checkpoint", "replays lines",
                    "joins others' chains", "rearranges files"}
    for found in ("outbox_defaced", "bad_line", "odd_refs"):
        assert found in told, f"and honest machines tell {found}"


def test_some_schedules_of_all_have_a_hostile_member_and_none_of_those_a_liar() -> None:
    drawn = [faults.draw(seed).on for seed in range(400)]
    hostile = [on for on in drawn if "hostile" in on]
    assert 20 < len(hostile) < 200
    assert all(on <= faults.BESIDE_HOSTILE for on in hostile)


def test_the_command_invites_one_and_a_failing_seed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "--schedules 2 --seed 4 --seconds 300 --nodes 3 --processes 1 --hostile".split()
    assert CliRunner().invoke(command, words).exit_code == 0
    monkeypatch.setattr(settling, "is_of_a_copy", lambda *_: True)
    result = run(1, BESIDE)
    assert "takes itself for a copy" in result.violation
    assert story.command(1, BESIDE).endswith("--hostile")
