"""What of a review goes into the ledger: that it was posted, and that somebody pushed meanwhile; each once."""

from __future__ import annotations

from gitcoord.core.commands import Look, Proposal
from gitcoord.features import reviews
from gitcoord.github.review import Reviewed


def proposals(look: Look, found: Reviewed, repo: str) -> list[Proposal]:
    """`repo` is empty for that of the fleet's remote."""
    posted, stale = found.event(repo), found.stale(repo)
    written = reviews.news(look, posted) if posted is not None else []
    if stale is not None and posted is not None:
        written = [*written, *reviews.outdated(look, stale)]
    return written
