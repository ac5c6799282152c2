"""Issues: alerts of the chosen kinds are listed in one issue on GitHub for each kind, each alert once.

The events are those that become alerts (`alerts.py`). The setting `github_issues` chooses the kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, Field

from gitcoord.core.commands import Command, Context, NewEvent, Query
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fields import Payload, Uid, Url
from gitcoord.core.fold.authority import LEADER, Who
from gitcoord.core.secret_scan.credentials import redacted
from gitcoord.core.text import count
from gitcoord.features import alerts
from gitcoord.features.alerts import Alert
from gitcoord.features.pages.markdown import inline

TOLD_MAX = 1000  # events that are known to be in an issue; more than `alerts` keeps
SHOWN_MAX = 50  # newest events in an issue's body


class IssueUpdated(Payload):
    """The leader has put these events into an issue."""

    kind: Literal["error", "escalated", "degraded"]
    number: int = Field(ge=1, le=2**31)
    url: Url = ""
    events: list[Uid] = Field(min_length=1, max_length=alerts.WAITING_MAX)


EVENTS: Mapping[str, type[BaseModel]] = {"issue_updated": IssueUpdated}
AUTHORITY: Mapping[str, Who] = {"issue_updated": LEADER}
COMMANDS: Mapping[str, Command | Query] = {}


@dataclass(slots=True)
class State:
    """Events that are in an issue, and its number; the oldest are forgotten."""

    told: dict[str, int] = field(default_factory=dict)


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    if sequenced.void is not None or not isinstance(sequenced.payload, IssueUpdated):
        return None
    new = [uid for uid in sequenced.payload.events if uid not in state.told]
    state.told.update(dict.fromkeys(new, sequenced.payload.number))
    while len(state.told) > TOLD_MAX:
        del state.told[next(iter(state.told))]
    return None if new else "these events are in an issue already"


@dataclass(frozen=True, slots=True)
class Due:
    """`new`: alerts that are in no issue yet, oldest first. `told`: issue number → the alerts in it."""

    new: list[Alert]
    told: dict[int, list[Alert]]

    def shown(self, number: int) -> list[Alert]:
        """Return the alerts that the issue `number` should hold now; 0: an issue that is opened now."""
        return [*self.told.get(number, []), *self.new][-SHOWN_MAX:]


def due(ctx: Context) -> dict[str, Due]:
    """Return, by kind, the alerts to add to an issue now; no entry for a kind without new alerts."""
    known: alerts.State = ctx.state("alerts")
    told = ctx.state("issues").told
    found: dict[str, Due] = {}
    for kind in ctx.state("settings").settings.github_issues:
        every = sorted(
            (one for one in (*known.sent.values(), *known.waiting.values()) if one.kind == kind),
            key=lambda one: (one.at, one.id),
        )
        new = [one for one in every if one.id not in told and ctx.age_s(one.at, one.position) < alerts.FORGOTTEN_S]
        there: dict[int, list[Alert]] = {}
        for one in every:
            if one.id in told:
                there.setdefault(told[one.id], []).append(one)
        if new:
            found[kind] = Due(new, there)
    return found


def title(kind: str) -> str:
    return f"gitcoord: {kind}"


def body(shown: Iterable[Alert]) -> str:
    """Return the issue's text, with secrets redacted, and without mentions or commands that GitHub would act on."""
    lines = [f"- {one.at} {inline(one.actor)}: {inline(redacted(one.text), most=alerts.TEXT_MAX)}" for one in shown]
    return "\n".join(
        ["The newest event comes last. Close this issue when it is resolved: a later event opens another.", "", *lines]
    )


def updated(kind: str, number: int, url: str, new: Iterable[Alert]) -> NewEvent:
    """Return the event that records that these alerts are in the issue `number`. `new` is not empty."""
    events = [one.id for one in new]
    words = f"{count(len(events), 'event')} of kind {kind} in issue {number}"
    return NewEvent(
        "issue_updated", words, {"kind": kind, "number": number, "url": url, "events": events}, re=events[0]
    )
