"""The review job: with `github_review` the leader reviews pull requests that are new, changed, voted on, or requested.

The state of each is only in this process's memory. A new leader reviews again, which changes nothing on GitHub if
nothing has changed, because a review is updated and not repeated.
"""

from __future__ import annotations

from gitcoord.code.fetched import Source
from gitcoord.core.commands import Context, NewEvent
from gitcoord.core.errors import Refused
from gitcoord.features.settings import Settings
from gitcoord.github import fleet_context, recording, review
from gitcoord.github.api.client import Client
from gitcoord.github.api.credentials import Credentials
from gitcoord.github.api.limits import Meter
from gitcoord.github.api.models import PullRequest
from gitcoord.github.fleet_context import FleetContext
from gitcoord.github.verdict import LABELS
from gitcoord.node.agent.leader_jobs import LeaseHeld, PreparedJob

EVERY_S = 60.0
AT_ONCE_MAX = 10  # reviews in one turn: about eight requests each
AGAIN_TURNS = 10  # review again after so many turns if statuses count: the list does not show their changes


class ReviewJob:
    """A leader job (`node/agent/leader_jobs.py`)."""

    name = "review"

    def __init__(self, name: str, known: Credentials, source: Source, meter: Meter) -> None:
        self.repository = name
        self.known = known
        self.source = source
        self.meter = meter
        self._seen: dict[int, object] = {}
        self._turn = 0

    def interval_s(self, ctx: Context) -> float:
        settings: Settings = ctx.state("settings").settings
        return EVERY_S if settings.github_review and not self.meter.is_scarce() else 0.0

    def prepare(self, ctx: Context) -> PreparedJob | None:
        fleet = fleet_context.gather(ctx)
        return lambda lease_held: self._work(fleet, lease_held)

    def _work(self, fleet: FleetContext, lease_held: LeaseHeld) -> list[NewEvent]:
        self._turn += 1
        written: list[NewEvent] = []
        with Client(self.repository, self.known, patience_s=0, meter=self.meter) as client:
            pulls = client.open_pulls()
            self._seen = {
                number: seen for number, seen in self._seen.items() if number in {one.number for one in pulls}
            }
            wanted = [one for one in pulls if self._seen.get(one.number) != self._mark(one, fleet)]
            for pull in wanted[:AT_ONCE_MAX]:
                if not lease_held() or self.meter.is_scarce():
                    break
                try:
                    found = review.reviewed(client, pull.number, fleet, repo="", source=self.source, others=pulls)
                except Refused:
                    continue  # it was closed meanwhile
                written += [one for one in recording.proposals(fleet, found, "") if one not in written]
                if found.posted is not None and found.posted.event is not None and not found.posted.stale:
                    self._seen[pull.number] = self._mark(pull, fleet)
        return written

    def _mark(self, pull: PullRequest, fleet: FleetContext) -> object:
        """Return a value that changes when another review is needed, as far as that is known without a request."""
        known = fleet.pull("", pull.number)
        votes = sorted((voter, vote.verdict, vote.commit) for voter, vote in known.votes.items()) if known else []
        labels = [label for label in pull.labels if not label.startswith(LABELS)]
        gates = fleet.settings.model_dump_json(exclude_unset=True)
        turn = self._turn // AGAIN_TURNS if fleet.settings.review_statuses else 0
        updated = pull.updated if fleet.claims else None  # a new comment may prove an account
        return (
            pull.head,
            pull.base,
            pull.base_ref,
            pull.draft,
            labels,
            votes,
            known.requested if known else "",
            gates,
            turn,
            updated,
        )
