"""What is written to GitHub is written once, whatever goes wrong and however often it is asked for."""

from __future__ import annotations

import pytest

from gitcoord.core.errors import Unreachable
from gitcoord.github import diff_lines
from gitcoord.github.api import upsert
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import CheckAnnotation, Remark, marker
from gitcoord.github.api.retry import Unprocessable
from tests.github.conftest import Made
from tests.github.fake import FakeGitHub, changed, is_write

PATCH = "@@ -1,2 +1,3 @@ def f():\n a\n+b\n-c\n+d\n\\ No newline at end of file"
MARK = marker("review")
HEAD = "a" * 40


@pytest.fixture
def pull(fake: FakeGitHub) -> None:
    fake.pull(3, files=[changed("a.py", PATCH), changed("b.png")], labels=("bug", "gitcoord: old"))


def put(client: Client, event: str = "COMMENT", body: str = "well", **more: object) -> object:
    return upsert.put_review(client, 3, marker=MARK, commit=HEAD, event=event, body=body, **more)  # type: ignore


def test_lines_of_a_patch_that_a_comment_may_stand_on(pull: None, client: Client) -> None:
    places = diff_lines.commentable(client.files(3).listed)
    assert places == {
        "a.py": {("LEFT", 1), ("LEFT", 2), ("RIGHT", 1), ("RIGHT", 2), ("RIGHT", 3)},
        "b.png": frozenset(),
    }


def test_a_review_is_posted_once_and_then_updated(fake: FakeGitHub, pull: None, client: Client) -> None:
    first = put(client, remarks=[Remark("a.py", 3, "why?")])
    assert put(client) == first
    put(client, body="better")
    [review] = client.reviews(3)
    assert review.body == f"better\n\n{MARK}"
    assert (review.state, review.commit, review.author) == ("COMMENTED", HEAD, "robot")
    assert [one.line for one in client.remarks(3)] == [3]
    assert [method for method, _ in fake.writes()] == ["POST", "PUT"]


def test_another_verdict_is_a_new_review_and_the_old_one_blocks_no_more(
    fake: FakeGitHub, pull: None, client: Client
) -> None:
    put(client, "REQUEST_CHANGES")
    put(client, "APPROVE")
    assert [one.state for one in client.reviews(3)] == ["DISMISSED", "APPROVED"]


def test_a_marker_in_the_words_of_somebody_else_is_not_ours(fake: FakeGitHub, pull: None, client: Client) -> None:
    fake.post_as("mallory", "/repos/o/r/pulls/3/reviews", {"event": "COMMENT", "body": f"look: {MARK}"})
    put(client)
    assert [one.author for one in client.reviews(3)] == ["mallory", "robot"]


def test_a_remark_outside_the_diff_is_told(pull: None, client: Client) -> None:
    with pytest.raises(Unprocessable, match="422 Unprocessable Entity; Line could not be resolved"):
        put(client, remarks=[Remark("a.py", 99, "why?")])
    assert client.reviews(3) == []


def test_a_write_that_was_applied_before_the_502_is_not_repeated(fake: FakeGitHub, pull: None, made: Made) -> None:
    client = made()
    fake.fail(502, when=is_write, applied=True)
    put(client)
    assert len(client.reviews(3)) == 1
    assert len(fake.writes()) == 1
    assert len(made.slept) == 1


def test_a_write_that_was_not_applied_is_tried_again(fake: FakeGitHub, pull: None, client: Client) -> None:
    fake.fail(502, when=is_write)
    put(client)
    assert len(client.reviews(3)) == 1
    assert len(fake.writes()) == 2


def test_a_write_is_given_up_in_the_end(fake: FakeGitHub, pull: None, client: Client) -> None:
    fake.fail(502, when=is_write, times=100)
    with pytest.raises(Unreachable, match="GitHub is in trouble"):
        put(client)
    assert len(fake.writes()) == 5


def test_a_status_is_written_where_it_says_something_new(fake: FakeGitHub, client: Client) -> None:
    for description in ("x" * 200, "x" * 200, "fine"):
        upsert.put_status(client, HEAD, context="gitcoord/review", state="success", description=description, url="u:")
    assert [one["description"] for one in fake.repos["o/r"].statuses[HEAD]] == ["fine", "x" * 139 + "…"]


def test_labels_of_others_stay(fake: FakeGitHub, pull: None, client: Client) -> None:
    upsert.put_labels(client, 3, ["gitcoord: conflicts"])
    assert client.labels(3) == ["bug", "gitcoord: conflicts"]
    written = len(fake.writes())
    upsert.put_labels(client, 3, ["gitcoord: conflicts"])
    assert len(fake.writes()) == written


def test_one_issue_and_not_many(fake: FakeGitHub, client: Client) -> None:
    for count in (1, 2, 2):
        issue = upsert.put_issue(client, marker=marker("error"), title="It fails", body=f"{count} times")
    assert [one.body for one in client.issues(labels=["gitcoord"])] == [f"2 times\n\n{marker('error')}"]
    assert client.issue_with(marker("error")) == issue
    upsert.close_issue(client, issue.number)
    upsert.close_issue(client, issue.number)
    assert [method for method, _ in fake.writes()] == ["POST", "PATCH", "PATCH"]
    assert client.issue_with(marker("error")) is None


def test_a_patch_is_tried_again(fake: FakeGitHub, client: Client) -> None:
    issue = upsert.put_issue(client, marker=MARK, title="It fails", body="once")
    fake.fail(502, when=lambda method, path: method == "PATCH")
    upsert.put_issue(client, marker=MARK, title="It fails", body="twice")
    assert client.issues()[0].body == f"twice\n\n{MARK}"
    assert client.issues()[0].number == issue.number


def test_a_comment_is_made_once_and_updated(fake: FakeGitHub, pull: None, client: Client) -> None:
    for body in ("a", "a", "b"):
        upsert.put_comment(client, 3, marker=MARK, body=body)
    assert [one.body for one in client.comments(3)] == [f"b\n\n{MARK}"]
    assert len(fake.writes()) == 2


def test_a_check_run_carries_all_its_annotations_in_pieces(fake: FakeGitHub, made: Made) -> None:
    client = made(kind="workflow")
    notes = [CheckAnnotation("a.py", line, line, "warning", "look") for line in range(1, 121)]
    for _ in range(2):
        check = upsert.put_check(
            client, HEAD, name="gitcoord", marker=MARK, conclusion="neutral", title="t", summary="s", annotations=notes
        )
    assert (check.conclusion, check.marker) == ("neutral", MARK)
    assert len(fake.repos["o/r"].checks[HEAD][0]["output"]["annotations"]) == 120
    assert [method for method, _ in fake.writes()] == ["POST", "PATCH", "PATCH"]


def test_too_long_a_body_keeps_its_marker(pull: None, client: Client) -> None:
    put(client, body="x" * 100_000)
    [review] = client.reviews(3)
    assert len(review.body) == 65_536
    assert review.body.endswith(f"…\n\n{MARK}")
