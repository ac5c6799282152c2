"""The review: a pull request is read through the API, merged on trial, and judged. Its code is never run."""

from __future__ import annotations

from dataclasses import dataclass

from gitcoord.code.fetched import Source
from gitcoord.core.errors import Denied, Refused
from gitcoord.core.fold.account_proof import AccountProof
from gitcoord.features.reviews.events import ReviewPosted, ReviewStale
from gitcoord.features.reviews.state import count_votes
from gitcoord.github import account_proofs, fleet_context, posting, pull_conflicts, verdict
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import PullRequest
from gitcoord.github.fleet_context import FleetContext
from gitcoord.github.posting import PostingResult
from gitcoord.github.verdict import Judgement, ReviewInput

STALE_MAX = 3  # attempts, if somebody pushes during the review; then it is left to the next run


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """The result of a review. `posted` is None after a dry run."""

    pull_input: ReviewInput
    judgement: Judgement
    posted: PostingResult | None = None
    proofs: tuple[AccountProof, ...] = ()  # account proofs in the pull request

    def event(self, repo: str) -> ReviewPosted | None:
        """Return the event that records the review; None if none was posted.

        `repo` is "" for the repository of the fleet's remote.
        """
        if self.posted is None or self.posted.event is None:
            return None
        return ReviewPosted(
            pr=self.pull_input.pull.number,
            repo=repo,
            commit=self.pull_input.pull.head,
            verdict=self.judgement.verdict,
            url=self.posted.url,
            findings=len(self.judgement.findings),
        )

    def stale(self, repo: str) -> ReviewStale | None:
        """Return the event that records a push during the review; None if there was none."""
        if self.posted is None or self.posted.stale is None:
            return None
        pull = self.pull_input.pull
        return ReviewStale(pr=pull.number, repo=repo, commit=pull.head, head=self.posted.stale)


def gather(
    client: Client,
    number: int,
    fleet: FleetContext,
    *,
    repo: str,
    source: Source | None,
    others: list[PullRequest] | None = None,
) -> ReviewInput:
    """Return the input of a review of a pull request as it is now. Raise Refused if it is not open.

    `repo` is "" for the repository of the fleet's remote; `source` is the git remote for trial merges, if there is one;
    `others` has the open pull requests, if they are known.
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
        agents=fleet.agents,
    )
    author = fleet.agents_of(pull.author)
    return ReviewInput(
        pull,
        files,
        fleet.settings,
        count_votes(
            fleet.pull(repo, number), pull.head, fleet.settings, author=author, namesake=fleet.namesake(pull.author)
        ),
        found.found,
        tuple(fleet_context.overlaps(fleet, verdict.changed_paths(files), author=author, branch=pull.head_ref)),
        _statuses(client, pull.head) if fleet.settings.review_statuses else None,
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
    fleet: FleetContext,
    *,
    repo: str,
    source: Source | None,
    others: list[PullRequest] | None = None,
    dry_run: bool = False,
) -> ReviewResult:
    """Review a pull request and return the result: gather, judge, post. Repeat that if somebody pushed before the post.

    With `dry_run`, nothing is posted. The other arguments are those of `gather`.
    """
    for _ in range(STALE_MAX):
        pull_input = gather(client, number, fleet, repo=repo, source=source, others=others)
        judgement = verdict.judged(pull_input)
        if dry_run:
            return ReviewResult(pull_input, judgement)
        posted = posting.post(client, pull_input, judgement)
        if posted.event is not None:
            break
    return ReviewResult(pull_input, judgement, posted, account_proofs.shown(client, pull_input.pull, fleet))
