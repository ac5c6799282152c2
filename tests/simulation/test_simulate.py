"""The simulator itself: a seed is a story that can be told again, and a fleet in bad weather keeps its promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gitcoord.cli.simulate import command
from gitcoord.simulation import disk, faults, many, story
from gitcoord.simulation.schedule import Options, run
from gitcoord.store.home.queue_file import HeadFile

SHORT = Options(seconds=600)


@pytest.mark.parametrize("seed", range(6))
def test_a_fleet_in_bad_weather_keeps_its_promises(seed: int) -> None:
    result = run(seed, Options(seconds=900))
    assert result.violation == ""
    assert result.events and result.pushes


def test_a_fleet_in_good_weather_has_one_leader_for_all_time() -> None:
    result = run(2, Options(only=frozenset()))
    assert (result.violation, result.elections, result.excused) == ("", 1, 0)


def test_real_signatures_change_nothing() -> None:
    seed = 49
    result = run(seed, SHORT, keep_trace=True)
    assert result.violation == ""


def test_a_seed_replays_byte_for_byte_in_another_process() -> None:
    code = (
        "from gitcoord.simulation.schedule import run, Options\n"
        "for seed in (3, 8): print('\\n'.join(run(seed, Options(seconds=500), keep_trace=True).trace))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(told) == 1
    assert "LEDGER" in told.pop()


def test_processes_beside_each_other_find_what_one_finds() -> None:
    seeds = range(40, 44)
    assert list(many.results(seeds, SHORT, processes=2)) == list(many.results(seeds, SHORT, processes=1))


def test_every_class_of_faults_strikes_and_can_be_left_out() -> None:
    for name in faults.FAULTS:
        assert faults.draw(1, only=[name]).on == {name}
        assert faults.draw(1, only=[name]).rate(name) > 0
        assert name not in faults.draw(1, without=[name]).on
    assert len({faults.draw(seed).on for seed in range(50)}) > 30


def test_a_violation_is_told_with_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.SimDisk, "recover", lambda self: _forgetful(self))
    seed = next(seed for seed in range(100) if run(seed, Options(only=frozenset({"crash", "lost"}))).violation)
    options, result = story.shrink(seed, Options(only=frozenset({"crash", "lost"})))
    assert result.classes == ("crash",), "what it does not take is left out"
    told = story.tell(options, result)
    assert result.violation in told and "CRASHES" in told
    assert told.splitlines()[-1].startswith(f"Replay it: gitcoord simulate --seed {seed} --schedules 1 --trace")
    assert run(seed, options).violation == result.violation


def _forgetful(self: disk.SimDisk) -> None:
    """A disk that never synced its queue."""
    self.fuse = None
    if not hasattr(self, "content"):
        self.files.head = HeadFile(self.files.head.node, self.files.head.base)
    self.content = disk.Content(self.files.head.base)
    self.files.log = b""


def test_the_command_tells_people_and_programs() -> None:
    people = CliRunner().invoke(command, ["--schedules", "2", "--seed", "4", "--seconds", "300"])
    assert people.exit_code == 0 and "2 schedules from seed 4" in people.output
    programs = CliRunner().invoke(command, ["--schedules", "2", "--seed", "4", "--seconds", "300", "--json"])
    assert json.loads(programs.output)["failed"] == []
    alone = CliRunner().invoke(command, ["--schedules", "2", "--seed", "4", "--seconds", "300", "--processes", "1"])
    assert alone.output.split(" in ")[0] == people.output.split(" in ")[0]
    traced = CliRunner().invoke(command, ["--schedules", "1", "--seed", "4", "--seconds", "300", "--trace"])
    assert "LEDGER is" in traced.output
    wrong = CliRunner().invoke(command, ["--only", "rain"])
    assert wrong.exit_code != 0


def test_a_failing_seed_is_told_when_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.SimDisk, "recover", lambda self: _forgetful(self))
    words = "--schedules 8 --seed 0 --only crash,lost --processes 1 --json"
    told = CliRunner().invoke(command, words.split())
    assert told.exit_code == 6
    failed = json.loads(told.stdout)["failed"]
    assert [f"seed {one['seed']} failed: {one['violation']}" for one in failed] == told.stderr.splitlines()
