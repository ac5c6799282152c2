"""The leader reviews: with `github_review` it looks at pull requests that are new, changed, voted on, or asked about.

What it has seen of each is remembered by this process alone: a new leader looks once more, which changes nothing where
nothing changed, as a review is updated and not repeated.
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
from gitcoord.github.fleet_context import Surroundings
from gitcoord.github.verdict import LABELS
from gitcoord.node.agent.leader_jobs import LeaseHeld, PreparedJob

EVERY_S = 60.0
AT_ONCE_MAX = 10  # reviews of one turn: about eight requests each
AGAIN_TURNS = 10  # where statuses are waited for, whose change is not seen in the list


class Reviewing:
    """An errand (`node/agent/leader_jobs.py`)."""

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
        around = fleet_context.around(ctx)
        return lambda may_act: self._work(around, may_act)

    def _work(self, around: Surroundings, may_act: LeaseHeld) -> list[NewEvent]:
        self._turn += 1
        written: list[NewEvent] = []
        with Client(self.repository, self.known, patience_s=0, meter=self.meter) as client:
            pulls = client.open_pulls()
            self._seen = {
                number: seen for number, seen in self._seen.items() if number in {one.number for one in pulls}
            }
            wanted = [one for one in pulls if self._seen.get(one.number) != self._mark(one, around)]
            for pull in wanted[:AT_ONCE_MAX]:
                if not may_act() or self.meter.is_scarce():
                    break
                try:
                    found = review.reviewed(client, pull.number, around, repo="", source=self.source, others=pulls)
                except Refused:
                    continue  # it was closed meanwhile
                written += [one for one in recording.proposals(around, found, "") if one not in written]
                if found.posted is not None and found.posted.event is not None and not found.posted.stale:
                    self._seen[pull.number] = self._mark(pull, around)
        return written

    def _mark(self, pull: PullRequest, around: Surroundings) -> object:
        """What makes another look worth its requests, as far as it costs none to find out."""
        told = around.pull("", pull.number)
        votes = sorted((voter, vote.verdict, vote.commit) for voter, vote in told.votes.items()) if told else []
        labels = [label for label in pull.labels if not label.startswith(LABELS)]
        gates = around.settings.model_dump_json(exclude_unset=True)
        turn = self._turn // AGAIN_TURNS if around.settings.review_statuses else 0
        said = pull.updated if around.claims else None  # a new comment may prove whose account it is
        return (
            pull.head,
            pull.base,
            pull.base_ref,
            pull.draft,
            labels,
            votes,
            told.requested if told else "",
            gates,
            turn,
            said,
        )
