"""Posting: one review of one commit, a status, labels and a check; again, it is updated and never repeated.

A push in between makes a verdict stale: the head is read right before the review is posted, and once more after it.
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
from gitcoord.github.api.retry import Unfit
from gitcoord.github.verdict import LABELS, STATUS, Judgement, ReviewInput

MARKER = marker("review")
EVENTS: Mapping[Verdict, Event] = {"approve": "APPROVE", "comment": "COMMENT", "request_changes": "REQUEST_CHANGES"}
STATES: Mapping[Verdict, State] = {"approve": "success", "comment": "pending", "request_changes": "failure"}
CONCLUSIONS: Mapping[Verdict, str] = {"approve": "success", "comment": "neutral", "request_changes": "failure"}


@dataclass(slots=True)
class Posted:
    """What was written. `stale`: the commit that was pushed meanwhile; `failed`: what GitHub did not take, and why."""

    url: str = ""
    stale: str | None = None
    event: Event | None = None  # None: nothing was posted
    failed: list[str] = field(default_factory=list)


def post(client: Client, picture: ReviewInput, judgement: Judgement) -> Posted:
    """Say it on GitHub. Raises errors of ours when the review itself cannot be posted."""
    pull = picture.pull
    head = client.pull(pull.number).head
    if head != pull.head:
        return Posted(stale=head)
    review, event = _review(client, picture, judgement)
    posted = Posted(review.url, event=event)
    with _told(posted, f"the status {STATUS}"):
        upsert.put_status(
            client,
            pull.head,
            context=STATUS,
            state=STATES[judgement.verdict],
            description=render.status(judgement),
            url=review.url,
        )
    with _told(posted, "the labels"):
        upsert.put_labels(client, pull.number, judgement.labels, prefix=LABELS)
    if client.credentials.may_check:
        with _told(posted, "the check"):
            _check(client, picture, judgement, review.url)
    after = client.pull(pull.number).head
    posted.stale = after if after != pull.head else None
    return posted


def _review(client: Client, picture: ReviewInput, judgement: Judgement) -> tuple[Review, Event]:
    """With remarks; where GitHub takes none of them, without; and its own author may only comment."""
    own = picture.pull.author.casefold() == client.me().casefold()
    event: Event = "COMMENT" if own else EVENTS[judgement.verdict]
    tries: list[tuple[Event, bool]] = [(event, True), (event, False), ("COMMENT", False)]
    for number, (as_event, with_remarks) in enumerate(tries, start=1):
        said = render.review(picture, judgement, inline_too=with_remarks)
        try:
            return upsert.put_review(
                client,
                picture.pull.number,
                marker=MARKER,
                commit=picture.pull.head,
                event=as_event,
                body=said.body,
                remarks=said.remarks,
            ), as_event
        except Unfit:  # a line that the patch showed and the diff does not have, or a verdict that is not ours to give
            if number == len(tries):
                raise
    raise AssertionError


def _check(client: Client, picture: ReviewInput, judgement: Judgement, url: str) -> None:
    said = render.review(picture, judgement, inline_too=False)
    upsert.put_check(
        client,
        picture.pull.head,
        name="gitcoord review",
        marker="gitcoord-review",
        conclusion=CONCLUSIONS[judgement.verdict],
        title=render.status(judgement),
        summary=said.body,
        annotations=render.annotated(judgement, picture),
        url=url,
    )


@contextlib.contextmanager
def _told(posted: Posted, what: str) -> Iterator[None]:
    """The review counts though GitHub takes the rest from nobody with these rights."""
    try:
        yield
    except (BadCredentials, Denied) as wrong:
        posted.failed.append(f"{what}: {wrong}")
