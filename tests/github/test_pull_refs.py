"""`gitcoord conflict check --prs`: the API lists the open ones, git fetches their commits and keeps nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.code.kinds import LINES, Builder
from tests.github.fake import FakeGitHub
from tests.github.test_start import Machine
from tests.http_remote import HttpRemote


class Forge:
    """o/r on a git server behind HTTP and its API; alice's clone knows of no pull request, and is in a fleet."""

    def __init__(self, folder: Path, git: HttpRemote, fake: FakeGitHub) -> None:
        self.fake, self.git, self.alice = fake, git, Machine(folder / "alice", git, fake)
        (folder / "upstream").mkdir()
        self.work = Builder(folder / "upstream")
        self.work.write("a.txt", LINES)
        self.work.write("b.txt", LINES)
        self.work.commit("first")
        self.first = self.push("refs/heads/main")
        self.alice.clone()
        self.alice("init", "--agent", "alice")

    def push(self, *refs: str) -> str:
        for ref in refs:
            url = self.git.url("o/r.git", password=self.fake.token)
            self.work.git("push", "--quiet", "--force", url, f"HEAD:{ref}")
        return self.work.git("rev-parse", "HEAD").strip()

    def change(self, path: str, line: int, new: str, *refs: str) -> str:
        """A commit on the first one that says something else in a line, pushed; its id."""
        self.work.git("checkout", "--quiet", "--detach", self.first)
        self.work.edit(path, f"line {line}\n", f"{new}\n")
        self.work.commit(new)
        return self.push(*refs)

    def pull(self, number: int, path: str, line: int, ref: str, **more: Any) -> str:
        """GitHub keeps the head of each under refs/pull, a fork's too; a branch is there only for its own."""
        own = [f"refs/heads/{ref}"] if more.get("fork", "o/r") == "o/r" else []
        head = self.change(path, line, f"as #{number} has it", f"refs/pull/{number}/head", *own)
        self.fake.pull(number, head=head, base=self.first, head_ref=ref, **more)
        return head

    def refs(self) -> str:
        done = subprocess.run(["git", "for-each-ref"], cwd=self.alice.path, check=True, capture_output=True, text=True)
        return done.stdout


@pytest.fixture
def forge(tmp_path: Path, fake: FakeGitHub) -> Iterator[Forge]:
    with HttpRemote(tmp_path / "server", token=fake.token) as server:
        server.make("o/r.git")
        fake.server = server.url("").rstrip("/")
        yield Forge(tmp_path, server, fake)


def test_open_pull_requests_are_merged_on_trial_with_each_other_and_the_base(forge: Forge) -> None:
    heads = {
        1: forge.pull(1, "a.txt", 3, "alice/three"),
        2: forge.pull(2, "a.txt", 3, "bob/three"),
        3: forge.pull(3, "a.txt", 3, "patch-1", fork="stranger/r", author="stranger"),
        4: forge.pull(4, "b.txt", 30, "carol/else"),
        5: forge.pull(5, "b.txt", 9, "carol/nine"),
    }
    forge.pull(6, "a.txt", 3, "dora/next", base_ref="next")  # into another branch
    forge.fake.pull(7, head="d" * 40, base=forge.first)  # its commit is gone
    forge.change("b.txt", 9, "as main has it now", "refs/heads/main")
    before = forge.refs()
    found = forge.alice("conflict", "check", "--prs", "--json").json()
    assert (found["base"], found["refs"]) == ("main", 5)
    pairs = {(one["a"]["name"], one["b"]["name"]): one for one in found["conflicts"]}
    assert set(pairs) == {("#1", "#2"), ("#1", "#3"), ("#2", "#3"), ("#5", "main")}
    one = pairs["#1", "#2"]
    assert (one["a"]["agent"], one["b"]["commit"]) == ("alice", heads[2])
    [path] = one["paths"]
    assert (path["path"], path["kind"]) == ("a.txt", "content")
    assert [hunk["b"] for hunk in path["hunks"]] == [["as #2 has it"]]
    assert found["order"] == [
        {"ref": name, "conflicts": count} for name, count in (("#4", 0), ("#5", 0), ("#1", 0), ("#2", 1), ("#3", 2))
    ]
    text = forge.alice("conflict", "check", "--prs").out
    assert "merge into main in this order: #4, #5, #1, #2 (1 to settle), #3 (2 to settle)" in text
    assert forge.refs() == before and forge.fake.writes() == []
    held = subprocess.run(["git", "cat-file", "-e", heads[3]], cwd=forge.alice.path, capture_output=True)
    assert held.returncode != 0, "a pull request's commits were left in the clone"


def test_into_another_base_and_none_at_all(forge: Forge) -> None:
    forge.pull(1, "a.txt", 3, "one", base_ref="next")
    assert "no branch 'next'" in forge.alice("conflict", "check", "--prs", "--base", "next", code=2).err
    forge.change("a.txt", 3, "next", "refs/heads/next")
    [one] = forge.alice("conflict", "check", "--prs", "--base", "next", "--json").json()["conflicts"]
    assert (one["a"]["name"], one["b"]["name"]) == ("#1", "next")
    assert "no conflicts: 0 pairs" in forge.alice("conflict", "check", "--prs").out


def test_one_conflict_is_recorded_once_whoever_finds_it(forge: Forge) -> None:
    """As a branch that was fetched, as a pull request, and as the leader sees it on the remote."""
    forge.alice("config", "set", "conflicts_every_s", "60")
    forge.pull(1, "a.txt", 3, "alice/three")
    forge.pull(2, "a.txt", 3, "bob/three")
    assert "alice/three and bob/three conflict in a.txt" in forge.alice("conflict", "check", "--prs", "--record").err
    url = forge.git.url("o/r.git", password=forge.fake.token)
    subprocess.run(
        ["git", "fetch", "--quiet", url, "+refs/heads/*:refs/remotes/origin/*"], cwd=forge.alice.path, check=True
    )
    again = forge.alice("conflict", "check", "--record")
    assert "origin/alice/three (alice) and origin/bob/three" in again.out and again.err == ""
    forge.alice("agent", "run", "--once")
    [known] = forge.alice("conflict", "list", "--json").json()["items"]
    assert known["between"] == "alice/three and bob/three"
    assert len(forge.alice("events", "--type", "conflict_found", "--json").rows()) == 1
    forge.change("a.txt", 15, "elsewhere", "refs/heads/bob/three")
    forge.alice("agent", "run", "--once")
    assert forge.alice("conflict", "list", "--json").json()["items"] == []
