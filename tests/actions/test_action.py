"""The action: each of its steps, run as a runner runs them, with a git remote behind HTTP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.actions.conftest import KEY, TOP, GitHub
from tests.actions.runner import Runner, Step
from tests.code.kinds import Builder

pytestmark = pytest.mark.timeout(240)  # installs the package, and starts a dozen processes
ACTION = yaml.safe_load((TOP / "action.yml").read_text(encoding="utf-8"))


class Job:
    """A job of a workflow that uses the action; each `use` begins on a machine that is empty but for the package."""

    def __init__(self, folder: Path, checkout: Path, github: GitHub, python: str) -> None:
        self.folder, self.checkout, self.github, self.python = folder, checkout, github, python
        self.environment: dict[str, str] = {}

    def use(self, *arguments: str, **inputs: str) -> tuple[Runner, dict[str, str], list[Step]]:
        shutil.rmtree(self.folder / "temp" / "gitcoord-fleet", ignore_errors=True)
        environment = self.github.environment | {"GITHUB_ACTION_PATH": str(self.checkout)} | self.environment
        runner = Runner(self.folder, {"github": self.github.context}, self.python, environment)
        defaults = {name: runner.fill(one["default"]) for name, one in ACTION["inputs"].items() if "default" in one}
        given = {"arguments": "\n".join([*arguments, ""]), "agent": "ci", "key": KEY}
        runner.contexts["inputs"] = defaults | given | inputs
        steps = runner.run(ACTION["runs"]["steps"])
        return runner, {name: runner.fill(one["value"]) for name, one in ACTION["outputs"].items()}, steps


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, checkout: Path, github: GitHub, python: str) -> Job:
    return Job(tmp_path_factory.mktemp("job"), checkout, github, python)


def test_a_command_is_run_as_a_member_and_its_answer_is_an_output(job: Job) -> None:
    text = 'It is "red"; $(touch pwned) `touch pwned` ${{ github.token }}'
    runner, outputs, steps = job.use("append", "note", text, "--wait", "sequenced")
    assert [step.code for step in steps] == [0, 0, 0], [step.log for step in steps]
    assert (outputs["exit-code"], outputs["position"], outputs["leader"]) == ("0", "2", "")
    assert "SEQUENCED at position 2" in outputs["answer"]
    assert "#### ci" in steps[-1].summary and "touch pwned" in steps[-1].summary and "<pre>" in steps[-1].summary
    assert not list(job.folder.rglob("pwned"))

    runner, outputs, _ = job.use("events", "--type", "note", "--json")
    [event] = [json.loads(line) for line in outputs["answer"].splitlines()]
    assert event["event"]["content"] == text and event["event"]["node"].startswith("github-actions-")
    assert (runner.temp / "gitcoord" / "lib").is_dir(), "installed anywhere else"


def test_what_agents_write_is_no_command_to_the_runner(
    tmp_path: Path, checkout: Path, github: GitHub, python: str
) -> None:
    program = tmp_path / "temp" / "gitcoord" / "bin" / "gitcoord"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho '::error file=a.py,line=1::forged'\n")
    program.chmod(0o755)
    _, outputs, steps = Job(tmp_path, checkout, github, python).use("events")
    assert "::forged" in outputs["answer"] and "::forged" in steps[1].log
    assert steps[1].said("error") == []


def test_it_joins_no_other_fleet_than_the_one_that_it_is_told_to_trust(job: Job) -> None:
    _, outputs, _ = job.use("status", "--json")
    known = json.loads(outputs["answer"])
    for trust in (known["trust"], known["trust_digest"]):
        runner, _, _ = job.use("status", trust=trust)
        assert not runner.failed
    for trust in ("SHA256:" + "A" * 43, "1:" + "A" * 43):
        runner, outputs, steps = job.use("status", trust=trust)
        assert runner.failed and outputs["answer"] == "" and "GITCOORD_TRUST" in steps[1].log


def test_the_commands_exit_code_is_the_steps_and_the_report_comes_all_the_same(job: Job) -> None:
    runner, outputs, steps = job.use("task", "claim", "nosuchtask")
    assert runner.failed and steps[1].code == 2 and outputs["exit-code"] == "2"
    assert steps[-1].name == "Report" and "position" in steps[-1].outputs


def test_conflicts_in_a_clone_of_the_jobs_are_told_beside_their_lines(job: Job, tmp_path: Path, github: GitHub) -> None:
    """`directory` names what a step before checked out; nothing in it is changed but what joining a fleet writes."""
    clone = job.folder / "workspace" / "code"
    clone.mkdir(parents=True)
    work = Builder(clone)
    work.write("a.py", "one\ntwo\nthree\n")
    work.commit("first")
    for branch, word in (("alice/uno", "uno"), ("bob/eins", "eins")):
        work.git("checkout", "--quiet", "-B", branch, "main")
        work.edit("a.py", "one", word)
        work.commit(word)
    work.git("checkout", "--quiet", "main")
    before = work.git("for-each-ref"), work.git("status", "--porcelain")
    _, outputs, steps = job.use("conflict", "check", "--json", directory="code")
    assert [step.code for step in steps] == [0, 0, 0], [step.log for step in steps]
    [found] = json.loads(outputs["answer"])["conflicts"]
    assert {found[side]["name"] for side in "ab"} == {"alice/uno", "bob/eins"}
    [(level, where, text)] = [one for one in steps[-1].commands if one[1].get("file")]
    assert (level, where["file"], where["line"]) == ("warning", "a.py", "1")
    assert "alice/uno and bob/eins conflict here" in text
    assert (work.git("for-each-ref"), work.git("status", "--porcelain")) == before


def test_without_a_key_nothing_is_begun(job: Job) -> None:
    before = len(job.github.git.requests())
    runner, outputs, steps = job.use("status", key="")
    assert runner.failed and [step.code for step in steps] == [0, 5]
    [text] = steps[1].said("error")
    assert "openssl rand -hex 32" in text and len(job.github.git.requests()) == before


def test_a_wrong_token_is_named_and_never_printed(job: Job) -> None:
    runner, outputs, steps = job.use("status", token="another-token")
    assert outputs["exit-code"] == "5" and runner.failed
    assert not any("another-token" in step.log for step in steps)


def test_no_expression_is_put_into_a_script() -> None:
    assert [step for step in ACTION["runs"]["steps"] if "${{" in step.get("run", "")] == []
