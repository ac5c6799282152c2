"""The action and the workflows in a workspace that holds a poisoned pull request: none of its files is run or read.

The job around them is careless: its PYTHONPATH, and what pip reads, lie in the workspace.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.actions.conftest import GitHub
from tests.actions.test_action import ACTION, Job
from tests.actions.test_workflows import perform, written
from tests.poison import Poison

pytestmark = pytest.mark.timeout(240)  # installs the package, and starts a dozen processes

__all__ = ["written"]


def careless(workspace: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": f":{workspace}",
        "PYTHONHOME": "",
        "PIP_CONFIG_FILE": str(workspace / "pip.conf"),
        "PIP_CONSTRAINT": f"{workspace}/constraints.txt",
        "PYTHONSTARTUP": str(workspace / "click.py"),
        "PYTHONUSERBASE": str(workspace),
    }


@pytest.fixture
def poison(tmp_path: Path) -> Poison:
    found = Poison(tmp_path / "machine" / "workspace", tmp_path / "ran")
    (found.folder / "constraints.txt").write_text("gitcoord == 99\n")
    return found


def test_the_poison_works(poison: Poison) -> None:
    subprocess.run([sys.executable, "-m", "venv", "x"], cwd=poison.folder, capture_output=True)
    assert poison.ran


@pytest.mark.parametrize("directory", ["", "clone"])
def test_the_action(
    tmp_path: Path, poison: Poison, checkout: Path, github: GitHub, python: str, directory: str
) -> None:
    job = Job(tmp_path / "machine", checkout, github, python)
    job.environment = careless(poison.folder)
    if directory:  # the code of the pull request itself is where it acts
        Poison(poison.folder / directory, poison.mark)
        subprocess.run(["git", "init", "--quiet", str(poison.folder / directory)], check=True)
    for arguments in (("append", "note", "x", "--wait", "sequenced"), ("status",)):
        _, outputs, steps = job.use(*arguments, directory=directory)
        assert [step.code for step in steps] == [0, 0, 0], [step.log for step in steps]
        assert int(outputs["position"]) >= 2
        assert poison.ran == []


def test_each_step_leaves_the_workspace_before_all_else() -> None:
    for step in ACTION["runs"]["steps"]:
        lines = step.get("run", 'cd "$RUNNER_TEMP"\nunset "${!PYTHON@}"').splitlines()
        first = next(n for n, line in enumerate(lines) if any(one in line for one in ("gitcoord/bin", "INTERP", "cd")))
        assert lines[first : first + 2] == ['cd "$RUNNER_TEMP"', 'unset "${!PYTHON@}"'], step["name"]


@pytest.mark.parametrize(
    "name, event",
    [
        ("gitcoord-leader.yml", {}),
        ("gitcoord-review.yml", {"pull_request": {"number": 77, "head": {"repo": {"full_name": "octo/fleet"}}}}),
    ],
)
def test_the_workflows(
    tmp_path: Path, poison: Poison, written: Path, github: GitHub, python: str, name: str, event: dict[str, Any]
) -> None:
    """They check nothing out; somebody may add a step that does."""
    runner, steps = perform(written / name, tmp_path / "machine", github, python, event, careless(poison.folder))
    assert steps[0].code == 0, steps[0].log
    assert "joined" in runner.steps["tick" if "leader" in name else "review"].outputs
    assert poison.ran == []
