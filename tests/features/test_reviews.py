"""Votes and reviews: who counts, what for, and what a push makes of both."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gitcoord.core.commands import Context
from gitcoord.core.errors import Refused
from gitcoord.features import reviews
from gitcoord.features.reviews import commands, state
from gitcoord.features.reviews.commands import CastVote, ListReviews, OnPull, RequestReview
from gitcoord.features.reviews.events import ReviewPosted, ReviewStale
from gitcoord.features.reviews.state import VoteCount
from tests.core.lines import NOW, Story

OLD, NEW = "a" * 40, "b" * 40


class Fleet:
    def __init__(self, **settings: Any) -> None:
        self.story = Story().founded().joined("bob", "carol")
        self.story.say("alice", "role_changed", data={"agent": "bob", "role": "reviewer"})
        self.story.say("alice", "config_changed", data={"set": settings})

    def ctx(self, actor: str = "alice") -> Context:
        return Context(self.story.fleet, NOW, actor, f"node-{actor}")

    def write(self, actor: str, proposals: Any) -> str | None:
        """Why the last of them had no effect."""
        for one in proposals:
            sequenced = self.story.say(actor, one.type, one.content, data=dict(one.data), re=one.re, to=one.to)
        return self.story.fleet.refusals.get(sequenced.event.uid)

    def vote(self, actor: str, verdict: Any, *, commit: str = OLD, **more: Any) -> str | None:
        more["commit"] = commit
        return self.write(actor, commands.cast(self.ctx(actor), CastVote(pr=12, verdict=verdict, **more)))

    def posted(self, commit: str = OLD, verdict: Any = "comment", url: str = "https://x/1") -> ReviewPosted:
        return ReviewPosted(pr=12, commit=commit, verdict=verdict, url=url)

    @property
    def pull(self) -> state.Pull | None:
        return state.find(self.ctx(), "", 12)

    def count(self, commit: str = OLD, *author: str) -> VoteCount:
        pull = state.find(self.ctx(), "", 12)
        return state.count_votes(pull, commit, self.ctx().state("settings").settings, author=author)


def test_votes_count_by_weight_once_they_are_the_quorum_and_an_agents_last_one_counts() -> None:
    fleet = Fleet(review_quorum=4, review_weights={"Bob": 3})
    assert fleet.count().outcome == "waiting"
    fleet.vote("alice", "reject")
    assert (fleet.count().reject, fleet.count().outcome) == (1, "waiting")
    fleet.vote("bob", "approve")
    assert (fleet.count().approve, fleet.count().outcome) == (3, "approved")
    fleet.vote("bob", "reject", why="no tests")
    assert (fleet.count().approve, fleet.count().reject, fleet.count().outcome) == (0, 4, "rejected")
    assert fleet.vote("bob", "reject", why="no tests") == "bob has cast the same vote already"


@pytest.mark.parametrize(
    "quorum, votes, outcome",
    [
        (0, "", "none"),
        (0, "a", "approved"),
        (0, "r", "rejected"),
        (1, "", "waiting"),
        (2, "ar", "rejected"),
        (3, "aar", "approved"),
        (3, "aa", "waiting"),
    ],
)
def test_a_tie_is_no_approval_and_silence_none_either(quorum: int, votes: str, outcome: str) -> None:
    fleet = Fleet(review_quorum=quorum)
    for agent, vote in zip(("alice", "bob", "carol"), votes, strict=False):
        fleet.vote(agent, "approve" if vote == "a" else "reject")
    assert fleet.count().outcome == outcome


def test_nobody_approves_of_what_is_his_own() -> None:
    fleet = Fleet(review_quorum=1)
    fleet.vote("bob", "approve")
    assert fleet.count(OLD, "bob").outcome == "waiting" and fleet.count(OLD, "carol").outcome == "approved"


def test_nobody_elses_event_pins_a_vote_to_a_commit() -> None:
    fleet = Fleet()
    fleet.vote("bob", "approve", commit="")
    assert "does not count" in commands._answer(fleet.ctx("bob"), "")["warning"]
    fleet.write("alice", commands.news(fleet.pull, fleet.posted(OLD)))
    assert fleet.count(OLD).outcome == "waiting" and [vote.agent for vote in fleet.count(OLD).stale] == ["bob"]


def test_a_vote_without_a_commit_is_for_the_one_that_the_remote_shows() -> None:
    fleet = Fleet()
    ctx = dataclasses.replace(fleet.ctx("carol"), head_of=lambda repo, pr: NEW if (repo, pr) == ("", 12) else "")
    [vote] = commands.cast(ctx, CastVote(pr=12, verdict="approve"))
    assert vote.data["commit"] == NEW and f"at {NEW[:12]}" in vote.content


def test_only_the_leader_an_admin_or_a_reviewer_says_what_a_review_found() -> None:
    fleet = Fleet()
    [posted] = commands.news(fleet.pull, fleet.posted(OLD))
    void = fleet.story.say("carol", posted.type, data=dict(posted.data)).void
    assert void == (
        "carol (member) may not write review_posted: only an admin, a reviewer or the leader (by its term) may"
    )
    assert fleet.write("bob", [posted]) is None


def test_a_vote_is_for_one_commit_and_a_push_takes_its_weight_away() -> None:
    fleet = Fleet()
    fleet.vote("bob", "approve")
    fleet.write("alice", commands.news(fleet.pull, fleet.posted(OLD)))
    assert fleet.count(OLD).outcome == "approved"
    assert (fleet.count(NEW).outcome, [vote.agent for vote in fleet.count(NEW).stale]) == ("waiting", ["bob"])
    fleet.vote("carol", "approve", commit="")  # who says nothing of a commit means the one that he can have read of
    assert fleet.count(NEW).approve == 0 and fleet.count(OLD).approve == 2
    fleet.vote("carol", "approve", commit=NEW)
    assert fleet.count(NEW).approve == 1


def test_a_review_is_recorded_once_and_again_when_it_says_something_new() -> None:
    fleet = Fleet()
    assert fleet.write("alice", commands.news(fleet.pull, fleet.posted())) is None
    assert commands.news(fleet.pull, fleet.posted()) == []
    [again] = commands.news(fleet.pull, fleet.posted(verdict="approve"))
    assert again.re == state.find(fleet.ctx(), "", 12).id  # type: ignore[union-attr]
    assert fleet.write("alice", [again]) is None
    assert fleet.write("bob", [again]) == "alice has posted the same review already"  # two leaders of one moment


def test_a_push_in_between_makes_it_stale_until_the_next_review() -> None:
    fleet = Fleet()
    stale = ReviewStale(pr=12, commit=OLD, head=NEW)
    assert fleet.write("alice", [commands.outdated(fleet.pull, stale)]) == "the newest review is not of that commit"
    fleet.write("alice", commands.news(fleet.pull, fleet.posted(OLD)))
    assert fleet.write("alice", [commands.outdated(fleet.pull, stale)]) is None
    assert fleet.write("bob", [commands.outdated(fleet.pull, stale)]) == "this is known already"
    [row] = commands.list_(fleet.ctx(), ListReviews(stale=True))
    assert (row["commit"], row["stale"]) == (OLD, NEW)
    fleet.write("alice", commands.news(fleet.pull, fleet.posted(NEW)))
    assert commands.list_(fleet.ctx(), ListReviews(stale=True)) == []
    assert len(commands.list_(fleet.ctx(), ListReviews())) == 1


def test_who_wants_a_review_is_heard_until_there_is_one_and_asks_others_for_their_votes() -> None:
    fleet = Fleet()
    [wish] = commands.request(fleet.ctx("bob"), RequestReview(pr=12, to=["Carol", "alice"], why="the parser"))
    assert wish.to == ("carol", "alice")
    fleet.write("bob", [wish])
    assert commands.list_(fleet.ctx(), ListReviews(stale=True))[0]["requested"] == NOW
    fleet.write("alice", commands.news(fleet.pull, fleet.posted()))
    assert commands.list_(fleet.ctx(), ListReviews(stale=True)) == []
    with pytest.raises(Refused, match="no agent 'dora'"):
        commands.request(fleet.ctx(), RequestReview(pr=12, to=["dora"]))


def test_repositories_are_told_apart() -> None:
    fleet = Fleet()
    fleet.write("bob", commands.cast(fleet.ctx("bob"), CastVote(pr=12, repo="Other/Name", verdict="reject")))
    assert fleet.count().votes == ()
    assert commands.show(fleet.ctx(), OnPull(pr=12, repo="other/name"))["ballots"][0]["agent"] == "bob"
    with pytest.raises(Refused, match="nothing is recorded of pull request #12"):
        commands.show(fleet.ctx(), OnPull(pr=12))


def test_a_pull_request_may_be_named_as_it_is_shown() -> None:
    fleet = Fleet()
    fleet.write("bob", commands.cast(fleet.ctx("bob"), CastVote.model_validate({"pr": "#12", "verdict": "approve"})))
    assert fleet.pull and (fleet.pull.pr, list(fleet.pull.votes)) == (12, ["bob"])


def test_the_quiet_ones_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviews, "PULLS_MAX", 2)
    fleet = Fleet()
    for pr in (1, 2, 1, 3):
        fleet.write("bob", commands.request(fleet.ctx("bob"), RequestReview(pr=pr)))
    assert list(fleet.ctx().state("reviews").pulls) == ["#1", "#3"]
