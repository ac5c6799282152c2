"""Chores: the duties of a simulated leader, one for every NOTES_EACH notes in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from gitcoord.core.commands import Command, Context, Query
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.fold.authority import LEADER, Who

NOTES_EACH = 5


class ChoreDone(BaseModel):
    """The leader did the chore of that number."""

    number: int


EVENTS: Mapping[str, type[BaseModel]] = {"chore_done": ChoreDone}
AUTHORITY: Mapping[str, Who] = {"chore_done": LEADER}
COMMANDS: Mapping[str, Command | Query] = {}


@dataclass(slots=True)
class State:
    """The number of notes, and the chores that were done, in their order."""

    notes: int = 0
    done: list[int] = field(default_factory=list)

    @property
    def due(self) -> list[int]:
        """Chores that wait for a leader."""
        done = set(self.done)
        return [number for number in range(1, self.notes // NOTES_EACH + 1) if number not in done]


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    if sequenced.void is None:
        state.notes += sequenced.event.type == "note"
        if isinstance(sequenced.payload, ChoreDone):
            state.done.append(sequenced.payload.number)
    return None


def duty(state: State, ctx: Context) -> Iterable[Duty]:
    return [Duty("chore_done", f"chore {number}", f"chore:{number}", {"number": number}) for number in state.due]
