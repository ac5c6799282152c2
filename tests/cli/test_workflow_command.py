"""Workflows on the command line: their examples run, and a wrong file is refused with its line."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from gitcoord.features import FEATURES
from tests.cli.clones import TOP, Clone

COMMANDS = FEATURES["workflows"].COMMANDS


@pytest.fixture
def prepared(alice: Clone, bob: Clone) -> Clone:
    shutil.copytree(TOP / "examples", alice.path / "examples")
    return alice


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_runs(name: str, prepared: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Position 3 is the first after both have joined."""
    monkeypatch.chdir(prepared.path)
    for line in (*COMMANDS[name].before, COMMANDS[name].example):
        prepared(*shlex.split(line)[1:])


def test_a_wrong_file_is_refused_with_its_line_and_nothing_is_written(prepared: Clone, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("name: w\nsteps:\n  a: {title: A, after: b}\n")
    told = prepared("workflow", "start", str(tmp_path / "w.yaml"), code=2)
    assert "line 3: steps.a.after: no step 'b'" in told.err
    assert (
        "no file and no workflow 'nothing': no workflow is defined"
        in prepared("workflow", "start", "nothing", code=2).err
    )
    assert prepared("workflow", "list", "--all", "--json").json()["items"] == []
