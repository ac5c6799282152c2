"""Reviews: agents vote on pull requests, somebody who looked says what came of it, and a push makes both old news.

A pull request is on a forge, which no fold can ask. So a vote that names no commit is for the one that the next review
looks at: from then on it is pinned to it, and a later push takes its weight away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gitcoord.core import lookup
from gitcoord.core.commands import Arguments, Command, Look, Proposal, Query
from gitcoord.core.errors import Refused
from gitcoord.core.event import Event
from gitcoord.core.fleet import Duty, Recorded
from gitcoord.features import values
from gitcoord.features.settings import Settings
from gitcoord.features.messages.typed import Agents

PULLS_MAX = 1000  # the ones that were quiet for longest are forgotten
VOTES_MAX = 200  # on one
WHY_CHARS_MAX = 500

Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")]
Repo = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100})?$")]
Number = Annotated[int, Field(ge=1, le=2**31)]
Voice = Literal["approve", "reject"]
Verdict = Literal["approve", "comment", "request_changes"]
Outcome = Literal["none", "waiting", "approved", "rejected"]


class OfPull(BaseModel):
    """What an event is about. An empty `repo` is the one that the fleet's remote is; an empty `commit` any."""

    model_config = ConfigDict(defer_build=True)

    pr: Number
    repo: Repo = ""
    commit: Commit = ""


class VoteCast(OfPull):
    """The author's opinion, in place of an earlier one of his."""

    verdict: Voice
    why: str = Field("", max_length=WHY_CHARS_MAX)


class ReviewRequested(OfPull):
    """The author wants it to be reviewed (again); whom the event is addressed to is asked for a vote."""

    why: str = Field("", max_length=WHY_CHARS_MAX)


class ReviewPosted(OfPull):
    """The author looked at `commit`, and has said what came of it on the forge."""

    verdict: Verdict
    url: str = Field("", max_length=500)
    findings: int = Field(0, ge=0)


class ReviewStale(OfPull):
    """While the author looked at `commit`, somebody pushed `head`."""

    head: Commit


EVENTS: Mapping[str, type[BaseModel]] = {
    "vote_cast": VoteCast, "review_requested": ReviewRequested, "review_posted": ReviewPosted,
    "review_stale": ReviewStale,
}


@dataclass(slots=True)
class Vote:
    """Of one agent. `commit` is empty until a review has looked at one."""

    agent: str
    verdict: str
    why: str
    commit: str
    at: str


@dataclass(slots=True)
class Posted:
    """The newest review. `stale`: the commit that was pushed since, as far as it is known."""

    verdict: str
    commit: str
    url: str
    by: str
    at: str
    findings: int = 0
    stale: str = ""


@dataclass(slots=True)
class Pull:
    """What the fleet has said of a pull request; `id` is that of the first event about it."""

    id: str
    repo: str
    pr: int
    votes: dict[str, Vote] = field(default_factory=dict)  # by agent, casefolded
    requested: str = ""  # since when a review is wanted
    review: Posted | None = None

    @property
    def name(self) -> str:
        return f"{self.repo}#{self.pr}"


@dataclass(slots=True)
class State:
    """By `key`, those that were spoken of last at the end."""

    pulls: dict[str, Pull] = field(default_factory=dict)


def key(repo: str, pr: int) -> str:
    return f"{repo.casefold()}#{pr}"


def fold(state: State, recorded: Recorded) -> str | None:
    if recorded.void is not None or recorded.event.type not in EVENTS:
        return None
    match recorded.payload:
        case VoteCast() as vote:
            return _vote(_pull(state, recorded.event, vote), recorded.event, vote)
        case ReviewRequested() as wish:
            _pull(state, recorded.event, wish).requested = recorded.event.timestamp
        case ReviewPosted() as posted:
            return _post(_pull(state, recorded.event, posted), recorded.event, posted)
        case ReviewStale() as stale:
            return _outdate(_pull(state, recorded.event, stale), stale)
    return None


def _pull(state: State, event: Event, about: OfPull) -> Pull:
    name = key(about.repo, about.pr)
    found = state.pulls.pop(name, None) or Pull(event.uid, about.repo, about.pr)
    state.pulls[name] = found
    while len(state.pulls) > PULLS_MAX:
        del state.pulls[next(iter(state.pulls))]
    return found


