"""The issue job: the leader keeps one open issue for each kind of problem that the fleet's settings name."""

from __future__ import annotations

import copy

from gitcoord.core.commands import Context, NewEvent
from gitcoord.features import issues
from gitcoord.github.api import upsert
from gitcoord.github.api.client import Client
from gitcoord.github.api.credentials import Credentials
from gitcoord.github.api.limits import Meter
from gitcoord.github.api.models import marker
from gitcoord.node.agent.leader_jobs import LeaseHeld, PreparedJob

EVERY_S = 60.0
LABEL = "gitcoord"


class IssueJob:
    """A leader job (`node/agent/leader_jobs.py`)."""

    name = "issue"

    def __init__(self, name: str, known: Credentials, meter: Meter) -> None:
        self.repository = name
        self.known = known
        self.meter = meter

    def interval_s(self, ctx: Context) -> float:
        return EVERY_S if ctx.state("settings").settings.github_issues else 0.0

    def prepare(self, ctx: Context) -> PreparedJob | None:
        due = copy.deepcopy(issues.due(ctx))
        return (lambda lease_held: self._work(due, lease_held)) if due else None

    def _work(self, due: dict[str, issues.Due], lease_held: LeaseHeld) -> list[NewEvent]:
        written = []
        with Client(self.repository, self.known, patience_s=0, meter=self.meter) as client:
            for kind, one in due.items():
                mark = marker(f"issue:{kind}")
                known = client.issue_with(mark, labels=[LABEL])
                if not lease_held():
                    break
                issue = upsert.put_issue(
                    client,
                    marker=mark,
                    title=issues.title(kind),
                    labels=[LABEL],
                    body=issues.body(one.shown(known.number if known else 0)),
                )
                written.append(issues.updated(kind, issue.number, issue.url, one.new))
        return written
