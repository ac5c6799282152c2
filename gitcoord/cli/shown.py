"""Output of events: one line for a person, one JSON object for a program."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

from gitcoord.core.format.event import Event
from gitcoord.core.text import Place, fit

if TYPE_CHECKING:
    from gitcoord.core.fleet_state import FleetState

COLUMNS_UNLIMITED = 10_000_000  # if the output is not a terminal
COLUMNS_MAX = 10_000  # no terminal is wider
_TIME = re.compile(r"\d{4}-(\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d+Z\Z")


def as_json(fleet: FleetState, event: Event, *, position: int | None, level: str) -> dict[str, Any]:
    """Return an event as JSON values of the schema `gitcoord.event/1`, which docs/json.md explains."""
    value: dict[str, Any] = {
        "schema": "gitcoord.event/1",
        "position": position,
        "level": level,
        "interaction": interaction(fleet, event, position),
        "event": event.as_json(),
    }
    reason = void_reason(fleet, event, position)
    return value | ({"void": reason} if reason else {})


def one_line(fleet: FleetState, event: Event, *, position: int | None, level: str, columns: int | None = None) -> str:
    """Return an event as `12  alice  question  #3  2026-…  hello`, cut to `columns` (default: the terminal's width)."""
    number = interaction(fleet, event, position)
    place = str(position) if position else "-"
    who = plain(event.shown_actor)
    if event.shown_actor != event.actor:
        who += f" via {plain(event.actor)}"  # the quoted author is only claimed; the importer is signed
    to = f" → {plain(', '.join(event.to))}" if event.to else ""
    reason = void_reason(fleet, event, position)
    marks = [f"[{level.upper()}]"] if position is None else []
    marks += [f"[no effect: {plain(reason)}]"] if reason else []
    if event.type == "heartbeat":
        marks += [describe_heartbeat(event)]
    content = [plain(event.content)] if event.content else []
    head = f"{place:>4}  {who + to:<12}  {event.type:<12}  {f'#{number}' if number else '-':<4}  "
    width, when = columns or terminal_columns(), plain(event.shown_timestamp)
    if width > COLUMNS_MAX:
        return "  ".join([head + when, *marks, *content])
    when = _TIME.sub(r"\1 \2", when)  # on a terminal, leave the columns to the text
    return cut("  ".join([head + when, *marks, *content]), width)


def cut(text: str, width: int) -> str:
    """Cut a text to `width` columns of a terminal; some characters take two."""
    from rich.text import Text

    line = Text(text)
    line.truncate(width, overflow="ellipsis")
    return line.plain


def plain(text: str) -> str:
    """Return text of others so that it is harmless as a part of one line on a terminal."""
    return fit(text, Place.LINE)


def terminal_columns() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else COLUMNS_UNLIMITED


def describe_heartbeat(heartbeat: Event) -> str:
    """Return the fields of a heartbeat in words."""
    data = heartbeat.data
    words = [f"{key} {data[key]}" for key in ("state", "n", "next_s", "cpu_pct", "rss_mib") if key in data]
    return plain(
        ", ".join([*words, f"node {heartbeat.node}", *([f"leads term {heartbeat.term}"] if heartbeat.term else [])])
    )


def void_reason(fleet: FleetState, event: Event, position: int | None) -> str | None:
    """Return why a sequenced event has no effect; None if it has one."""
    if position is None:
        return None
    if fleet.positions.get(event.uid) == position:
        return fleet.refusals.get(event.uid)
    return fleet.why_without_effect(event) or f"the same event as at position {fleet.positions.get(event.uid)}"


def interaction(fleet: FleetState, event: Event, position: int | None) -> int | None:
    """Return the event's interaction number; None for a pending event whose number is not known yet."""
    from gitcoord.features import conversation

    if position is None and event.interaction is not None:
        return event.interaction
    known = position or fleet.positions.get(event.re or "")
    return conversation.number_of(fleet.states["conversation"], known) if known else None
