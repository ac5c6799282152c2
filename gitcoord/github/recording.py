"""What of a review goes into the ledger: that it was posted, and that somebody pushed meanwhile; each once."""

from __future__ import annotations

from gitcoord.core.commands import Proposal
from gitcoord.features.reviews import commands
from gitcoord.github.review import Reviewed
from gitcoord.github.surroundings import Surroundings


def proposals(around: Surroundings, found: Reviewed, repo: str) -> list[Proposal]:
    """`repo` is empty for that of the fleet's remote."""
    pull = around.pull(repo, found.picture.pull.number)
    posted, stale = found.event(repo), found.stale(repo)
    written = commands.news(pull, posted) if posted is not None else []
    return [*written, commands.outdated(pull, stale)] if stale is not None and posted is not None else written
