"""The events of a review: it was posted, or is stale, or proved an account."""

from __future__ import annotations

from gitcoord.core.commands import NewEvent
from gitcoord.features.reviews import commands
from gitcoord.github import account_proofs
from gitcoord.github.fleet_context import FleetContext
from gitcoord.github.review import ReviewResult


def proposals(fleet: FleetContext, found: ReviewResult, repo: str) -> list[NewEvent]:
    """Return the events that record a review. `repo` is "" for the repository of the fleet's remote."""
    pull = fleet.pull(repo, found.pull_input.pull.number)
    posted, stale = found.event(repo), found.stale(repo)
    written = list(commands.news(pull, posted)) if posted is not None else []
    if stale is not None and posted is not None:
        written.append(commands.outdated(pull, stale))
    return [*written, *account_proofs.proposals(found.proofs)]
