"""The state of pull requests: the votes of agents, and the newest review of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from gitcoord.core.commands import Context
from gitcoord.features.settings import Settings

Outcome = Literal["none", "waiting", "approved", "rejected"]


@dataclass(slots=True)
class Vote:
    """An agent's vote, on the commit that it named. A vote without a commit does not count."""

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
    """The fleet's knowledge of a pull request; `id` is that of the first event about it."""

    id: str
    repo: str
    pr: int
    by: str  # the first author of an event about it
    votes: dict[str, Vote] = field(default_factory=dict)  # by agent, casefolded
    requested: str = ""  # since when a review is wanted
    review: Posted | None = None

    @property
    def name(self) -> str:
        return f"{self.repo}#{self.pr}"


@dataclass(slots=True)
class State:
    """Pull requests by `key`, in the order of their newest events."""

    pulls: dict[str, Pull] = field(default_factory=dict)


def key(repo: str, pr: int) -> str:
    return f"{repo.casefold()}#{pr}"


def find(ctx: Context, repo: str, pr: int) -> Pull | None:
    state: State = ctx.state("reviews")
    return state.pulls.get(key(repo, pr))


@dataclass(frozen=True, slots=True)
class VoteCount:
    """Votes on one commit, by their weight. Below the quorum of both sides together, the outcome is `waiting`."""

    votes: tuple[Vote, ...]
    stale: tuple[Vote, ...]  # on another commit, or on none
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


def count_votes(
    pull: Pull | None, commit: str, settings: Settings, *, author: Collection[str] = (), namesake: str = ""
) -> VoteCount:
    """Count the votes on `commit`. The agents in `author` (casefolded) are the pull request's own author.

    `namesake` has the name of the author's account, and may be the author: it may reject, but its approval does not
    count. If it could not vote at all, a stranger could silence a member by taking its name for an account.
    """
    weights = {agent.casefold(): weight for agent, weight in settings.review_weights.items()}
    cast = [
        vote
        for voter, vote in (pull.votes if pull else {}).items()
        if voter not in author and not (voter == namesake and vote.verdict == "approve")
    ]
    counted = tuple(vote for vote in cast if commit and vote.commit == commit)
    sums = {
        voice: sum(weights.get(vote.agent.casefold(), 1) for vote in counted if vote.verdict == voice)
        for voice in ("approve", "reject")
    }
    return VoteCount(
        counted,
        tuple(vote for vote in cast if vote not in counted),
        sums["approve"],
        sums["reject"],
        settings.review_quorum,
    )
