"""The workflows that `gitcoord init --github-actions` writes: each step, run as a runner runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitcoord.github import workflows
from tests.actions.conftest import TOP
from tests.actions.runner import Runner, Step
from tests.http_remote import HttpRemote

TOKEN = "the-token-of-a-workflow"
KEY = "5a" * 32


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[HttpRemote]:
    with HttpRemote(tmp_path / "server", token=TOKEN) as server:
        server.make("octo/fleet.git")
        yield server


@pytest.fixture
def written(tmp_path: Path, wheel: Path) -> Path:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    workflows.write(tmp_path / "clone", str(wheel))
    return tmp_path / "clone" / workflows.FOLDER


def member(remote: HttpRemote, folder: Path, *words: str) -> str:
    """A command of bob's, on a machine of his own."""
    environment = os.environ | {"PYTHONPATH": str(TOP), "GITCOORD_AGENT": "bob", "GITCOORD_TOKEN": TOKEN,
                                "GITCOORD_REMOTE": remote.url("octo/fleet.git")}
    folder.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, "-m", "gitcoord", *words], cwd=folder, env=environment, check=True,
                          capture_output=True, text=True)
    return done.stdout


def tick(workflow: Path, folder: Path, remote: HttpRemote, python: str, **contexts: Any) -> tuple[Runner, list[Step]]:
    """The workflow's only job, on a fresh machine."""
    text = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    [job] = text["jobs"].values()
    server = remote.url("")[:-1]
    github = {"server_url": server, "repository": "octo/fleet", "token": TOKEN, "event": {}}
    runner = Runner(folder, {"github": github, "vars": {}, "secrets": {"GITCOORD_KEY": KEY}} | contexts, python)
    return runner, runner.run(job["steps"], shell=job["defaults"]["run"]["shell"], environment=job["env"])


def test_the_leaders_tick_renders_what_was_written(
    tmp_path: Path, written: Path, remote: HttpRemote, python: str
) -> None:
    workflow = written / "gitcoord-leader.yml"
    member(remote, tmp_path / "bob", "init", "--yes")
    member(remote, tmp_path / "bob", "append", "question", "Who leads? ::error::nobody", "--no-sync")
    member(remote, tmp_path / "bob", "sync")
    runner, steps = tick(workflow, tmp_path / "machine", remote, python)
    assert [step.code for step in steps] == [0, 0, 0], [step.log for step in steps]
    report = runner.steps["report"]
    assert "Who leads?" in report.summary and "github-actions" in report.summary
    assert report.outputs == {"position": report.outputs["position"], "leader": "", "attention": "0"}
    assert [step.commands for step in steps if step.said("error") or step.said("warning")] == []
    page = remote.git("show", "gitcoord/ledger:communication.md", name="octo/fleet.git")
    assert "Who leads?" in page
    assert TOKEN not in "".join(step.log for step in steps) and KEY not in "".join(step.log for step in steps)


def test_a_tick_without_its_key_says_what_to_do(
    tmp_path: Path, written: Path, remote: HttpRemote, python: str
) -> None:
    runner, steps = tick(written / "gitcoord-leader.yml", tmp_path / "machine", remote, python, secrets={})
    assert [step.code for step in steps] == [0, 5]
    [text] = runner.steps["tick"].said("error")
    assert "gh secret set GITCOORD_KEY" in text and remote.requests() == []


def test_every_step_of_ours_that_installs_takes_the_source_as_data(written: Path) -> None:
    for name in workflows.NAMES:
        text = (written / name).read_text(encoding="utf-8")
        [job] = yaml.safe_load(text)["jobs"].values()
        assert json.dumps(job["env"]["GITCOORD_SOURCE"]) in text
        assert [step for step in job["steps"] if "${{" in step.get("run", "")] == []
