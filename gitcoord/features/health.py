"""Health: the newest errors, and the newest events without effect, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import BaseModel

from gitcoord.core.commands import Command, Query
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold.authority import Who

EVENTS: Mapping[str, type[BaseModel]] = {}
AUTHORITY: Mapping[str, Who] = {}
COMMANDS: Mapping[str, Command | Query] = {}

SHOWN_MAX = 50


@dataclass(slots=True)
class Finding:
    """An error or a void event, to be shown to a person."""

    position: int
    actor: str
    text: str
    timestamp: str


@dataclass(slots=True)
class State:
    """The newest SHOWN_MAX of each kind, oldest first, and how many there ever were. The ledger has the rest."""

    errors: list[Finding] = field(default_factory=list)
    void: list[Finding] = field(default_factory=list)
    errors_total: int = 0
    void_total: int = 0


def fold(state: State, sequenced: SequencedEvent) -> None:
    event = sequenced.event
    if sequenced.void is not None:
        state.void_total += 1
        state.void.append(Finding(sequenced.position, event.actor, f"{event.type}: {sequenced.void}", event.timestamp))
        del state.void[:-SHOWN_MAX]
    elif event.type == "error":
        state.errors_total += 1
        state.errors.append(Finding(sequenced.position, event.actor, event.content[:500], event.timestamp))
        del state.errors[:-SHOWN_MAX]


def dump(state: State) -> Any:
    return asdict(state)


def load(value: Any) -> State:
    return State(
        [Finding(**one) for one in value["errors"]],
        [Finding(**one) for one in value["void"]],
        value["errors_total"],
        value["void_total"],
    )
