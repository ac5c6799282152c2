"""The leader reviews inside a whole run: a real process, git behind HTTP, and an API that counts what it is asked."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.code.kinds import LINES, Builder
from tests.github.fake import FakeGitHub, changed
from tests.http_remote import HttpRemote
from tests.system.fleet import Agent, Fleet
from tests.waiting import wait_until

# The leader as it is started by hand, but that it looks each second, and does not rest a second between two writes.
LEAD = """
import sys
from gitcoord.github import review_job
from gitcoord.github.api import client
review_job.EVERY_S, client.BETWEEN_WRITES_S = 1.0, None
from gitcoord.cli.main import main
sys.exit(main(["agent", "run", "--json-logs"]))
"""
pytestmark = pytest.mark.timeout(300)  # a dozen processes, on machines with other work
PATCH = "@@ -1,3 +1,3 @@\n-line 1\n+line one\n line 2\n line 3"


class Forge:
    """o/r as git has it and as the API tells it; `alice` has a clone there and may lead, `bob` looks and votes."""

    def __init__(self, fleet: Fleet, git: HttpRemote, api: FakeGitHub) -> None:
        self.git, self.api = git, api
        self.environment = {
            "GITHUB_SERVER_URL": git.url("").rstrip("/"),
            "GITHUB_API_URL": api.url,
            "GITCOORD_TOKEN": api.token,
        }
        (fleet.folder / "upstream").mkdir()
        self.work = Builder(fleet.folder / "upstream")
        self.work.write("a.txt", LINES)
        self.work.commit("first")
        self.first = self.push("refs/heads/main")
        self.alice, self.bob = (
            fleet.clone(name, "--profile", "local", **self.environment) for name in ("alice", "bob")
        )
        for name, value in (("github_review", "true"), ("review_quorum", "0")):
            self.alice.run("config", "set", name, value, environment=self.environment)
        self.as_bob("sync")

    def as_bob(self, *words: str) -> str:
        return self.bob.run(*words, environment=self.environment).stdout

    def push(self, ref: str) -> str:
        url = self.git.url("o/r.git", password=self.api.token)
        self.work.git("push", "--quiet", "--force", url, f"HEAD:{ref}")
        return self.work.git("rev-parse", "HEAD").strip()

    def pull(self, number: int, line: int, new: str) -> str:
        """A pull request, or what is pushed to it by force; its head."""
        self.work.git("checkout", "--quiet", "--detach", self.first)
        self.work.edit("a.txt", f"line {line}\n", f"{new}\n")
        self.work.commit(new)
        head = self.push(f"refs/pull/{number}/head")
        self.api.pull(number, files=[changed("a.txt", PATCH)], head=head, base=self.first, head_ref=f"topic-{number}")
        return head

    def lead(self) -> Agent:
        return self.alice.launch("-c", LEAD, **self.environment)

    def reviews(self, number: int) -> list[tuple[str, str]]:
        """The commit and the state of each that stands."""
        return [
            (one["commit_id"], one["state"])
            for one in self.api.repos["o/r"].reviews.get(number, [])
            if one["state"] != "DISMISSED"
        ]

    def recorded(self) -> list[tuple[Any, ...]]:
        items = json.loads(self.as_bob("review", "list", "--json"))["items"]
        return [(one["pr"], one["commit"], one["verdict"], one["by"]) for one in items]

    def count(self, type_: str) -> int:
        return len(self.as_bob("events", "--type", type_, "--json").splitlines())


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    with HttpRemote(tmp_path / "server") as git, FakeGitHub() as api:
        git.token = api.token
        git.make("o/r.git")
        api.server = git.url("").rstrip("/")
        with Fleet(tmp_path / "fleet", git.url("o/r.git")) as fleet:
            yield Forge(fleet, git, api)


def test_what_is_new_or_changed_is_reviewed_and_told_once(forge: Forge) -> None:
    head = forge.pull(3, 1, "line one")
    leader = forge.lead()
    leader.wait_for("review", f"#3 at {head[:12]}: approve")
    assert forge.reviews(3) == [(head, "APPROVED")]
    [status] = forge.api.repos["o/r"].statuses[head]
    assert (status["context"], status["state"]) == ("gitcoord/review", "success")
    wait_until(lambda: forge.recorded() == [(3, head, "approve", "alice")], what="it in the ledger")

    looks = len(forge.api.requests())
    wait_until(lambda: len(forge.api.requests()) > looks + 2, what="the leader to look again")
    assert len(forge.reviews(3)) == 1 and forge.count("review_posted") == 1

    forge.as_bob("review", "vote", "3", "reject", "--why", "no tests")
    leader.wait_for("review", f"#3 at {head[:12]}: request changes")
    assert forge.reviews(3) == [(head, "CHANGES_REQUESTED")]

    pushed = forge.pull(3, 1, "line uno")
    leader.wait_for("review", f"#3 at {pushed[:12]}: approve")
    assert forge.reviews(3)[-1] == (pushed, "APPROVED")
    wait_until(lambda: forge.recorded() == [(3, pushed, "approve", "alice")], what="the new one")
    assert forge.count("review_posted") == 3
    assert leader.terminate() == 0 and not leader.complaint()


def test_what_github_still_grants_is_left_to_people_and_told_to_the_fleet(forge: Forge) -> None:
    forge.api.left, forge.api.reset_at = 40, int(time.time()) + 3600
    forge.pull(3, 1, "line one")
    leader = forge.lead()

    def heartbeats() -> str:
        refs = forge.git.git("for-each-ref", "--format=%(refname)", "refs/gitcoord/nodes", name="o/r.git").split()
        return "".join(forge.git.git("show", f"{ref}:heartbeats.log", name="o/r.git") for ref in refs)

    wait_until(lambda: '"account":"robot"' in heartbeats(), what="a heartbeat that tells what is left")
    asked = forge.api.requests()
    looks = len(forge.git.requests())
    wait_until(lambda: len(forge.git.requests()) > looks + 20, what="some rounds of the leader")
    assert forge.api.requests() == asked and forge.api.writes() == [], "it went on"
    assert leader.terminate() == 0
    forge.api.left = 4000
    successor = forge.lead()
    successor.wait_for("review", "#3 at ")
    assert len(forge.reviews(3)) == 1 and successor.terminate() == 0