def _vote(pull: Pull, event: Event, vote: VoteCast) -> str | None:
    voter = event.actor.casefold()
    known = pull.votes.get(voter)
    if known is None and len(pull.votes) >= VOTES_MAX:
        return f"{VOTES_MAX} agents have voted on {pull.name} already"
    if known is not None and (known.verdict, known.why, known.commit) == (vote.verdict, vote.why, vote.commit):
        return f"{known.agent} has said so already"
    pull.votes[voter] = Vote(event.actor, vote.verdict, vote.why, vote.commit, event.timestamp)
    return None


def _post(pull: Pull, event: Event, posted: ReviewPosted) -> str | None:
    known = pull.review
    pull.requested = ""
    for vote in pull.votes.values():
        vote.commit = vote.commit or posted.commit
    if known is not None and (known.verdict, known.commit, known.url, known.findings) == (
            posted.verdict, posted.commit, posted.url, posted.findings):
        return f"{known.by} has said so already"
    pull.review = Posted(posted.verdict, posted.commit, posted.url, event.actor, event.timestamp, posted.findings)
    return None


def _outdate(pull: Pull, stale: ReviewStale) -> str | None:
    if pull.review is None or pull.review.commit != stale.commit:
        return "no review of that commit is the newest one"
    if pull.review.stale == stale.head:
        return "that is known already"
    pull.review.stale = stale.head
    return None


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes on one commit, by their weight. `outcome`: whoever has more, once all together are the quorum."""

    votes: tuple[Vote, ...]
    stale: tuple[Vote, ...]  # on another commit
    approve: int
    reject: int
    quorum: int

    @property
    def outcome(self) -> Outcome:
        if self.approve + self.reject < self.quorum:
            return "waiting"
        if self.reject and self.reject >= self.approve:
            return "rejected"
        return "approved" if self.approve else "none"


def tally(pull: Pull | None, commit: str, settings: Settings, *, author: str = "") -> Tally:
    """What the votes on `commit` amount to; that of the pull request's own author counts for nothing."""
    weights = {agent.casefold(): weight for agent, weight in settings.review_weights.items()}
    cast = [vote for voter, vote in (pull.votes if pull else {}).items() if voter != author.casefold()]
    counted = tuple(vote for vote in cast if vote.commit in ("", commit))
    sums = {voice: sum(weights.get(vote.agent.casefold(), 1) for vote in counted if vote.verdict == voice)
            for voice in ("approve", "reject")}
    return Tally(counted, tuple(vote for vote in cast if vote.commit not in ("", commit)), sums["approve"],
                 sums["reject"], settings.review_quorum)


def news(pull: Pull | None, posted: ReviewPosted) -> list[Proposal]:
    """What is to be written after a review was posted: nothing, where the ledger has it."""
    known = pull.review if pull else None
    if pull is not None and known is not None and not pull.requested and not known.stale and (
            known.verdict, known.commit, known.url, known.findings) == (
            posted.verdict, posted.commit, posted.url, posted.findings):
        return []
    return [_about(pull, "review_posted", f"{posted.repo}#{posted.pr} at {posted.commit[:12]}: "
                   f"{posted.verdict.replace('_', ' ')}", posted)]


def outdated(pull: Pull | None, stale: ReviewStale) -> Proposal:
    """What is to be written when a push came in between."""
    return _about(pull, "review_stale", f"{stale.repo}#{stale.pr}: {stale.head[:12]} was pushed while "
                  f"{stale.commit[:12]} was reviewed", stale)


def find(look: Look, repo: str, pr: int) -> Pull | None:
    state: State = look.state("reviews")
    return state.pulls.get(key(repo, pr))


def _about(pull: Pull | None, type_: str, words: str, payload: OfPull, to: Iterable[str] = ()) -> Proposal:
    """One pull request is one conversation."""
    return Proposal(type_, words, payload.model_dump(mode="json"), to=tuple(to), re=pull.id if pull else None)


# Commands


class OnPull(Arguments):
    pr: int = Field(ge=1, description="The pull request's number")
    repo: Repo = Field("", description="Its owner/name, unless it is the fleet's own")


