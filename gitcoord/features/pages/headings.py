"""Headings: each event of a snapshot has a heading with its author, its recipients and its type.

A fleet can set templates of its own: plain words and the fields `{actor}`, `{to}`, `{type}` and
`{time}`. A template that would change the page (Markdown, line ends, unknown fields) is refused
when it is configured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from gitcoord.core.names import EVENT_TYPE
from gitcoord.features.pages.markdown import inline, visible

FIELDS = ("actor", "to", "type", "time")
ANY_TYPE = "*"
EVERYBODY = "all"
HEADINGS: Mapping[str, str] = {
    "question": "{actor} → {to}",
    "answer": "{actor} → {to}",
    "followup": "{actor} Follow-Up",
    "heartbeat": "heartbeat ({actor})",
    "message": "{actor} → {to}",
    "request_lapsed": "{actor} → {to} request lapsed",
    "directive_issued": "{actor} directs {to}",
    ANY_TYPE: "{actor} {type}",
}
"""Event type → template of its heading. `*`: all other types."""

TEMPLATE_CHARACTERS_MAX = 200
RECIPIENTS_SHOWN_MAX = 5  # an event may name 100

_FIELD = re.compile("{(" + "|".join(FIELDS) + ")}")
_ACTIVE = re.compile(r"[`<>\[\]&\\*_~|$@#!:{}\n\t]")  # Markdown or a forge acts on these


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as people see it; every text is untrusted. `re`: the uid of the event that it answers."""

    position: int | None
    actor: str
    type: str
    content: str
    timestamp: str
    to: tuple[str, ...] = ()
    uid: str = ""
    re: str = ""
    via: str = ""  # the importer: only it vouches for the author


@dataclass(frozen=True, slots=True)
class Interaction:
    """One conversation, with its entries in ledger order. `hidden`: the number of older entries that are left out."""

    number: int
    entries: Sequence[Entry]
    hidden: int = 0


def heading(entry: Entry, interaction: Interaction, template: str) -> str:
    """Return the text of an entry's heading, without the `####`."""
    words = _FIELD.sub(lambda found: _value(found[1], entry, interaction), template)
    return f"{words} (via {inline(entry.via)})" if entry.via else words


def check_headings(table: Mapping[str, str]) -> list[str]:
    """Return the faults of a configured table, each with its fix; empty if there are none."""
    problems = [
        f"{kind!r} is not an event type: use a-z 0-9 _, or {ANY_TYPE} for all others"
        for kind in table
        if kind != ANY_TYPE and not EVENT_TYPE.match(kind)
    ]
    for kind, template in table.items():
        problems += [f"heading of {kind!r}: {problem}" for problem in _template_problems(template)]
    return problems


def _value(field: str, entry: Entry, interaction: Interaction) -> str:
    if field == "to":
        return _recipients(entry, interaction)
    return inline({"actor": entry.actor, "type": entry.type, "time": entry.timestamp}[field])


def _recipients(entry: Entry, interaction: Interaction) -> str:
    """Return the recipients in words: those that the event names; for an answer without them, the agent that asked."""
    if entry.to:
        names = [inline(name) for name in entry.to[:RECIPIENTS_SHOWN_MAX]]
        more = len(entry.to) - len(names)
        return ", ".join(names) + (f" and {more} more" if more else "")
    if entry.type != "answer":
        return EVERYBODY
    answered = (one.actor for one in interaction.entries if entry.re and one.uid == entry.re)
    others = (one.actor for one in interaction.entries if one.actor != entry.actor)
    asker = next(answered, None) or next(others, None)
    return inline(asker) if asker else EVERYBODY


def _template_problems(template: str) -> Iterator[str]:
    allowed = ", ".join(f"{{{name}}}" for name in FIELDS)
    if not template.strip() or len(template) > TEMPLATE_CHARACTERS_MAX:
        yield f"use 1 to {TEMPLATE_CHARACTERS_MAX} characters"
        return
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        yield f"an unmatched brace; the fields are {allowed}"
        return
    for index, (words, name, spec, conversion) in enumerate(parts):
        active = _ACTIVE.search(words)
        if active or visible(words) != words:
            yield f"{active[0] if active else words!r} may change the page: use plain words"
        if name is not None and (name not in FIELDS or spec or conversion):
            yield f"{{{name}}} is not a field: use {allowed}"
        if name is not None and index and not words:
            yield f"{{{name}}} follows another field at once: put a space between them"
