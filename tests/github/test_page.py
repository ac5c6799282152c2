"""The page about GitHub: its commands lead from nothing to a reviewed pull request, and its messages are ours."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from gitcoord.github.api import client as clients
from tests.cli.clones import Result
from tests.github.fake import FakeGitHub, changed
from tests.github.test_start import Machine, machine  # noqa: F401

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs" / "github.md").read_text(encoding="utf-8")
FIRST = ("export ", "mkdir ")  # what the test has done already


def lines() -> list[str]:
    found = re.search(r"<!-- test: from nothing to a reviewed pull request -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return [line for line in found[1].replace("OWNER/REPO", "robot/work").splitlines() if not line.startswith(FIRST)]


def test_from_nothing_to_a_reviewed_pull_request(
    machine: Machine,  # noqa: F811
    fake: FakeGitHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "BETWEEN_WRITES_S", None)
    machine.git.make("robot/work.git")
    (tmp_path / "askpass").write_text(f"#!/bin/sh\necho {fake.token}\n")
    (tmp_path / "askpass").chmod(0o755)
    environment = os.environ | {"GIT_ASKPASS": str(tmp_path / "askpass")}

    def shell(line: str) -> str:
        return subprocess.run(
            ["bash", "-ec", line], cwd=machine.path, env=environment, check=True, text=True, capture_output=True
        ).stdout.strip()

    said: dict[str, Result] = {}
    for line in lines():
        if "$(git" in line:
            line = line.replace('"$(git rev-parse two)"', shell("git rev-parse two"))
        words = shlex.split(line, comments=True)
        if words[0] == "gitcoord":
            said[" ".join(words[1:])] = machine(*words[1:])
        elif words[0] == "gh":
            fake.pull(
                1,
                name="robot/work",
                fork="robot/work",
                author=fake.login,
                head_ref="two",
                head=shell("git rev-parse two"),
                base=shell("git rev-parse two~1"),
                files=[changed("a.txt", "@@ -1 +1 @@\n-one\n+two")],
            )
        else:
            shell(line)
    repo, head = fake.repos["robot/work"], shell("git rev-parse two")
    assert "nothing was posted" in said["review post --pr 1 --dry-run"].out
    assert [one["commit_id"] for one in repo.reviews[1]] == [head]
    assert [(one["context"], one["state"]) for one in repo.statuses[head]] == [("gitcoord/review", "success")]
    assert [one["name"] for one in repo.issues[1]["labels"]] == ["gitcoord: approved"]
    assert "#1" in said["review list"].out and "1 for, 0 against" in said["review list"].out


def test_each_message_that_the_page_explains_is_one_of_ours() -> None:
    files = [*(TOP / "gitcoord").rglob("*.py"), *(TOP / "gitcoord").rglob("*.yml")]
    ours = re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text(encoding="utf-8") for file in files))
    table = PAGE.split("| the message has | meaning, remedy |")[1].split("\n\n")[0]
    said = [words for row in table.splitlines()[2:] for words in re.findall("`([^`]+)`", row.split("|")[1])]
    assert len(said) > 12 and [words for words in said if words not in ours] == []
