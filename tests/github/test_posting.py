"""Posting: one review however often, on the commit that was looked at; what GitHub does not take is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gitcoord.features.reviews.state import VoteCount
from gitcoord.features.settings import Settings
from gitcoord.github import posting, verdict
from gitcoord.github.api.client import Client
from gitcoord.github.posting import PostingResult
from gitcoord.github.verdict import ConflictPlace, PullConflict, ReviewInput
from tests.github.conftest import Made
from tests.github.fake import FakeGitHub, changed, is_write

PATCH = "@@ -1,2 +1,3 @@\n a\n+b\n c"
HEAD, NEXT = "a" * 40, "c" * 40


@pytest.fixture(autouse=True)
def pull(fake: FakeGitHub) -> None:
    fake.pull(3, files=[changed("a.py", PATCH), changed("b.py")], labels=("bug",))


def pull_input(client: Client, **more: Any) -> ReviewInput:
    settings = Settings.model_validate({"review_quorum": 0})
    conflict = PullConflict("main", True, (ConflictPlace("a.py", "content", 2, 2), ConflictPlace("b.py", "binary")))
    more = {"conflicts": (conflict,)} | more
    return ReviewInput(client.pull(3), client.files(3), settings, VoteCount((), (), 0, 0, 0), **more)


def post(client: Client, **more: Any) -> PostingResult:
    seen = pull_input(client, **more)
    return posting.post(client, seen, verdict.judged(seen))


def during(fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch, what: str, do: Callable[[], None]) -> None:
    """Do something the moment before GitHub is asked for `what`."""
    answered = fake.answer

    def answer(method: str, target: str, body: Any, authorization: str) -> Any:
        if f"{method} {target}".startswith(what):
            do()
        return answered(method, target, body, authorization)

    monkeypatch.setattr(fake, "answer", answer)


def push(fake: FakeGitHub) -> None:
    fake.repos["o/r"].pulls[3]["head"]["sha"] = NEXT


def test_twice_is_one_review_one_status_and_the_labels_of_ours(fake: FakeGitHub, client: Client) -> None:
    first = post(client)
    writes = len(fake.writes())
    assert post(client) == first and len(fake.writes()) == writes
    [review] = client.reviews(3)
    assert (review.state, review.commit) == ("CHANGES_REQUESTED", HEAD) and HEAD in review.body
    assert [(one.path, one.line) for one in client.remarks(3)] == [("a.py", 2)]
    [status] = client.statuses(HEAD)
    assert (status.context, status.state, status.url) == ("gitcoord/review", "failure", review.url)
    assert sorted(client.labels(3)) == ["bug", "gitcoord: changes wanted", "gitcoord: conflict"]
    assert first.event == "REQUEST_CHANGES" and first.stale is None and first.failed == []


def test_what_has_changed_is_said_in_its_place(client: Client) -> None:
    post(client)
    post(client, conflicts=())
    assert [one.state for one in client.reviews(3)] == ["DISMISSED", "APPROVED"]
    assert client.statuses(HEAD)[0].state == "success"
    assert sorted(client.labels(3)) == ["bug", "gitcoord: approved"]


def test_a_push_before_it_is_posted_leaves_nothing_behind(fake: FakeGitHub, client: Client) -> None:
    seen = pull_input(client)
    push(fake)
    posted = posting.post(client, seen, verdict.judged(seen))
    assert (posted.event, posted.stale) == (None, NEXT) and fake.writes() == []


def test_a_push_while_it_is_posted_is_told_and_the_review_names_its_commit(
    fake: FakeGitHub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    during(fake, monkeypatch, "POST /repos/o/r/pulls/3/reviews", lambda: push(fake))
    posted = post(client)
    assert posted.stale == NEXT and [one.commit for one in client.reviews(3)] == [HEAD]
    assert client.statuses(NEXT) == []


def test_a_line_that_is_not_in_the_diff_after_all_costs_the_remarks_and_not_the_review(
    fake: FakeGitHub, client: Client
) -> None:
    seen = pull_input(client)
    fake.repos["o/r"].files[3] = [changed("a.py", "@@ -90 +90 @@\n+z")]
    posted = posting.post(client, seen, verdict.judged(seen))
    [review] = client.reviews(3)
    assert client.remarks(3) == [] and "`a.py:2`: conflicts" in review.body and posted.event == "REQUEST_CHANGES"


def test_on_a_pull_request_of_our_own_we_only_comment(fake: FakeGitHub, client: Client) -> None:
    fake.pull(3, files=[changed("a.py", PATCH)], author="robot")
    assert post(client).event == "COMMENT"
    assert client.reviews(3)[0].state == "COMMENTED" and client.statuses(HEAD)[0].state == "failure"


def test_a_502_after_the_write_was_applied_makes_no_second_review(fake: FakeGitHub, client: Client) -> None:
    fake.fail(502, when=is_write, applied=True)
    post(client)
    assert len(client.reviews(3)) == 1


def test_rights_that_lack_cost_only_what_needs_them(fake: FakeGitHub, client: Client) -> None:
    fake.fail(
        403,
        when=lambda method, path: method == "POST" and "/statuses/" in path,
        message="Resource not accessible by integration",
        times=9,
    )
    posted = post(client)
    assert len(client.reviews(3)) == 1 and len(posted.failed) == 1
    assert posted.failed[0].startswith("the status gitcoord/review: ") and "lacks a right" in posted.failed[0]


def test_an_app_makes_a_check_with_annotations(fake: FakeGitHub, made: Made) -> None:
    post(made(kind="workflow"))
    [check] = made().checks(HEAD)
    assert (check.name, check.conclusion) == ("gitcoord review", "failure")
    assert made().checks(NEXT) == []


def test_a_pull_request_from_a_fork_that_is_gone_is_reviewed_like_any(fake: FakeGitHub, client: Client) -> None:
    fake.pull(3, files=[changed("a.py", PATCH)], fork=None, author="ghost")
    seen = replace(pull_input(client), conflicts=())
    posted = posting.post(client, seen, verdict.judged(seen))
    assert posted.event == "APPROVE" and "a fork that was deleted" in client.reviews(3)[0].body
