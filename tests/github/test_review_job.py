"""What the leader does on GitHub: it reviews what is new or changed, within its limits, and keeps one issue a kind."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gitcoord.core.commands import Context, NewEvent
from gitcoord.core.fold.account_proof import AccountProof
from gitcoord.github import issue_job, review_job
from gitcoord.github.api import client as clients
from gitcoord.github.api.client import Client
from gitcoord.github.api.credentials import Credentials
from gitcoord.github.api.limits import Meter
from gitcoord.github.api.models import Quota
from gitcoord.github.issue_job import IssueJob
from gitcoord.github.review_job import ReviewJob
from tests.core.lines import NOW, Story, signer_of
from tests.github.fake import FakeGitHub
from tests.github.test_review import Forge, forge  # noqa: F401

NEVER_S = 4e9


class Leader:
    """alice leads, and has the reaction do its turns."""

    def __init__(self, fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        monkeypatch.setattr(clients, "BETWEEN_WRITES_S", None)
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        self.known = Credentials("token", "a token", fake.token)
        self.story = Story().founded().joined("bob")
        self.story.elect("alice", 1)
        self.set(**settings)

    def set(self, **settings: Any) -> None:
        self.story.say("alice", "config_changed", data={"set": settings})

    def ctx(self) -> Context:
        return Context(self.story.fleet, NOW, "alice", "node-alice")

    def turn(self, job: Any, *, may_act: bool = True) -> list[str]:
        """What it wrote down."""
        ctx = self.ctx()
        work = job.prepare(ctx) if job.interval_s(ctx) else None
        written: list[NewEvent] = work(lambda: may_act) if work else []
        for one in written:
            self.story.say("alice", one.type, one.content, data=dict(one.data), re=one.re, to=one.to, term=1)
        return [one.content for one in written]


@pytest.fixture
def reviewer(fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch, forge: Forge) -> tuple[Leader, ReviewJob]:  # noqa: F811
    leader = Leader(fake, monkeypatch, github_review=True, review_quorum=0)
    for number in (3, 4):
        forge.pull(fake, number, f"line {number * 5}\n", f"line {number}{number}\n")
    return leader, ReviewJob("o/r", leader.known, forge.source, Meter())


def test_what_is_new_is_reviewed_once_and_what_has_changed_again(
    fake: FakeGitHub,
    client: Client,
    reviewer: tuple[Leader, ReviewJob],
    forge: Forge,  # noqa: F811
) -> None:
    leader, job = reviewer
    assert [words.split(": ")[1] for words in leader.turn(job)] == ["approve", "approve"]
    asked = len(fake.log)
    assert leader.turn(job) == [] and len(fake.log) == asked + 1  # the list alone
    head = forge.pull(fake, 3, "line 1\n", "line one\n")
    assert leader.turn(job) == [f"#3 at {head[:12]}: approve"]
    leader.story.say(
        "bob",
        "vote_cast",
        data={"pr": 4, "verdict": "reject", "why": "no", "commit": fake.repos["o/r"].pulls[4]["head"]["sha"]},
    )
    assert [words[:2] for words in leader.turn(job)] == ["#4"]
    assert client.reviews(4)[-1].state == "CHANGES_REQUESTED" and leader.turn(job) == []


def test_a_successor_looks_again_and_changes_nothing(
    fake: FakeGitHub,
    reviewer: tuple[Leader, ReviewJob],
    forge: Forge,  # noqa: F811
) -> None:
    leader, job = reviewer
    leader.turn(job)
    writes = fake.writes()
    assert leader.turn(ReviewJob("o/r", leader.known, forge.source, Meter())) == [] and fake.writes() == writes


def proof_of(leader: Leader, *, signer: str = "bob", login: str = "octocat", repository: str = "o/r") -> str:
    proof = AccountProof(leader.story.fleet.id or "", "bob", login, repository)
    return dataclasses.replace(proof, signature=signer_of(signer).sign(proof.message)).line()


def comment(fake: FakeGitHub, author: str, body: str) -> None:
    repo = fake.repos["o/r"]
    repo.comments.setdefault(3, []).append({**fake.made(repo, "comment", body=body), "user": {"login": author}})
    repo.pulls[3]["updated_at"] = f"2026-11-30T12:00:{len(repo.comments[3]):02d}Z"


def test_an_account_is_confirmed_by_the_agents_line_that_the_account_posts(
    fake: FakeGitHub, reviewer: tuple[Leader, ReviewJob]
) -> None:
    leader, job = reviewer
    comment(fake, "octocat", proof_of(leader))
    leader.turn(job)
    assert ("GET", "/repos/o/r/issues/3/comments") not in fake.requests(), "nobody waits for a proof"
    leader.story.say("bob", "github_claimed", data={"login": "OctoCat"})
    assert "bob is octocat on GitHub, as both confirm" in leader.turn(job)
    bob = leader.story.fleet.members.get("bob")
    assert bob is not None and bob.github == "octocat" and not leader.story.fleet.refusals
    assert leader.turn(job) == []


def test_a_line_that_another_posts_or_signs_or_that_is_for_elsewhere_proves_nothing(
    fake: FakeGitHub, reviewer: tuple[Leader, ReviewJob]
) -> None:
    leader, job = reviewer
    leader.story.say("bob", "github_claimed", data={"login": "octocat"})
    for author, line in (
        ("mallory", proof_of(leader)),
        ("octocat", proof_of(leader, signer="mallory")),
        ("octocat", proof_of(leader, repository="o/other")),
        ("mallory", proof_of(leader, login="mallory")),
    ):
        comment(fake, author, f"> {line}\n\nsee above")
        assert not [words for words in leader.turn(job) if "on GitHub" in words]
    fake.repos["o/r"].pulls[3] |= {
        "user": {"login": "octocat"},
        "body": proof_of(leader),
        "updated_at": "2026-11-30T13:00:00Z",
    }
    assert "bob is octocat on GitHub, as both confirm" in leader.turn(job), "its author says so in its text"


def test_not_wanted_not_allowed_or_no_requests_left_is_no_review(
    fake: FakeGitHub, reviewer: tuple[Leader, ReviewJob]
) -> None:
    leader, job = reviewer
    assert leader.turn(job, may_act=False) == [] and fake.writes() == []
    job.meter.quota = Quota(5000, 10, NEVER_S)
    assert leader.turn(job) == []
    job.meter.quota = None
    leader.set(github_review=False)
    assert leader.turn(job) == [] and fake.writes() == []


def test_many_are_reviewed_a_few_at_a_time(reviewer: tuple[Leader, ReviewJob], monkeypatch: pytest.MonkeyPatch) -> None:
    leader, job = reviewer
    monkeypatch.setattr(review_job, "AT_ONCE_MAX", 1)
    assert [len(leader.turn(job)) for _ in range(3)] == [1, 1, 0]


def test_an_error_is_put_into_one_issue_and_the_next_one_beside_it(
    fake: FakeGitHub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(fake, monkeypatch, github_issues=["error"])
    job = IssueJob("o/r", leader.known, Meter())
    assert leader.turn(job) == []
    for text in ("the disk is full", "the disk is full again"):
        leader.story.say("bob", "error", text)
        assert len(leader.turn(job)) == 1 and leader.turn(job) == []
    [issue] = client.issues(labels=[issue_job.LABEL])
    assert issue.title == "gitcoord: error" and issue.body.count("the disk is full") == 2
    fake.repos["o/r"].issues[issue.number]["state"] = "closed"
    leader.story.say("bob", "error", "something else")
    leader.turn(job)
    [other] = client.issues(labels=[issue_job.LABEL])
    assert other.number != issue.number and "the disk is full" not in other.body


def test_nobody_who_may_not_act_opens_one(fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    leader = Leader(fake, monkeypatch, github_issues=["error"])
    leader.story.say("bob", "error", "the disk is full")
    assert leader.turn(IssueJob("o/r", leader.known, Meter()), may_act=False) == [] and fake.writes() == []
