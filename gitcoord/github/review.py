"""Reviewing: a pull request is read through the API, merged on trial, and judged. Its code is never run."""

from __future__ import annotations

from dataclasses import dataclass

from gitcoord.code.fetched import Source
from gitcoord.core.errors import Denied, Refused
from gitcoord.core.fold.account_proof import AccountProof
from gitcoord.features.reviews.events import ReviewPosted, ReviewStale
from gitcoord.features.reviews.state import tally
from gitcoord.github import account_proofs, fleet_context, posting, pull_conflicts, verdict
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import PullRequest
from gitcoord.github.fleet_context import Surroundings
from gitcoord.github.posting import Posted
from gitcoord.github.verdict import Judgement, ReviewInput

STALE_MAX = 3  # pushes in mid-review, before it is left to the next run


@dataclass(frozen=True, slots=True)
class Reviewed:
    """`posted` is None after a dry run."""

    picture: ReviewInput
    judgement: Judgement
    posted: Posted | None = None
    proofs: tuple[AccountProof, ...] = ()  # of accounts, that stand in the pull request

    def event(self, repo: str) -> ReviewPosted | None:
        """What is to be recorded of it; `repo` is empty for that of the fleet's remote."""
        if self.posted is None or self.posted.event is None:
            return None
        return ReviewPosted(
            pr=self.picture.pull.number,
            repo=repo,
            commit=self.picture.pull.head,
            verdict=self.judgement.verdict,
            url=self.posted.url,
            findings=len(self.judgement.findings),
        )

    def stale(self, repo: str) -> ReviewStale | None:
        """That a push came in between."""
        if self.posted is None or self.posted.stale is None:
            return None
        pull = self.picture.pull
        return ReviewStale(pr=pull.number, repo=repo, commit=pull.head, head=self.posted.stale)


def look(
    client: Client,
    number: int,
    around: Surroundings,
    *,
    repo: str,
    source: Source | None,
    others: list[PullRequest] | None = None,
) -> ReviewInput:
    """A picture of a pull request as it is now. Raises Refused where there is no such open one.

    `source` is the git remote, where there is one to try merges from; `others`: the open ones, where they are known.
    """
    pull = client.pull(number)
    if pull.state != "open":
        raise Refused(f"pull request #{number} of {client.repository} is {'merged' if pull.merged else 'closed'}")
    files = client.files(number)
    found = pull_conflicts.of(
        client,
        pull,
        files.listed,
        others if others is not None else client.open_pulls(),
        source=source,
        agents=around.agents,
    )
    author = around.agents_of(pull.author)
    return ReviewInput(
        pull,
        files,
        around.settings,
        tally(
            around.pull(repo, number), pull.head, around.settings, author=author, namesake=around.namesake(pull.author)
        ),
        found.found,
        tuple(fleet_context.overlaps(around, verdict.touched(files), author=author, branch=pull.head_ref)),
        _statuses(client, pull.head) if around.settings.review_statuses else None,
        found.not_checked,
    )


def _statuses(client: Client, commit: str) -> dict[str, str] | None:
    try:
        return verdict.states(client.statuses(commit), client.checks(commit))
    except Denied:
        return None


def reviewed(
    client: Client,
    number: int,
    around: Surroundings,
    *,
    repo: str,
    source: Source | None,
    others: list[PullRequest] | None = None,
    dry_run: bool = False,
) -> Reviewed:
    """Look, judge and post; once more where somebody pushed before it was posted."""
    for _ in range(STALE_MAX):
        picture = look(client, number, around, repo=repo, source=source, others=others)
        judgement = verdict.judged(picture)
        if dry_run:
            return Reviewed(picture, judgement)
        posted = posting.post(client, picture, judgement)
        if posted.event is not None:
            break
    return Reviewed(picture, judgement, posted, account_proofs.shown(client, picture.pull, around))
