"""Events about pull requests: each names its pull request by the number, and if necessary the commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from gitcoord.core.fields import Count, Payload, Url, Words
from gitcoord.core.fold.authority import ADMIN, LEADER, MEMBER, REVIEWER, Who
from gitcoord.core.fold.membership import Repository

Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")]
Number = Annotated[int, Field(ge=1, le=2**31)]
Voice = Literal["approve", "reject"]
Verdict = Literal["approve", "comment", "request_changes"]


class PullRequestEvent(Payload):
    """The subject of an event. An empty `repo` is that of the fleet's remote; an empty `commit` is any."""

    pr: Number
    repo: Repository = ""
    commit: Commit = ""


class VoteCast(PullRequestEvent):
    """The author's vote, which replaces its earlier one."""

    verdict: Voice
    why: Words = ""


class ReviewRequested(PullRequestEvent):
    """The author requests a review, or another one; the recipients of the event are asked to vote."""

    why: Words = ""


class ReviewPosted(PullRequestEvent):
    """The author examined `commit`, and posted the verdict on GitHub."""

    verdict: Verdict
    url: Url = ""
    findings: Count = 0


class ReviewStale(PullRequestEvent):
    """While the author examined `commit`, somebody pushed `head`."""

    head: Commit


AUTHORITY: Mapping[str, Who] = {
    "vote_cast": MEMBER,
    "review_requested": MEMBER,
    "review_posted": REVIEWER | ADMIN | LEADER,
    "review_stale": REVIEWER | ADMIN | LEADER,
}
EVENTS: Mapping[str, type[BaseModel]] = {
    "vote_cast": VoteCast,
    "review_requested": ReviewRequested,
    "review_posted": ReviewPosted,
    "review_stale": ReviewStale,
}
