"""`gitcoord review post` and `review vote`: what was said on GitHub stands in the ledger once."""

from __future__ import annotations

import pytest

from gitcoord.github.api import client as clients
from tests.cli.clones import Clone
from tests.github.fake import FakeGitHub, changed, forge

PR = ("review", "post", "--pr", "12", "--repo", "OWNER/REPO")


def test_a_review_is_posted_and_recorded_once_and_votes_change_it(
    alice: Clone, bob: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "BETWEEN_WRITES_S", None)
    with forge() as variables:
        alice(*PR, "--dry-run", **variables)
        assert alice("review", "list", "--json").json()["items"] == []
        first = alice(*PR, "--json", **variables).json()
        assert (first["verdict"], first["posted"], first["commit"]) == ("comment", True, "a" * 40)
        assert alice(*PR, "--json", **variables).json() == first
        bob("review", "vote", "12", "approve", "--repo", "OWNER/REPO", "--commit", "a" * 40)
        alice("sync")
        again = alice(*PR, "--json", **variables).json()
        assert not any("votes" in one["text"] for one in again["findings"])
    [row] = alice("review", "list", "--json").json()["items"]
    assert (row["pull"], row["by"], row["outcome"]) == ("OWNER/REPO#12", "alice", "approved")
    posted = alice("events", "--type", "review_posted", "--json").rows()
    assert len(posted) == 2 and not any("void" in one for one in posted)  # one finding less is news


def test_somebody_who_pushes_all_the_time_has_lost_the_race(alice: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BETWEEN_WRITES_S", None)
    with FakeGitHub() as github:
        github.repo("OWNER/REPO")
        one = github.pull(12, files=[changed("a.py", "@@ -1 +1,2 @@\n x\n+y")], fork="OWNER/REPO", name="OWNER/REPO")
        answered = github.answer

        def answer(method: str, target: str, body: object, authorization: str) -> object:
            if target.startswith("/repos/OWNER/REPO/pulls/12/files"):
                one["head"]["sha"] = f"{len(github.log):040x}"
            return answered(method, target, body, authorization)

        monkeypatch.setattr(github, "answer", answer)
        result = alice(*PR, code=3, GITHUB_API_URL=github.url, GITCOORD_TOKEN=github.token)
    assert "was pushed meanwhile: run the command again" in result.err and github.writes() == []


def test_without_credentials_or_a_repository_it_says_what_to_do(alice: Clone) -> None:
    result = alice(*PR, code=5, GITCOORD_TOKEN="", GITHUB_TOKEN="")
    assert "GITCOORD_TOKEN" in result.err
    result = alice("review", "post", "--pr", "12", code=2, GITCOORD_TOKEN="x")
    assert "name a repository with --repo OWNER/NAME" in result.err
    assert "name a repository with --repo" in alice("conflict", "check", "--prs", code=2, GITCOORD_TOKEN="x").err


def test_an_account_that_posts_what_its_agent_signed_is_confirmed_without_an_admins_word(
    alice: Clone, bob: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "BETWEEN_WRITES_S", None)
    prove = ("agent", "prove", "--repo", "OWNER/REPO")
    assert "run `gitcoord agent set --github LOGIN`" in bob(*prove, code=2).err
    bob("agent", "set", "--github", "octocat")
    told = bob(*prove, "--json").json()
    assert (told["agent"], told["github"], told["repository"]) == ("bob", "octocat", "OWNER/REPO")
    assert bob(*prove).out.strip() == told["line"]
    alice("sync")
    with FakeGitHub() as github:
        repo = github.repo("OWNER/REPO")
        github.pull(12, files=[changed("a.py")], fork="OWNER/REPO", name="OWNER/REPO", author="octocat")["body"] = (
            f"Please review.\n\n{told['line']}\n"
        )
        assert "o/r" in github.repos and repo.comments == {}
        variables = {"GITHUB_API_URL": github.url, "GITCOORD_TOKEN": github.token}
        alice(*PR, **variables)
        alice(*PR, **variables)
    assert alice("agent", "show", "bob", "--json").json()["github"] == "octocat"
    assert len(alice("events", "--type", "github_confirmed", "--json").rows()) == 1
