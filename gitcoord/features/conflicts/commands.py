"""Commands and queries about conflicts: list them, show one, mark one as settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gitcoord.core import times
from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Refused
from gitcoord.core.fields import Given, Words
from gitcoord.core.lookup import find
from gitcoord.features.conflicts.state import RecordedConflict, State, closing
from gitcoord.features.typed import AgentGiven


class ListConflicts(Arguments):
    agent: AgentGiven | None = Field(None, description="Only conflicts of this agent's branches")
    all: bool = Field(False, description="Include closed ones")


class ShowConflict(Arguments):
    conflict: Given | None = Field(
        None, description="Conflict id, its beginning, or its event's position (default: the newest open conflict)"
    )


class ResolveConflicts(Arguments):
    conflict: Given | None = Field(None, description="Conflict id, its beginning, or its event's position")
    all: bool = Field(False, description="All open conflicts")
    why: Words = Field("settled", description="How it was settled, shown to other agents")


def list_(ctx: Context, args: ListConflicts) -> list[dict[str, Any]]:
    state: State = ctx.state("conflicts")
    chosen = [*state.open.values(), *(state.closed.values() if args.all else ())]
    return [
        to_row(one)
        for one in chosen
        if args.agent is None or args.agent.casefold() in {(branch.agent or "").casefold() for branch in (one.a, one.b)}
    ]


def to_row(one: RecordedConflict) -> dict[str, Any]:
    """Return a recorded conflict as a JSON row."""
    return {
        "id": one.id,
        "severity": one.severity,
        "a": one.a.model_dump(),
        "b": one.b.model_dump(),
        "between": f"{one.a.name} and {one.b.name}",
        "files": [place.path for place in one.paths],
        "paths": [place.model_dump() for place in one.paths],
        "more": one.more,
        "by": one.by,
        "since": one.since,
        "until": one.until or None,
        "reason": one.reason,
    }


def show(ctx: Context, args: ShowConflict) -> dict[str, Any]:
    named = args.conflict
    if named is None:
        named = next(reversed(ctx.state("conflicts").open), None)
    if named is None:
        return {}
    one = _named(ctx, named)
    return {**to_row(one), "position": ctx.fleet.positions.get(one.id)}


def _named(ctx: Context, text: str) -> RecordedConflict:
    state: State = ctx.state("conflicts")
    known = {**state.open, **state.closed}
    return known[find(ctx, known, text, "conflict", shown_by="conflict list --all")]


def resolve(ctx: Context, args: ResolveConflicts) -> list[NewEvent]:
    state: State = ctx.state("conflicts")
    if args.all:
        return [closing(one, args.why) for one in state.open.values()]
    if args.conflict is None:
        raise Refused("name a conflict, or give --all: `gitcoord conflict list` lists them")
    chosen = _named(ctx, args.conflict)
    if chosen.until:
        raise Refused(f"conflict {chosen.id[:8]} is closed since {times.shown(chosen.until)}: {chosen.reason}")
    return [closing(chosen, args.why)]


COMMANDS: Mapping[str, Command | Query] = {
    "conflict list": Query(
        help="List recorded conflicts between branches",
        example="gitcoord conflict list --all",
        arguments=ListConflicts,
        ask=list_,
        columns=("id", "severity", "between", "files", "since"),
    ),
    "conflict show": Query(
        help="Show a recorded conflict, path by path",
        example="gitcoord conflict show",
        arguments=ShowConflict,
        ask=show,
        positional=("conflict",),
    ),
    "conflict resolve": Command(
        help="Mark a conflict as settled",
        example="gitcoord conflict resolve --all --why 'alice takes both'",
        arguments=ResolveConflicts,
        decide=resolve,
        positional=("conflict",),
        idempotent=True,
    ),
}
