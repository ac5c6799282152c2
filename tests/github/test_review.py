"""ReviewJob: the API says what there is, trial merges say what conflicts, and the user's clone is left as it was."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitcoord.code.fetched import Source
from gitcoord.core.errors import Refused
from gitcoord.features.reviews.state import Pull, Vote
from gitcoord.features.settings import Settings
from gitcoord.github import pull_conflicts, review
from gitcoord.github.api.client import Client
from gitcoord.github.fleet_context import FleetContext
from gitcoord.github.review import ReviewResult
from tests.code.kinds import Builder
from tests.github.fake import FakeGitHub, changed
from tests.github.test_posting import during

PATCH = "@@ -1,3 +1,3 @@\n-line 1\n+line one\n line 2\n line 3"


class Forge:
    """A remote with branches of pull requests, and a clone of it that has fetched none of them."""

    def __init__(self, folder: Path) -> None:
        (folder / "upstream").mkdir(parents=True)
        self.work = Builder(folder / "upstream")
        self.work.write("a.txt", "".join(f"line {n}\n" for n in range(1, 31)))
        self.work.write("b.txt", "else\n")
        self.work.commit("first")
        self.first = self.work.git("rev-parse", "HEAD").strip()
        self.remote, self.clone = folder / "remote.git", folder / "clone"
        subprocess.run(["git", "clone", "--quiet", "--bare", str(self.work.folder), str(self.remote)], check=True)
        subprocess.run(["git", "clone", "--quiet", str(self.remote), str(self.clone)], check=True)

    def pull(
        self, fake: FakeGitHub, number: int, old: str, new: str, *, path: str = "a.txt", ref: str = "topic", **more: Any
    ) -> str:
        """A pull request from the first commit on, that changes some words; its head."""
        self.work.git("checkout", "--quiet", "--detach", self.first)
        self.work.edit(path, old, new)
        self.work.commit(f"change {number}")
        head = self.work.git("rev-parse", "HEAD").strip()
        self.work.git("push", "--quiet", "--force", str(self.remote), f"{head}:refs/pull/{number}/head")
        fake.pull(number, files=[changed(path, PATCH)], head=head, base=self.first, head_ref=ref, **more)
        return head

    def merged(self, old: str, new: str) -> None:
        """The base moves on."""
        self.work.git("checkout", "--quiet", "main")
        self.work.edit("a.txt", old, new)
        self.work.commit("main moves on")
        self.work.git("push", "--quiet", str(self.remote), "main")

    @property
    def source(self) -> Source:
        return Source(str(self.remote), self.clone)

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.clone.rglob("*") if path.is_file()}


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path)


def fleet(**more: Any) -> FleetContext:
    settings = Settings.model_validate({"review_quorum": 0} | more.pop("settings", {}))
    return FleetContext(settings, ("alice", "bob"), **more)


def reviewed(client: Client, forge: Forge, number: int = 3, **more: Any) -> ReviewResult:
    more = {"source": forge.source, "repo": ""} | more
    return review.reviewed(client, number, more.pop("fleet", fleet()), **more)


def texts(one: ReviewResult) -> list[str]:
    return [finding.text for finding in one.judgement.findings]


def test_conflicts_with_the_base_and_with_others_are_found_without_a_checkout(
    fake: FakeGitHub, client: Client, forge: Forge
) -> None:
    forge.pull(fake, 3, "line 1\n", "line one\n")
    forge.pull(fake, 4, "line 1\n", "line uno\n", ref="bob/uno")
    forge.pull(fake, 5, "else", "other", path="b.txt")
    before = forge.files()
    one = reviewed(client, forge)
    assert texts(one) == ["conflicts with `#4` (bob) (content)"]
    assert (one.judgement.verdict, one.judgement.findings[0].first) == ("comment", 1)
    forge.merged("line 1\n", "line eins\n")
    two = reviewed(client, forge)
    assert texts(two) == ["conflicts with main (content)", "conflicts with `#4` (bob) (content)"]
    assert two.judgement.verdict == "request_changes"
    assert forge.files() == before
    assert reviewed(client, forge, 5).judgement.verdict == "approve"


@pytest.mark.parametrize("how", ["shallow", "none"])
def test_a_clone_without_the_histories_does_too(
    fake: FakeGitHub, client: Client, forge: Forge, tmp_path: Path, how: str
) -> None:
    forge.pull(fake, 3, "line 1\n", "line one\n")
    forge.merged("line 1\n", "line eins\n")
    clone = None
    if how == "shallow":
        clone = tmp_path / "shallow"
        subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{forge.remote}", str(clone)], check=True)
    assert texts(reviewed(client, forge, source=Source(f"file://{forge.remote}", clone))) == [
        "conflicts with main (content)"
    ]


def test_where_git_cannot_the_patches_are_compared_and_that_is_said(
    fake: FakeGitHub, client: Client, forge: Forge
) -> None:
    for number in (3, 4):
        forge.pull(fake, number, "line 1\n", f"line {number}{number}\n")
    fake.pull(5, files=[changed("a.txt", "@@ -90 +90 @@\n+z"), changed("b.png")])
    fake.repos["o/r"].pulls[3]["mergeable"] = False
    for source in (None, Source(str(forge.remote / "gone"), forge.clone)):
        one = reviewed(client, forge, source=source)
        assert texts(one)[0] == "conflicts with main" and one.judgement.verdict == "request_changes"
        assert texts(one)[1].startswith("was not merged on trial, its patches were compared: ")
        assert texts(one)[2:] == ["changes the same lines as `#4` (content)"]


def test_a_commit_that_is_gone_is_said_to_be(fake: FakeGitHub, client: Client, forge: Forge) -> None:
    forge.pull(fake, 3, "line 1\n", "line one\n")
    fake.pull(4, files=[changed("a.txt", PATCH)], head="d" * 40, base=forge.first)
    assert texts(reviewed(client, forge)) == ["could not be merged on trial with `#4`: the commits are gone"]


@pytest.mark.parametrize(("fork", "author"), [("stranger/r", "stranger"), (None, "ghost")])
def test_one_from_a_fork_and_one_whose_branch_was_deleted_are_reviewed_like_any(
    fake: FakeGitHub, client: Client, forge: Forge, fork: str | None, author: str
) -> None:
    forge.pull(fake, 3, "line 1\n", "line one\n", fork=fork, author=author)
    assert reviewed(client, forge).judgement.verdict == "approve"


def test_a_force_push_in_mid_review_is_looked_at_again(
    fake: FakeGitHub, client: Client, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.pull(fake, 3, "line 1\n", "line one\n")
    pushed: list[str] = []

    def push() -> None:
        if not pushed:
            pushed.append(forge.pull(fake, 3, "line 2\n", "line two\n"))

    during(fake, monkeypatch, "GET /repos/o/r/pulls/3/files", push)
    one = reviewed(client, forge)
    assert one.posted is not None and one.posted.stale is None
    assert [found.commit for found in client.reviews(3)] == pushed == [one.pull_input.pull.head]


def test_who_pushes_without_end_is_left_to_the_next_run(
    fake: FakeGitHub, client: Client, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.pull(fake, 3, "line 1\n", "line one\n")
    during(
        fake,
        monkeypatch,
        "GET /repos/o/r/pulls/3/files",
        lambda: None if not forge.pull(fake, 3, "line 2\n", f"line {len(fake.log)}\n") else None,
    )
    one = reviewed(client, forge)
    stale = one.stale("")
    assert client.reviews(3) == [] and one.event("") is None and stale is not None
    assert stale.head == fake.repos["o/r"].pulls[3]["head"]["sha"] != stale.commit


def test_a_dry_run_writes_nothing(fake: FakeGitHub, client: Client, forge: Forge) -> None:
    forge.pull(fake, 3, "line 1\n", "line one\n")
    assert reviewed(client, forge, dry_run=True).posted is None and fake.writes() == []


def test_votes_and_what_others_do_count(fake: FakeGitHub, client: Client, forge: Forge) -> None:
    head = forge.pull(fake, 3, "line 1\n", "line one\n", ref="carol/topic")
    votes = {agent: Vote(agent, "approve", "", head, "") for agent in ("bob", "carol")}
    known = fleet(pulls={"#3": Pull("1", "", 3, "dave", votes)}, settings={"review_quorum": 2})
    assert reviewed(client, forge, fleet=known).pull_input.vote_count.approve == 2  # the branch's name says nothing
    known = dataclasses.replace(known, logins={"alice": frozenset({"bob"})})
    one = reviewed(client, forge, fleet=known)
    assert (
        one.pull_input.vote_count.approve == 1 and one.judgement.verdict == "comment"
    )  # bob's is his own: he is alice there


def test_a_namesake_of_the_author_does_not_approve_but_may_reject(
    fake: FakeGitHub, client: Client, forge: Forge
) -> None:
    head = forge.pull(fake, 3, "line 1\n", "line one\n")
    for verdict, count in (("approve", 0), ("reject", 1)):
        known = fleet(pulls={"#3": Pull("1", "", 3, "dave", {"alice": Vote("alice", verdict, "", head, "")})})
        found = reviewed(client, forge, fleet=known).pull_input.vote_count
        assert found.approve + found.reject == count


def test_three_thousand_files_are_looked_at_and_more_are_said_to_be_there(
    fake: FakeGitHub, client: Client, forge: Forge
) -> None:
    forge.pull(fake, 3, "line 1\n", "line one\n")
    fake.repos["o/r"].files[3] = [changed(f"f{n}.py", PATCH) for n in range(3100)]
    assert texts(reviewed(client, forge)) == ["changes more files than GitHub lists: only 3000 were reviewed"]


def test_one_that_is_closed_or_not_there_is_refused(fake: FakeGitHub, client: Client, forge: Forge) -> None:
    fake.pull(3, state="closed")
    with pytest.raises(Refused, match="is closed"):
        reviewed(client, forge)
    with pytest.raises(Refused, match="has no pull request #9"):
        reviewed(client, forge, 9)


def test_rivals_of_another_base_are_none(fake: FakeGitHub, client: Client, forge: Forge) -> None:
    forge.pull(fake, 3, "line 1\n", "line one\n")
    forge.pull(fake, 4, "line 1\n", "line uno\n", base_ref="next")
    found = pull_conflicts.of(client, client.pull(3), (), client.open_pulls(), source=forge.source, agents=())
    assert found == pull_conflicts.PullConflicts(())
