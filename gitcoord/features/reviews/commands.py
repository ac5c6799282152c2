"""Commands about reviews: vote, request a review, list them; and the events to write after a review was posted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from gitcoord.core import lookup
from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fields import Words
from gitcoord.core.fold.membership import Repository
from gitcoord.core.names import same_agent
from gitcoord.features.reviews.events import (
    Commit,
    PullRequestEvent,
    ReviewPosted,
    ReviewRequested,
    ReviewStale,
    Voice,
    VoteCast,
)
from gitcoord.features.reviews.state import Pull, State, count_votes, find
from gitcoord.features.typed import Agents


def _without_hash(given: object) -> object:
    """Return a number without its `#`, so that `#12` is accepted too; any other value unchanged."""
    return given.removeprefix("#") if isinstance(given, str) else given


class OnPull(Arguments):
    pr: Annotated[int, BeforeValidator(_without_hash)] = Field(ge=1, le=2**31, description="The pull request's number")
    repo: Repository = Field("", description="The repository, OWNER/NAME (default: the fleet's own)")


class CastVote(OnPull):
    verdict: Voice = Field(description="Your vote")
    commit: Commit = Field(
        "", description="The commit that you examined (default: the newest reviewed, or the newest on GitHub)"
    )
    why: Words = Field("", description="The reason, shown in public")


class RequestReview(OnPull):
    to: Agents = Field([], description="Agents that are asked to vote")
    why: Words = Field("", description="A note for the reviewers")


class ListReviews(Arguments):
    stale: bool = Field(False, description="Only pull requests that must be reviewed again")


def cast(ctx: Context, args: CastVote) -> list[NewEvent]:
    pull = find(ctx, args.repo, args.pr)
    review = pull.review if pull else None
    commit = args.commit or (review.commit if review and not review.stale else "")
    if not commit and ctx.head_of is not None:
        commit = ctx.head_of(args.repo, args.pr)
    payload = VoteCast(pr=args.pr, repo=args.repo, commit=commit, verdict=args.verdict, why=args.why)
    verb = "approves" if args.verdict == "approve" else "rejects"
    return [
        _about(
            pull,
            "vote_cast",
            f"{ctx.actor} {verb} {args.repo}#{args.pr}"
            + (f" at {commit[:12]}" if commit else "")
            + (f": {args.why}" if args.why else ""),
            payload,
        )
    ]


def request(ctx: Context, args: RequestReview) -> list[NewEvent]:
    voters = [lookup.member(ctx, agent) for agent in args.to]
    payload = ReviewRequested(pr=args.pr, repo=args.repo, why=args.why)
    return [
        _about(
            find(ctx, args.repo, args.pr),
            "review_requested",
            f"{ctx.actor} asks for a review of {args.repo}#{args.pr}" + (f": {args.why}" if args.why else ""),
            payload,
            voters,
        )
    ]


def list_(ctx: Context, args: ListReviews) -> list[dict[str, Any]]:
    state: State = ctx.state("reviews")
    return [
        to_row(ctx, pull)
        for pull in state.pulls.values()
        if not args.stale or pull.requested or (pull.review is not None and pull.review.stale)
    ]


def show(ctx: Context, args: OnPull) -> dict[str, Any]:
    pull = find(ctx, args.repo, args.pr)
    if pull is None:
        name = f"{args.repo}#{args.pr}"
        raise Refused(f"nothing is recorded of pull request {name}: `gitcoord review list` lists the known ones")
    return to_row(ctx, pull) | {"ballots": [asdict(vote) for vote in pull.votes.values()]}


def to_row(ctx: Context, pull: Pull) -> dict[str, Any]:
    """Return the recorded review as a JSON row, with the count of the votes on the reviewed commit."""
    review = pull.review
    count = count_votes(pull, review.commit if review else "", ctx.state("settings").settings)
    return {
        "id": pull.id,
        "pull": pull.name,
        "repo": pull.repo or None,
        "pr": pull.pr,
        "verdict": review.verdict if review else None,
        "commit": review.commit if review else None,
        "stale": review.stale or None if review else None,
        "by": review.by if review else None,
        "at": review.at if review else None,
        "url": review.url or None if review else None,
        "votes": f"{count.approve} for, {count.reject} against, {count.quorum} needed",
        "outcome": count.outcome,
        "requested": pull.requested or None,
    }


def _answer(ctx: Context, uid: str) -> dict[str, Any]:
    """Return a `warning` if the vote does not count."""
    state: State = ctx.state("reviews")
    votes = [vote for pull in state.pulls.values() for vote in pull.votes.values() if same_agent(vote.agent, ctx.actor)]
    newest = max(votes, key=lambda vote: vote.at, default=None)
    if newest is None or newest.commit:
        return {}
    return {
        "warning": "the vote names no commit, and the remote shows none, so it does not count: "
        "cast it again with --commit"
    }


COMMANDS: Mapping[str, Command | Query] = {
    "review vote": Command(
        help="Vote on a pull request",
        example="gitcoord review vote 12 approve --why 'tests are in'",
        arguments=CastVote,
        decide=cast,
        binds=True,
        positional=("pr", "verdict"),
        idempotent=True,
        answer=_answer,
        tool="fleet_update",
    ),
    "review request": Command(
        help="Request a review of a pull request, and votes from agents",
        example="gitcoord review request 12 --why 'the parser is new'",
        arguments=RequestReview,
        decide=request,
        positional=("pr",),
        judged=False,
        idempotent=True,
    ),
    "review list": Query(
        help="List reviews and votes",
        example="gitcoord review list --stale",
        arguments=ListReviews,
        ask=list_,
        columns=("pull", "verdict", "commit", "stale", "votes", "at"),
        tool="fleet_show",
    ),
    "review show": Query(
        help="Show a pull request's review and each vote",
        example="gitcoord review show 12",
        arguments=OnPull,
        ask=show,
        positional=("pr",),
        before=("gitcoord review vote 12 approve",),
    ),
}


def news(pull: Pull | None, posted: ReviewPosted) -> list[NewEvent]:
    """Return the events to write after a review was posted: none if the ledger has it already."""
    known = pull.review if pull else None
    if (
        pull is not None
        and known is not None
        and not pull.requested
        and not known.stale
        and (known.verdict, known.commit, known.url, known.findings)
        == (posted.verdict, posted.commit, posted.url, posted.findings)
    ):
        return []
    return [
        _about(
            pull,
            "review_posted",
            f"{posted.repo}#{posted.pr} at {posted.commit[:12]}: {posted.verdict.replace('_', ' ')}",
            posted,
        )
    ]


def outdated(pull: Pull | None, stale: ReviewStale) -> NewEvent:
    """Return the event to write when a push came during the review."""
    return _about(
        pull,
        "review_stale",
        f"{stale.repo}#{stale.pr}: {stale.head[:12]} was pushed while {stale.commit[:12]} was reviewed",
        stale,
    )


def _about(pull: Pull | None, type_: str, words: str, payload: PullRequestEvent, to: Iterable[str] = ()) -> NewEvent:
    """Return an event about a pull request, as a reply to the first one: a pull request is one conversation."""
    return NewEvent(type_, words, payload.model_dump(mode="json"), to=tuple(to), re=pull.id if pull else None)
