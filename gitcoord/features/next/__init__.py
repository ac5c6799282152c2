"""Next: one answer to "what do I do now", computed from the states of other features; it has no events of its own.

`gitcoord next --claim` chooses a task and claims it. An agent that loses the race for the task chooses again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fold.authority import Who
from gitcoord.features.next import choice, lines, picture
from gitcoord.features.tasks.commands import OneTask, claim

EVENTS: Mapping[str, type[BaseModel]] = {}
AUTHORITY: Mapping[str, Who] = {}
TRIES = 4  # claims per `--claim`: each lost race takes one


@dataclass(slots=True)
class State:
    """Empty: `next` reads the states of other features."""


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    return None


class ShowNext(Arguments):
    claim: bool = Field(False, description="Claim the best task and show all about it")


def decide(ctx: Context, args: ShowNext) -> list[NewEvent]:
    """Return the claim of the best task; nothing without `--claim`, or if all the agent's slots are taken.

    Raise Refused if `ctx.actor` is not a member.
    """
    picture.check_member(ctx)
    if not args.claim or picture.has_work(ctx):
        return []
    assigned = picture.tasks_of(ctx, ctx.actor).assigned
    best = assigned or [one.task for one in choice.ranked(ctx).candidates[:1]]
    return claim(ctx, OneTask(task=best[0].id)) if best else []


def shows(ctx: Context, args: ShowNext) -> dict[str, Any]:
    """Return the picture for `ctx.actor`, as `picture.compose` gives it."""
    return picture.compose(ctx, begins=args.claim)


COMMANDS: Mapping[str, Command | Query] = {
    "next": Command(
        help="Show what to do now: messages, your work, the best tasks",
        example="gitcoord next --claim",
        before=("gitcoord task create 'Fix the parser'",),
        arguments=ShowNext,
        decide=decide,
        binds=True,
        shows=shows,
        lines=lines.lines,
        fresh=True,
        tries=TRIES,
        urgent=True,
        idempotent=True,
        tool="next",
    )
}
