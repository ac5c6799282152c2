"""The workflows that `gitcoord init --github-actions` writes: each step, run as a runner runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitcoord.github import workflows
from tests.actions.conftest import KEY, TOKEN, TOP, GitHub
from tests.actions.runner import Runner, Step
from tests.github.fake import changed

pytestmark = pytest.mark.timeout(240)  # installs the package, and starts a dozen processes


@pytest.fixture
def written(tmp_path: Path, wheel: Path) -> Path:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    workflows.write(tmp_path / "clone", str(wheel))
    return tmp_path / "clone" / workflows.FOLDER


class Machine:
    """Somebody's own: `gitcoord` and `git` are typed in a clone of octo/fleet."""

    def __init__(self, folder: Path, github: GitHub, agent: str) -> None:
        self.folder = folder
        self.environment = (
            os.environ
            | github.environment
            | {"PYTHONPATH": str(TOP), "GITCOORD_AGENT": agent, "GITCOORD_TOKEN": TOKEN, "GITCOORD_REMOTE": github.url}
        )
        self.run("git", "clone", "--quiet", github.git.url("octo/fleet.git", password=TOKEN), str(folder), at=Path("/"))

    def run(self, *words: str, at: Path | None = None) -> str:
        done = subprocess.run(
            words, cwd=at or self.folder, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def gitcoord(self, *words: str) -> str:
        return self.run(sys.executable, "-m", "gitcoord", *words)

    def commit(self, branch: str, **files: str) -> str:
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(text)
        self.run("git", "add", ".")
        self.run("git", "commit", "--quiet", "-m", "change")
        self.run("git", "push", "--quiet", "origin", f"HEAD:{branch}")
        return self.run("git", "rev-parse", "HEAD")


def perform(
    workflow: Path,
    folder: Path,
    github: GitHub,
    python: str,
    event: dict[str, Any] = {},
    environment: Mapping[str, str] = {},
    **contexts: Any,
) -> tuple[Runner, list[Step]]:
    """The workflow's only job, on a fresh machine."""
    text = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    [job] = text["jobs"].values()
    known = {"github": github.context | {"event": event}, "vars": {}, "secrets": {"GITCOORD_KEY": KEY}} | contexts
    runner = Runner(folder, known, python, github.environment | dict(environment))
    if "if" in job and not runner.evaluate(job["if"].removeprefix("${{").removesuffix("}}")):
        return runner, []
    return runner, runner.run(job["steps"], shell=job["defaults"]["run"]["shell"], environment=job["env"])


def test_the_leaders_tick_renders_what_was_written(tmp_path: Path, written: Path, github: GitHub, python: str) -> None:
    bob = Machine(tmp_path / "bob", github, "bob")
    bob.gitcoord("init", "--yes")
    bob.gitcoord("append", "question", "Who leads? ::error::nobody")
    runner, steps = perform(written / "gitcoord-leader.yml", tmp_path / "machine", github, python)
    assert [step.code for step in steps] == [0, 0, 0], [step.log for step in steps]
    report = runner.steps["report"]
    assert "Who leads?" in report.summary and "github-actions" in report.summary
    assert report.outputs == {"position": report.outputs["position"], "leader": "", "attention": "0"}
    assert int(report.outputs["position"]) >= 4  # bob, his question, the agent, its election
    assert [step.commands for step in steps if step.said("error") or step.said("warning")] == []
    assert "Who leads?" in github.git.git("show", "gitcoord/ledger:communication.md", name="octo/fleet.git")
    assert not any(secret in step.log for step in steps for secret in (TOKEN, KEY))


def test_the_leaders_tick_reviews_where_the_fleet_wants_it(
    tmp_path: Path, written: Path, github: GitHub, python: str
) -> None:
    """A pull request from a fork too, which a workflow of its own could not: nothing of it is checked out."""
    carol = Machine(tmp_path / "carol", github, "carol")
    fleet = carol.run("git", "ls-remote", "origin", "refs/heads/gitcoord/*", "refs/gitcoord/*").split()[1::2]
    if fleet:  # another test's: only an admin sets what follows, and carol is one of a fleet that she founds
        carol.run("git", "push", "--quiet", "origin", "--delete", *fleet)
    carol.gitcoord("init", "--yes")
    for name, value in (("github_review", "true"), ("review_quorum", "0"), ("conflicts_every_s", "60")):
        carol.gitcoord("config", "set", name, value)
    base = carol.commit("main", b="one\n")
    head = carol.commit("refs/pull/9/head", b="uno\n")
    github.api.pull(
        9,
        files=[changed("b.py", "@@ -1 +1 @@\n-one\n+uno")],
        head=head,
        base=base,
        author="stranger",
        name="octo/fleet",
        fork="stranger/fleet",
    )
    github.api.login = "github-actions[bot]"  # who a workflow's token is
    try:
        for machine in ("first", "second"):  # the next tick has nothing to add
            runner, steps = perform(written / "gitcoord-leader.yml", tmp_path / machine, github, python)
            assert [step.code for step in steps] == [0, 0, 0], [step.log for step in steps]
            repo = github.api.repos["octo/fleet"]
            assert [one["commit_id"] for one in repo.reviews[9]] == [head]
            assert len(repo.statuses[head]) == 1 and not list((tmp_path / machine / "temp").rglob("b.py"))
        carol.gitcoord("sync")
        rows = json.loads(carol.gitcoord("review", "list", "--json"))["items"]
        assert [(row["pr"], row["commit"], row["by"]) for row in rows if row["pr"] == 9] == [
            (9, head, "github-actions")
        ]
    finally:
        carol.gitcoord("config", "set", "github_review", "false")
        github.api.repos["octo/fleet"].pulls[9]["state"] = "closed"


def test_a_tick_without_its_key_says_what_to_do(tmp_path: Path, written: Path, github: GitHub, python: str) -> None:
    before = len(github.git.requests())
    runner, steps = perform(written / "gitcoord-leader.yml", tmp_path / "machine", github, python, secrets={})
    assert [step.code for step in steps] == [0, 5]
    [text] = runner.steps["tick"].said("error")
    assert "gh secret set GITCOORD_KEY" in text and len(github.git.requests()) == before


def test_a_pull_request_is_reviewed_and_its_conflicts_are_annotated(
    tmp_path: Path, written: Path, github: GitHub, python: str
) -> None:
    bob = Machine(tmp_path / "bob", github, "bob")
    start = bob.commit("main", a="one\ntwo\nthree\n")
    head = bob.commit("refs/pull/7/head", a="one\nTWO\nthree\n")
    bob.run("git", "checkout", "--quiet", "-B", "main", start)
    base = bob.commit("main", a="one\n2\nthree\n")
    patch = "@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three"
    github.api.pull(
        7, files=[changed("a.py", patch)], head=head, base=base, author="bob", name="octo/fleet", fork="octo/fleet"
    )
    event = {"pull_request": {"number": 7, "head": {"repo": {"full_name": "octo/fleet"}}}}
    runner, steps = perform(written / "gitcoord-review.yml", tmp_path / "machine", github, python, event)
    assert [step.code for step in steps] == [0, 0, 0], [step.log for step in steps]
    report = runner.steps["report"]
    assert report.outputs["verdict"] == "request_changes"
    [found] = [where for name, where, _ in report.commands if name == "error"]
    assert (found["file"], found["line"]) == ("a.py", "2")
    repo = github.api.repos["octo/fleet"]
    assert len(repo.reviews[7]) == 1 and repo.statuses[head] and repo.checks[head]
    assert not list((tmp_path / "machine" / "temp").rglob("a.py")), "checked out"


def test_a_pull_request_from_a_fork_is_left_to_the_leader(
    tmp_path: Path, written: Path, github: GitHub, python: str
) -> None:
    event = {"pull_request": {"number": 8, "head": {"repo": {"full_name": "someone/fleet"}}}}
    assert perform(written / "gitcoord-review.yml", tmp_path / "machine", github, python, event)[1] == []


def test_every_step_of_ours_that_installs_takes_the_source_as_data(written: Path) -> None:
    for name in workflows.NAMES:
        text = (written / name).read_text(encoding="utf-8")
        [job] = yaml.safe_load(text)["jobs"].values()
        assert json.dumps(job["env"]["GITCOORD_SOURCE"]) in text
        assert [step for step in job["steps"] if "${{" in step.get("run", "")] == []
