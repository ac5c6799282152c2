"""Posting: one review of one commit, a status, labels and a check. A second run updates them instead of repeating them.

A push in between makes a verdict stale, so the head is read right before the review is posted, and once more after it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gitcoord.core.errors import BadCredentials, Denied
from gitcoord.features.reviews.events import Verdict
from gitcoord.github import render
from gitcoord.github.api import upsert
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import Event, Review, State, marker
from gitcoord.github.api.retry import Unprocessable
from gitcoord.github.verdict import LABELS, STATUS, Judgement, ReviewInput

MARKER = marker("review")
EVENTS: Mapping[Verdict, Event] = {"approve": "APPROVE", "comment": "COMMENT", "request_changes": "REQUEST_CHANGES"}
STATES: Mapping[Verdict, State] = {"approve": "success", "comment": "pending", "request_changes": "failure"}
CONCLUSIONS: Mapping[Verdict, str] = {"approve": "success", "comment": "neutral", "request_changes": "failure"}


@dataclass(slots=True)
class PostingResult:
    """The result of posting. `stale` is the commit that was pushed meanwhile; `failed` says what GitHub rejected, and
    why."""

    url: str = ""
    stale: str | None = None
    event: Event | None = None  # None: nothing was posted
    failed: list[str] = field(default_factory=list)


def post(client: Client, pull_input: ReviewInput, judgement: Judgement) -> PostingResult:
    """Post the judgement on GitHub, and return the result. Raise GitcoordError if the review cannot be posted."""
    pull = pull_input.pull
    head = client.pull(pull.number).head
    if head != pull.head:
        return PostingResult(stale=head)
    review, event = _review(client, pull_input, judgement)
    posted = PostingResult(review.url, event=event)
    with _recorded(posted, f"the status {STATUS}"):
        upsert.put_status(
            client,
            pull.head,
            context=STATUS,
            state=STATES[judgement.verdict],
            description=render.status(judgement),
            url=review.url,
        )
    with _recorded(posted, "the labels"):
        upsert.put_labels(client, pull.number, judgement.labels, prefix=LABELS)
    if client.credentials.may_check:
        with _recorded(posted, "the check"):
            _check(client, pull_input, judgement, review.url)
    after = client.pull(pull.number).head
    posted.stale = after if after != pull.head else None
    return posted


def _review(client: Client, pull_input: ReviewInput, judgement: Judgement) -> tuple[Review, Event]:
    """Post the review, and return it with its event. If GitHub rejects the inline remarks, post it without them. The
    author of a pull request may only comment."""
    own = pull_input.pull.author.casefold() == client.me().casefold()
    event: Event = "COMMENT" if own else EVENTS[judgement.verdict]
    tries: list[tuple[Event, bool]] = [(event, True), (event, False), ("COMMENT", False)]
    for number, (as_event, with_remarks) in enumerate(tries, start=1):
        text = render.review(pull_input, judgement, inline_too=with_remarks)
        try:
            return upsert.put_review(
                client,
                pull_input.pull.number,
                marker=MARKER,
                commit=pull_input.pull.head,
                event=as_event,
                body=text.body,
                remarks=text.remarks,
            ), as_event
        except Unprocessable:
            # The diff may lack a line that the patch showed, or the verdict may not be ours to give.
            if number == len(tries):
                raise
    raise AssertionError


def _check(client: Client, pull_input: ReviewInput, judgement: Judgement, url: str) -> None:
    text = render.review(pull_input, judgement, inline_too=False)
    upsert.put_check(
        client,
        pull_input.pull.head,
        name="gitcoord review",
        marker="gitcoord-review",
        conclusion=CONCLUSIONS[judgement.verdict],
        title=render.status(judgement),
        summary=text.body,
        annotations=render.annotated(judgement, pull_input),
        url=url,
    )


@contextlib.contextmanager
def _recorded(posted: PostingResult, what: str) -> Iterator[None]:
    """Record a failure of the block in `posted` instead of raising it: the review counts even if the rest fails."""
    try:
        yield
    except (BadCredentials, Denied) as wrong:
        posted.failed.append(f"{what}: {wrong}")