class CastVote(OnPull):
    verdict: Voice = Field(description="Your opinion")
    commit: Commit = Field("", description="What you looked at")
    why: str = Field("", max_length=WHY_CHARS_MAX, description="Why, in public")


class Request(OnPull):
    to: Agents = Field([], description="Agents that are asked to vote")
    why: str = Field("", max_length=WHY_CHARS_MAX, description="What to look at")


class Reviews(Arguments):
    stale: bool = Field(False, description="Only those to be reviewed again")


def cast(look: Look, asked: CastVote) -> list[Proposal]:
    pull = find(look, asked.repo, asked.pr)
    review = pull.review if pull else None
    commit = asked.commit or (review.commit if review and not review.stale else "")
    payload = VoteCast(pr=asked.pr, repo=asked.repo, commit=commit, verdict=asked.verdict, why=asked.why)
    verb = "approves" if asked.verdict == "approve" else "rejects"
    return [_about(pull, "vote_cast", f"{look.actor} {verb} {asked.repo}#{asked.pr}"
                   + (f": {asked.why}" if asked.why else ""), payload)]


def request(look: Look, asked: Request) -> list[Proposal]:
    voters = [lookup.member(look, agent) for agent in asked.to]
    payload = ReviewRequested(pr=asked.pr, repo=asked.repo, why=asked.why)
    return [_about(find(look, asked.repo, asked.pr), "review_requested", f"{look.actor} asks for a review of "
                   f"{asked.repo}#{asked.pr}" + (f": {asked.why}" if asked.why else ""), payload, voters)]


def list_(look: Look, asked: Reviews) -> list[dict[str, Any]]:
    state: State = look.state("reviews")
    return [shown(look, pull) for pull in state.pulls.values()
            if not asked.stale or pull.requested or (pull.review is not None and pull.review.stale)]


def show(look: Look, asked: OnPull) -> dict[str, Any]:
    pull = find(look, asked.repo, asked.pr)
    if pull is None:
        raise Refused(f"nobody has said anything of {asked.repo}#{asked.pr}: `gitcoord reviews list` shows the others")
    return shown(look, pull) | {"ballots": [asdict(vote) for vote in pull.votes.values()]}


def shown(look: Look, pull: Pull) -> dict[str, Any]:
    """As recorded; the votes as they count for the commit that was reviewed."""
    review = pull.review
    count = tally(pull, review.commit if review else "", look.state("settings").settings)
    return {
        "id": pull.id, "pull": pull.name, "repo": pull.repo or None, "pr": pull.pr,
        "verdict": review.verdict if review else None, "commit": review.commit if review else None,
        "stale": review.stale or None if review else None, "by": review.by if review else None,
        "at": review.at if review else None, "url": review.url or None if review else None,
        "votes": f"{count.approve} for, {count.reject} against, {count.quorum} needed", "outcome": count.outcome,
        "requested": pull.requested or None,
    }


COMMANDS: Mapping[str, Command | Query] = {
    "vote": Command(
        help="Vote on a pull request", example="gitcoord vote 12 approve --why 'tests are in'",
        arguments=CastVote, decide=cast, positional=("pr", "verdict"), idempotent=True, tool="proposal_decide",
    ),
    "reviews request": Command(
        help="Ask for a review of a pull request, and agents for their votes",
        example="gitcoord reviews request 12 --why 'the parser is new'", arguments=Request, decide=request,
        positional=("pr",), judged=False, idempotent=True,
    ),
    "reviews list": Query(
        help="Show reviews and votes", example="gitcoord reviews list --stale",
        arguments=Reviews, ask=list_, columns=("pull", "verdict", "commit", "stale", "votes", "at"), tool="fleet_show",
    ),
    "reviews show": Query(
        help="Show the review of a pull request, and who voted how", example="gitcoord reviews show 12",
        arguments=OnPull, ask=show, positional=("pr",), before=("gitcoord vote 12 approve",),
    ),
}


def duty(state: State, look: Look) -> Iterable[Duty]:
    return ()  # only who can reach the forge can review: gitcoord/github/reviewing.py


def dump(state: State) -> Any:
    return values.dump(state)


def load(value: Any) -> State:
    return values.load(State, value)
