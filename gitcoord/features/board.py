"""Board: who does what, on one screen, computed from the states of other features; it has no events of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from gitcoord.core import times
from gitcoord.core.commands import Arguments, Command, Context, Query
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold.authority import Who
from gitcoord.core.format.event import parse
from gitcoord.core.text import Place, fit
from gitcoord.features.pages import board

EVENTS: Mapping[str, type[BaseModel]] = {}
AUTHORITY: Mapping[str, Who] = {}


@dataclass(slots=True)
class State:
    """Empty: the board reads the states of other features."""


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    return None


class ShowBoard(Arguments):
    """No arguments: the board is the same for everybody."""


def show(ctx: Context, args: ShowBoard) -> dict[str, Any]:
    read = ctx.read
    return board.compose(ctx.fleet, None if read is None else lambda at: parse(read(at)).content)


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the board of `show` as lines for a terminal."""
    counts = ", ".join(f"{number} {status}" for status, number in answer["counts"].items()) or "no tasks yet"
    led = fit(answer["leader"] or "nobody", Place.LINE)
    yield f"position {answer['position']}, {times.shown(answer['as_of'])}, led by {led}: {counts}"
    for title, rows in board.sections(answer, lambda text: fit(text, Place.LINE)):
        yield ""
        yield title
        for row in rows:
            yield f"  {row}"


COMMANDS: Mapping[str, Command | Query] = {
    "board": Query(
        help="Show who does what: tasks by state, reservations, conflicts, the newest words",
        example="gitcoord board",
        arguments=ShowBoard,
        ask=show,
        lines=lines,
    )
}
