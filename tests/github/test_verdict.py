"""The verdict on a pull request: what is wrong, what is waited for, and the same words for the same pull_input."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gitcoord.features.reservations.state import Reservation
from gitcoord.features.reviews.state import Vote, VoteCount
from gitcoord.features.settings import Settings
from gitcoord.github import fleet_context
from gitcoord.github import render as words
from gitcoord.github.api.models import ChangedFile, ChangedFiles, CheckResult, PullRequest, StatusCheck
from gitcoord.github.fleet_context import FleetContext, Overlap, RunningTask
from gitcoord.github.verdict import ConflictPlace, PullConflict, ReviewInput, changed_paths, judged, states

HEAD = "a" * 40
PATCH = "@@ -10,2 +10,3 @@ def f():\n a\n+b\n c"
PULL = PullRequest(
    3,
    "Mend it",
    "bob",
    HEAD,
    "bob/parser",
    "o/r",
    "b" * 40,
    "main",
    False,
    "open",
    ("bug",),
    datetime(2026, 11, 21, tzinfo=UTC),
    "https://x/3",
    1,
    1,
    1,
)


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"review_quorum": 0} | values)


def pull_input(
    *,
    files: tuple[ChangedFile, ...] = (ChangedFile("src/a.py", "modified", 1, 0, PATCH, None),),
    cut: bool = False,
    votes: tuple[Vote, ...] = (),
    gates: Settings | None = None,
    pull: PullRequest = PULL,
    **more: Any,
) -> ReviewInput:
    gates = gates or settings()
    approve = sum(vote.verdict == "approve" for vote in votes)
    return ReviewInput(
        pull,
        ChangedFiles(files, cut),
        gates,
        VoteCount(votes, (), approve, len(votes) - approve, gates.review_quorum),
        **more,
    )


def vote(agent: str, verdict: str = "approve", why: str = "") -> Vote:
    return Vote(agent, verdict, why, HEAD, "2026-11-21T03:04:05.678Z")


def said(one: ReviewInput) -> tuple[str, list[str]]:
    judgement = judged(one)
    return judgement.verdict, [finding.text for finding in judgement.findings]


def test_nothing_against_it_and_no_quorum_is_an_approval() -> None:
    assert said(pull_input()) == ("approve", [])


@pytest.mark.parametrize(
    "votes, verdict",
    [
        ((), "comment"),
        ((vote("alice"),), "comment"),
        ((vote("alice"), vote("carol")), "approve"),
        ((vote("alice"), vote("carol", "reject")), "request_changes"),
    ],
)
def test_votes_decide_once_they_are_the_quorum(votes: tuple[Vote, ...], verdict: str) -> None:
    assert said(pull_input(votes=votes, gates=settings(review_quorum=2)))[0] == verdict


@pytest.mark.parametrize(
    "conflict, verdict, words",
    [
        (
            PullConflict("main", True, (ConflictPlace("src/a.py", "content", 11, 11, "def f():"),)),
            "request_changes",
            "conflicts with main (content, in `def f():`)",
        ),
        (
            PullConflict("#4", False, (ConflictPlace("src/a.py", "delete"),), agent="carol"),
            "comment",
            "conflicts with `#4` (carol) (delete)",
        ),
        (
            PullConflict("#4", False, (ConflictPlace("src/a.py", "content"),), certain=False),
            "comment",
            "changes the same lines as `#4` (content)",
        ),
    ],
)
def test_a_conflict_with_the_base_has_to_be_settled_first(conflict: PullConflict, verdict: str, words: str) -> None:
    assert said(pull_input(conflicts=(conflict,))) == (verdict, [words])


@pytest.mark.parametrize(
    "state, verdict, text",
    [
        ("success", "approve", None),
        ("skipped", "approve", None),
        ("pending", "comment", "which is pending"),
        (None, "comment", "which is not set"),
        ("failure", "request_changes", "is failure"),
    ],
)
def test_a_status_that_is_required_must_succeed(state: str | None, verdict: str, text: str | None) -> None:
    found = said(pull_input(gates=settings(review_statuses=["tests"]), statuses={"tests": state} if state else {}))
    assert found[0] == verdict and (text is None or text in found[1][0])


def test_labels_sizes_and_owners_are_gates() -> None:
    gates = settings(review_labels=["Ready"], review_max_lines=1, review_owners={"src/**": ["alice", "carol"]})
    assert said(pull_input(gates=gates)) == (
        "request_changes",
        [
            "changes 2 lines, 1 are allowed: split it into several pull requests",
            "lacks the label Ready",
            "`src/**` needs the approval of alice or carol",
        ],
    )
    ready = replace(PULL, labels=("ready",), additions=1, deletions=0)
    assert said(pull_input(gates=gates, pull=ready, votes=(vote("Carol"),))) == ("approve", [])
    assert said(pull_input(gates=gates, pull=ready, votes=(vote("dora"),)))[0] == "comment"


def test_what_others_do_there_is_told() -> None:
    overlap = Overlap("carol", "has reserved this until noon", ("src/a.py", "src/b.py"))
    assert said(pull_input(overlaps=(overlap,))) == (
        "comment",
        ["carol has reserved this until noon, and 1 more paths"],
    )


@pytest.mark.parametrize(
    "change, verdict, text",
    [
        ({"cut": True}, "comment", "more files than GitHub lists"),
        ({"not_checked": ("no clone",)}, "comment", "no clone"),
        ({"pull": replace(PULL, draft=True)}, "comment", "is a draft"),
        ({"pull": replace(PULL, head_repository=None)}, "approve", "a fork that was deleted"),
    ],
)
def test_what_was_not_seen_is_not_approved(change: dict[str, Any], verdict: str, text: str) -> None:
    found = said(pull_input(**change))
    assert found[0] == verdict and text in found[1][0]


def test_our_own_status_is_no_gate_and_a_check_counts_like_a_status() -> None:
    assert states(
        [StatusCheck("gitcoord/review", "failure", "", "", "x"), StatusCheck("tests", "success", "", "", "x")],
        [
            CheckResult(1, "lint", "completed", "neutral", "", ""),
            CheckResult(2, "build", "in_progress", None, "", ""),
            CheckResult(3, "tests", "completed", "failure", "", ""),
        ],
    ) == {"lint": "neutral", "build": "pending", "tests": "success"}


# Words


def test_a_finding_stands_beside_a_line_of_the_diff_or_in_the_body() -> None:
    conflict = PullConflict(
        "main",
        True,
        (
            ConflictPlace("src/a.py", "content", 9, 11),
            ConflictPlace("src/a.py", "content", 40, 50),
            ConflictPlace("src/b.py", "content", 11, 11),
        ),
    )
    one = pull_input(conflicts=(conflict,))
    found = words.review(one, judged(one))
    assert [(remark.path, remark.line) for remark in found.remarks] == [("src/a.py", 10)]
    assert "`src/a.py:40`: conflicts" in found.body and "`src/b.py:11`: conflicts" in found.body
    assert "`src/a.py:9`" not in found.body and "1 remark is beside the lines." in found.body
    assert f"`{HEAD}`" in found.body and words.review(one, judged(one)) == found
    assert "`src/a.py:9`" in words.review(one, judged(one), inline_too=False).body


def test_a_file_without_a_patch_and_a_renamed_one_have_their_place_in_the_body() -> None:
    files = (ChangedFile("new.png", "renamed", 0, 0, None, "old.png"),)
    one = pull_input(files=files, conflicts=(PullConflict("main", True, (ConflictPlace("new.png", "binary"),)),))
    assert changed_paths(one.files) == ["new.png", "old.png"]
    found = words.review(one, judged(one))
    assert found.remarks == () and "`new.png`: conflicts with main (binary)" in found.body


def test_words_of_others_are_code_and_nothing_else() -> None:
    evil = "@team fixes #1 <!-- gitcoord:review --> `x` ![](http://x)"
    one = pull_input(
        votes=(vote("alice", "reject", evil),),
        conflicts=(PullConflict("main", True, (ConflictPlace("src/a.py", "content", 10, 10, evil),)),),
        pull=replace(PULL, base_ref="@x"),
    )
    found = words.review(one, judged(one))
    text = found.body + found.remarks[0].body
    assert text.count(evil) == 2 == text.count(f"``{evil}``")
    assert "`@x`" in found.body


def test_so_many_findings_stay_a_page() -> None:
    files = tuple(ChangedFile(f"f{n:04}.py", "modified", 1, 0, PATCH, None) for n in range(3000))
    conflicts = tuple(
        PullConflict(f"#{n}", False, (ConflictPlace(f"f{n:04}.py", "content", 10, 11),)) for n in range(900)
    )
    one = pull_input(files=files, cut=True, conflicts=conflicts)
    found = words.review(one, judged(one))
    assert len(found.remarks) == words.REMARKS_MAX and "… and 350 more." in found.body
    assert len(found.body) < 20_000 and len(words.annotated(judged(one), one)) <= 500


def test_the_status_is_a_line() -> None:
    one = pull_input(gates=settings(review_labels=["x"], review_max_lines=1))
    assert words.status(judged(one)) == "changes requested: 1 must be changed, 1 still open"


# What is going on around it


def held(agent: str, *patterns: str) -> Reservation:
    return Reservation("1" * 16, agent, "node", "", list(patterns), "", "2026-11-21T05:00:00.000Z", "a reason")


def test_reservations_and_tasks_of_others_are_found_by_their_paths() -> None:
    fleet = FleetContext(
        reservations=(held("alice", "src/**"), held("bob", "src/a.py"), held("carol", "docs/*.md", "src/?.py")),
        tasks=(
            RunningTask("k3f97hq2m0x4w8zt", "Mend", "alice", ("src/a.py",)),
            RunningTask("x" * 16, "Other", "dora", ("lib",)),
            RunningTask("z" * 16, "All of it", "Bob", ("src",)),
        ),
    )
    found = fleet_context.overlaps(fleet, ["src/a.py", "src/sub/b.py", "README.md"], author={"bob"}, branch="topic")
    assert [(one.agent, one.paths) for one in found] == [
        ("alice", ("src/a.py", "src/sub/b.py")),
        ("carol", ("src/a.py",)),
        ("alice", ("src/a.py",)),
    ]
    found = fleet_context.overlaps(fleet, ["src/a.py"], author=(), branch="task/k3f97hq2-1-alice-mend")
    assert [one.agent for one in found] == ["alice", "bob", "carol", "alice", "Bob"], "a branch's name hides nothing"
    assert "which the branch's name mentions" in found[3].what
