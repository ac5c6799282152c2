"""Writes to GitHub. Each function writes once, however often it is called, because it first looks for its marker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from github.CheckRun import CheckRun
from github.GithubObject import NotSet
from github.Issue import Issue as GithubIssue
from github.IssueComment import IssueComment
from github.PullRequestReview import PullRequestReview

from gitcoord.core.errors import BadCredentials, Denied
from gitcoord.core.secret_scan.credentials import without_secrets
from gitcoord.core.text import cut
from gitcoord.github.api import convert
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import (
    ANNOTATIONS_MAX,
    BODY_CHARS_MAX,
    DESCRIPTION_CHARS_MAX,
    CheckAnnotation,
    CheckResult,
    Comment,
    Event,
    IssueSummary,
    Remark,
    Review,
    State,
    StatusCheck,
)
from gitcoord.github.api.retry import AlreadyDone

C = TypeVar("C", PullRequestReview, IssueComment)
T = TypeVar("T")

STATES: dict[Event, str] = {"APPROVE": "APPROVED", "COMMENT": "COMMENTED", "REQUEST_CHANGES": "CHANGES_REQUESTED"}
BLOCKING = ("APPROVED", "CHANGES_REQUESTED")  # reviews that count until they are dismissed
SUPERSEDED = "superseded by a newer review of gitcoord's"
LABEL_CHARS_MAX, TITLE_CHARS_MAX = 50, 256


def put_review(
    client: Client, number: int, *, marker: str, commit: str, event: Event, body: str, remarks: Sequence[Remark] = ()
) -> Review:
    """Create or update our review of `commit`, which has `marker` in its body, and return it.

    If a review of the same commit and verdict exists, update its body: GitHub accepts inline comments only with a new
    review. Otherwise create one, and dismiss our older ones that still approve or block. Raise Unprocessable if a
    remark is outside the diff, or if the verdict is not ours to give (on our own pull request: only COMMENT).
    """
    text, me, what = _signed(body, marker), client.me(), f"a review of pull request #{number}"

    def ours() -> list[PullRequestReview]:
        return [one for one in client.there.get_pull(number).get_reviews() if _is_ours(one, me, marker)]

    def make() -> Review:
        pull, of = client.there.get_pull(number), client.there.get_commit(commit)
        inline: list[Any] = [
            {"path": one.path, "line": one.line, "side": one.side, "body": _fit(one.body, BODY_CHARS_MAX)}
            for one in remarks
        ]
        return convert.review(pull.create_review(commit=of, body=text, event=event, comments=inline))

    def plan() -> AlreadyDone[Review] | Callable[[], Review]:
        same = [one for one in ours() if one.commit_id == commit and one.state == STATES[event]]
        return _updated(same[-1], text, convert.review) if same else make

    review = client.write(what, plan)
    _dismiss(client, what, lambda: [one for one in ours() if one.id != review.id and one.state in BLOCKING])
    return review


def _dismiss(client: Client, what: str, older: Callable[[], list[PullRequestReview]]) -> None:
    def plan() -> AlreadyDone[None] | Callable[[], None]:
        reviews = older()

        def dismiss() -> None:
            for one in reviews:
                one.dismiss(SUPERSEDED)

        return dismiss if reviews else AlreadyDone(None)

    try:
        client.write(what, plan)
    except (BadCredentials, Denied):
        pass  # it needs push access; without it, GitHub still counts only the newest verdict of a reviewer


def put_comment(client: Client, number: int, *, marker: str, body: str) -> Comment:
    """Create our comment with `marker` in a conversation, or update it if its text changed. Return it."""
    text, me = _signed(body, marker), client.me()

    def plan() -> AlreadyDone[Comment] | Callable[[], Comment]:
        issue = client.there.get_issue(number)
        ours = next((one for one in issue.get_comments() if _is_ours(one, me, marker)), None)
        return _updated(ours, text, convert.comment) if ours else lambda: convert.comment(issue.create_comment(text))

    return client.write(f"a comment on #{number}", plan)


def _is_ours(one: PullRequestReview | IssueComment | GithubIssue, me: str, marker: str) -> bool:
    """Return whether we wrote it: it has our author and the marker. Anybody can write the marker alone."""
    return one.user is not None and one.user.login == me and marker in (one.body or "")


def _updated(one: C, text: str, shape: Callable[[C], T]) -> AlreadyDone[T] | Callable[[], T]:
    def edit() -> T:
        one.edit(text)
        return shape(one)

    return AlreadyDone(shape(one)) if one.body == text else edit


def put_status(
    client: Client, commit: str, *, context: str, state: State, description: str, url: str = ""
) -> StatusCheck:
    """Set the status of a commit in one context, and return it. Write it only if something changed."""
    words = _fit(description, DESCRIPTION_CHARS_MAX)

    def plan() -> AlreadyDone[StatusCheck] | Callable[[], StatusCheck]:
        listed = client.statuses_of(commit)
        newest = next((convert.status(one) for one in listed if one.context == context), None)
        if newest is not None and (newest.state, newest.description, newest.url) == (state, words, url):
            return AlreadyDone(newest)
        return lambda: convert.status(
            client.there.get_commit(commit).create_status(state, url or NotSet, words, context)
        )

    return client.write(f"a status of {commit[:12]}", plan)


def put_labels(client: Client, number: int, wanted: Iterable[str], *, prefix: str = "gitcoord") -> None:
    """Set the labels with `prefix` to the `wanted` ones. Other labels are not changed."""
    goal = {_fit(name, LABEL_CHARS_MAX) for name in wanted}
    assert all(name.startswith(prefix) for name in goal), goal

    def plan() -> AlreadyDone[None] | Callable[[], None]:
        issue = client.there.get_issue(number)
        ours = {label.name for label in issue.get_labels() if label.name.startswith(prefix)}

        def change() -> None:
            if goal - ours:
                issue.add_to_labels(*sorted(goal - ours))
            for name in sorted(ours - goal):
                issue.remove_from_labels(name)

        return AlreadyDone(None) if ours == goal else change

    client.write(f"the labels of #{number}", plan)


def put_issue(
    client: Client, *, marker: str, title: str, body: str, labels: Sequence[str] = ("gitcoord",)
) -> IssueSummary:
    """Open our issue with `marker`, or update the open one if something changed. Return it."""
    text, head, me = _signed(body, marker), _fit(title, TITLE_CHARS_MAX), client.me()

    def open_one() -> IssueSummary:
        return convert.issue(client.there.create_issue(title=head, body=text, labels=list(labels)))

    def plan() -> AlreadyDone[IssueSummary] | Callable[[], IssueSummary]:
        listed = client.there.get_issues(state="open", labels=list(labels), sort="created", direction="asc")
        ours = next((one for one in listed if one.pull_request is None and _is_ours(one, me, marker)), None)
        if ours is None:
            return open_one
        same = (ours.title, ours.body) == (head, text)
        return AlreadyDone(convert.issue(ours)) if same else lambda: _edited(ours, title=head, body=text)

    return client.write("an issue", plan)


def close_issue(client: Client, number: int) -> None:
    """Close an issue as completed. Do nothing if it is closed already."""

    def plan() -> AlreadyDone[IssueSummary] | Callable[[], IssueSummary]:
        issue = client.there.get_issue(number)
        closed = issue.state == "closed"
        return (
            AlreadyDone(convert.issue(issue))
            if closed
            else lambda: _edited(issue, state="closed", state_reason="completed")
        )

    client.write(f"issue #{number}", plan)


def _edited(issue: GithubIssue, **changes: Any) -> IssueSummary:
    issue.edit(**changes)
    return convert.issue(issue)


def put_check(
    client: Client,
    commit: str,
    *,
    name: str,
    marker: str,
    conclusion: str,
    title: str,
    summary: str,
    annotations: Sequence[CheckAnnotation] = (),
    url: str = "",
) -> CheckResult:
    """Create a completed check run of a commit, with `marker` as its external id, and return it.

    If a run with the same conclusion, title and summary exists, return that. A different one gets a new run, because
    GitHub adds annotations to a run, but removes none. Raise ValueError unless the credentials are an app's.
    """
    if not client.credentials.may_check:
        raise ValueError("check runs are written by apps: use a commit status")
    heading = without_secrets(title)
    output: dict[str, Any] = {"title": heading, "summary": _fit(summary, BODY_CHARS_MAX)}
    rows = [_annotation(one) for one in annotations]
    pages = [rows[at : at + ANNOTATIONS_MAX] for at in range(0, len(rows), ANNOTATIONS_MAX)] or [[]]

    def make() -> CheckResult:
        run = client.there.create_check_run(
            name,
            commit,
            details_url=url or NotSet,
            external_id=marker,
            status="completed",
            conclusion=conclusion,
            output=output | {"annotations": pages[0]},
        )
        for more in pages[1:]:
            run.edit(output=output | {"annotations": more})
        return convert.check(run)

    def plan() -> AlreadyDone[CheckResult] | Callable[[], CheckResult]:
        ours = [
            one for one in client.there.get_commit(commit).get_check_runs(check_name=name) if one.external_id == marker
        ]
        same = ours and _says(ours[0]) == (conclusion, heading, output["summary"])
        return AlreadyDone(convert.check(ours[0])) if same else make

    return client.write(f"a check of {commit[:12]}", plan)


def _says(run: CheckRun) -> tuple[str | None, str | None, str | None]:
    return run.conclusion, run.output.title, run.output.summary


def _annotation(one: CheckAnnotation) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": one.path,
        "start_line": one.start_line,
        "end_line": one.end_line,
        "annotation_level": one.level,
        "message": _fit(one.message, BODY_CHARS_MAX),
    }
    return row | ({"title": _fit(one.title, 255)} if one.title else {})


def _fit(text: str, chars_max: int) -> str:
    """Return the text without secrets, cut to `chars_max`: everybody who may read the repository sees it."""
    return cut(without_secrets(text), chars_max)


def _signed(body: str, marker: str) -> str:
    """Return the body with its marker at the end, cut to the length that GitHub accepts."""
    return f"{_fit(body.rstrip(), BODY_CHARS_MAX - len(marker) - 2)}\n\n{marker}"
