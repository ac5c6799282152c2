"""Conversation: each event that no other feature owns belongs to an interaction, which is a numbered thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel

from gitcoord.core.commands import Command, Context, Query
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.fold.authority import Who
from gitcoord.core.format.event import Event
from gitcoord.features.pages.snapshot import ENTRIES_SHOWN_MAX, Entry, Interaction

EVENTS: Mapping[str, type[BaseModel]] = {}
AUTHORITY: Mapping[str, Who] = {}
COMMANDS: Mapping[str, Command | Query] = {}

RECORDS = frozenset({"heartbeat", "error"})
"""Types that open no interaction, like the types of features. With a number given, they belong to that interaction. A
feature's payload model with `CONVERSATION = True` does open one."""

JUMP_MAX = 100_000  # a caller's number that is further above the highest one does not move the highest


@dataclass(slots=True)
class State:
    """Which positions make up which interaction."""

    numbers: list[int] = field(default_factory=list)  # by position - 1; 0: in no interaction
    positions: dict[int, list[int]] = field(default_factory=dict)  # in the order of their first events
    highest: int = 0


def fold(state: State, sequenced: SequencedEvent) -> None:
    _place(state, 0 if sequenced.void else _number(state, sequenced))


def _number(state: State, sequenced: SequencedEvent) -> int:
    """Return the caller's number, otherwise the parent's, otherwise a new one: two offline nodes never collide."""
    event, parent = sequenced.event, sequenced.parent
    if event.interaction is not None:
        return event.interaction
    if parent is not None and state.numbers[parent - 1]:
        return state.numbers[parent - 1]
    return 0 if _is_record(sequenced) and not _is_imported_conversation(event) else state.highest + 1


def _is_record(sequenced: SequencedEvent) -> bool:
    if sequenced.event.type in RECORDS:
        return True
    return sequenced.payload is not None and not is_conversation(type(sequenced.payload))


@cache
def is_conversation(model: type[BaseModel]) -> bool:
    """Return whether events with this payload are conversation.

    Cached: pydantic takes 1 to 2 µs per missing attribute.
    """
    return getattr(model, "CONVERSATION", False)


def _is_imported_conversation(event: Event) -> bool:
    """Return whether the event was imported from a conversation: it stays there, whatever its type."""
    source = event.data.get("source")
    return isinstance(source, dict) and source.get("interaction") is not None


def _place(state: State, number: int) -> None:
    state.numbers.append(number)
    if number:
        state.positions.setdefault(number, []).append(len(state.numbers))
        if number <= state.highest + JUMP_MAX:
            state.highest = max(state.highest, number)


def number_of(state: State, position: int) -> int | None:
    """Return the interaction of the event at `position`; None if it belongs to none."""
    return state.numbers[position - 1] or None


def interaction(state: State, number: int, entry_at: Callable[[int], Entry]) -> Interaction:
    """Return an interaction with its newest events, at most ENTRIES_SHOWN_MAX, for a page.

    `entry_at` returns the entry of the event at a position. Raise KeyError if there is no such interaction.
    """
    positions = state.positions[number]
    shown = positions[-ENTRIES_SHOWN_MAX:]
    return Interaction(number, [entry_at(position) for position in shown], len(positions) - len(shown))


def entry(position: int | None, event: Event) -> Entry:
    """Return what a page shows of an event."""
    return Entry(
        position=position,
        actor=event.shown_actor,
        type=event.type,
        content=event.content,
        timestamp=event.shown_timestamp,
        to=event.to,
        uid=event.uid,
        re=event.re or "",
        via="" if event.shown_actor == event.actor else event.actor,
    )


def duty(state: State, ctx: Context) -> Iterable[Duty]:
    return ()


def dump(state: State) -> Any:
    return state.numbers


def load(value: Any) -> State:
    state = State()
    state.numbers = [int(number) for number in value]
    highest, positions = 0, state.positions
    for position, number in enumerate(state.numbers, 1):
        if number in positions:
            positions[number].append(position)
        elif number:
            positions[number] = [position]
            if highest < number <= highest + JUMP_MAX:
                highest = number
    state.highest = highest
    return state
