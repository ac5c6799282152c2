"""The subjects of ledger commits: what happened, for people who read the branch on the forge.

The words are those of the events, which any member may write as it likes. So only events that are about work have
theirs shown, in a bounded length, under their author's name, without what looks like a secret, and without anything on
which a forge acts.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitcoord.core.format.event import Event
from gitcoord.core.text import Place, cut, fit

SUBJECT_CHARS = 100
READ_CHARS = 400  # of an event's words, in which secrets are looked for BEFORE they are cut
AUTHORS_SHOWN = 5
TOLD = ("task_", "paths_", "conflict_", "workflow_", "directive_done", "directive_failed", "agent_", "leader_")
"""Beginnings of the types whose words are shown; of others, such as messages, only the type."""


def subject(events: Sequence[Event]) -> str:
    """Return the subject for a commit of events: the first one about work, and how many others there are."""
    told = next((event for event in events if event.type.startswith(TOLD)), None)
    if told is None and len(events) > 1:
        actors = sorted({event.actor for event in events})
        more = len(actors) - AUTHORS_SHOWN
        shown = ", ".join(actors[:AUTHORS_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return fit(f"{len(events)} events from {shown}", Place.SUBJECT)
    words = _words(told) if told is not None else f"{events[0].actor}: {events[0].type}"
    others = f" and {len(events) - 1} more" if len(events) > 1 else ""
    return fit(cut(words, SUBJECT_CHARS - len(others)) + others, Place.SUBJECT)


def _words(event: Event) -> str:
    from gitcoord.core.secret_scan.credentials import redacted  # its patterns cost 0.02 s

    begins = f"{event.actor} "
    text = redacted(event.content[:READ_CHARS])
    if text.startswith(begins):
        return text
    return f"{event.actor}: {text.strip() or event.type}"
