"""Independent linters have nothing to say about the action and the workflows, and nothing is hidden from them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitcoord.github import workflows
from tests.actions.conftest import TOP

BIN = Path(sys.executable).parent
OURS = [TOP / "action.yml", *sorted((TOP / ".github" / "workflows").glob("*.yml"))]


@pytest.fixture
def written(tmp_path: Path) -> list[Path]:
    """What a user gets."""
    (tmp_path / ".git").mkdir()
    return [tmp_path / name for name in workflows.write(tmp_path, "git+https://github.com/OWNER/REPO@v1")]


def run(program: str, *arguments: str | Path) -> None:
    done = subprocess.run([BIN / program, *arguments], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint(written: list[Path]) -> None:
    run("actionlint", "-no-color", *OURS[1:], *written)


@pytest.mark.parametrize(
    "given, right",
    [({"arguments": "status", "agent": "ci", "key": "00"}, True), ({"arguments": "status", "argument": "x"}, False)],
)
def test_actionlint_reads_the_action_where_a_workflow_uses_it(
    tmp_path: Path, given: dict[str, str], right: bool
) -> None:
    (tmp_path / ".git").mkdir()
    shutil.copy(TOP / "action.yml", tmp_path)
    file = tmp_path / workflows.FOLDER / "uses.yml"
    file.parent.mkdir(parents=True)
    steps = [{"uses": "./", "with": given, "id": "it"}, {"run": "echo ${{ steps.it.outputs.exit-code }}"}]
    jobs = {"one": {"runs-on": "ubuntu-24.04", "steps": steps}}
    file.write_text(json.dumps({"on": "push", "jobs": jobs}), encoding="utf-8")
    done = subprocess.run([BIN / "actionlint", "-no-color", file], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode == 0) == right, done.stdout
    assert right or 'input "argument" is not defined' in done.stdout and 'missing input "agent"' in done.stdout


def test_zizmor(written: list[Path]) -> None:
    run("zizmor", "--offline", "--no-progress", "--strict-collection", "--persona", "pedantic", *OURS, *written)


def test_nothing_is_hidden_from_them(written: list[Path]) -> None:
    for file in (*OURS, *written):
        text = file.read_text(encoding="utf-8")
        assert "zizmor:" not in text and "shellcheck disable" not in text, file
    assert [one for one in TOP.rglob(".github/*lint*")] + [one for one in TOP.glob("*zizmor*")] == []
