"""Alerts: events that people must hear of; each is sent once, whichever agent leads.

The fleet's setting `alerts` chooses the kinds. The addresses are not in the ledger: they hold secrets, and a log cannot
forget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from gitcoord.core.commands import Arguments, Command, Context, Query
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fields import Count, Given, Payload, Uid
from gitcoord.core.fold.authority import LEADER, Who
from gitcoord.core.lookup import find
from gitcoord.core.secret_scan.credentials import redacted
from gitcoord.core.text import Place, fit
from gitcoord.features.directives.events import DirectiveEscalated
from gitcoord.features.recovery.state import Escalated, FleetDegraded

WAITING_MAX = 500  # the oldest are dropped: a person with so many alerts reads the log
WAITING_OF_ONE_MAX = 100  # per author: a flood of one author's errors hides no other author's
SENT_MAX = 100  # newest sent alerts that are kept for `gitcoord alerts`
AT_ONCE_MAX = 20  # in one message, which gives the number of the others
EVERY_S = 60.0  # between two messages: alerts in between go into the next one
FORGOTTEN_S = 6 * 3600.0  # older events are not sent: a fleet that sets its first address does not send its whole past
TEXT_MAX = 500

Kind = Literal["error", "escalated", "degraded"]


class AlertSent(Payload):
    """The leader has sent these events to people; `re` is the first of them."""

    events: list[Uid] = Field([], max_length=WAITING_MAX)
    addresses: Count = 0


EVENTS: Mapping[str, type[BaseModel]] = {"alert_sent": AlertSent}
AUTHORITY: Mapping[str, Who] = {"alert_sent": LEADER}


@dataclass(slots=True)
class Alert:
    """An event that people must hear of."""

    id: str
    kind: Kind
    actor: str
    text: str
    at: str
    sent: str = ""  # when; empty while it waits
    position: int = 0


@dataclass(slots=True)
class State:
    """Alerts by their event's id, oldest first."""

    waiting: dict[str, Alert] = field(default_factory=dict)
    sent: dict[str, Alert] = field(default_factory=dict)
    last: str = ""  # when the newest message went out
    last_position: int = 0


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    if sequenced.void is not None:
        return None
    match sequenced.payload:
        case None:
            if sequenced.event.type == "error" and sequenced.role != "guest":  # a guest's errors alert nobody
                _enqueue(state, sequenced, "error")
        case AlertSent() as alert_sent:
            return _note_sent(state, sequenced, alert_sent)
        case Escalated() | DirectiveEscalated():
            _enqueue(state, sequenced, "escalated")
        case FleetDegraded():
            _enqueue(state, sequenced, "degraded")
    return None


def _enqueue(state: State, sequenced: SequencedEvent, kind: Kind) -> None:
    event = sequenced.event
    state.waiting[event.uid] = Alert(
        event.uid, kind, event.shown_actor, event.content[:TEXT_MAX], event.timestamp, position=sequenced.position
    )
    of_author = [one.id for one in state.waiting.values() if one.actor == event.shown_actor]
    for uid in of_author[:-WAITING_OF_ONE_MAX]:
        del state.waiting[uid]
    while len(state.waiting) > WAITING_MAX:
        del state.waiting[next(iter(state.waiting))]


def _note_sent(state: State, sequenced: SequencedEvent, sent: AlertSent) -> str | None:
    found = [state.waiting.pop(uid) for uid in dict.fromkeys(sent.events) if uid in state.waiting]
    if not found:
        return "these alerts are sent already"
    for alert in found:
        alert.sent = state.last = sequenced.event.timestamp
        state.sent[alert.id] = alert
    state.last_position = sequenced.position
    while len(state.sent) > SENT_MAX:
        del state.sent[next(iter(state.sent))]
    return None


def due(ctx: Context) -> list[Alert]:
    """Return the alerts to send a message about now; none while the last message is too recent."""
    state: State = ctx.state("alerts")
    kinds = ctx.state("settings").settings.alerts
    found = [
        one for one in state.waiting.values() if one.kind in kinds and ctx.age_s(one.at, one.position) < FORGOTTEN_S
    ]
    quiet = not state.last or ctx.age_s(state.last, state.last_position) >= EVERY_S
    return found if quiet else []


def message(alerts: list[Alert], fleet: str) -> tuple[str, str]:
    """Return the title and the text of one message about these alerts, with secrets redacted."""
    first = alerts[0]
    title = f"gitcoord {fleet[:8]}: {first.kind}" + (f" and {len(alerts) - 1} more" if len(alerts) > 1 else "")
    lines = [
        fit(f"{one.at} {one.kind} ({one.actor}): {redacted(one.text)}", Place.CHAT) for one in alerts[:AT_ONCE_MAX]
    ]
    if len(alerts) > AT_ONCE_MAX:
        lines.append(f"… and {len(alerts) - AT_ONCE_MAX} more: `gitcoord alerts` lists them")
    return title, "\n".join(lines)


class ListAlerts(Arguments):
    id: Given | None = Field(None, description="Show all details of this alert")
    waiting: bool = Field(False, description="Only unsent alerts")


def alerts(ctx: Context, args: ListAlerts) -> list[dict[str, Any]] | dict[str, Any]:
    state: State = ctx.state("alerts")
    if args.id is not None:
        known = {**state.sent, **state.waiting}
        one = known[find(ctx, known, args.id, "alert", shown_by="alerts")]
        return {**to_row(one), "position": ctx.fleet.positions.get(one.id)}
    kinds = ctx.state("settings").settings.alerts
    rows = [] if args.waiting else list(state.sent.values())
    rows += [one for one in state.waiting.values() if one.kind in kinds]
    return [to_row(one) for one in rows]


def to_row(one: Alert) -> dict[str, Any]:
    row = asdict(one)
    del row["position"]
    return {**row, "sent": one.sent or None}


COMMANDS: Mapping[str, Command | Query] = {
    "alerts": Query(
        help="List alerts to people, sent and unsent",
        example="gitcoord alerts --waiting",
        arguments=ListAlerts,
        ask=alerts,
        positional=("id",),
        columns=("id", "kind", "actor", "text", "at", "sent"),
    )
}
