"""What of a review goes into the ledger: that it was posted, or is stale, and whose account is proven in it."""

from __future__ import annotations

from gitcoord.core.commands import NewEvent
from gitcoord.features.reviews import commands
from gitcoord.github import account_proofs
from gitcoord.github.fleet_context import Surroundings
from gitcoord.github.review import Reviewed


def proposals(around: Surroundings, found: Reviewed, repo: str) -> list[NewEvent]:
    """`repo` is empty for that of the fleet's remote."""
    pull = around.pull(repo, found.picture.pull.number)
    posted, stale = found.event(repo), found.stale(repo)
    written = list(commands.news(pull, posted)) if posted is not None else []
    if stale is not None and posted is not None:
        written.append(commands.outdated(pull, stale))
    return [*written, *account_proofs.proposals(found.proofs)]
