"""Short names: a thing is named by the beginning of its id, as git names commits, or by its event's position."""

from __future__ import annotations

from collections.abc import Iterable

from gitcoord.core import names
from gitcoord.core.commands import Context
from gitcoord.core.errors import Refused


def find(ctx: Context, known: Iterable[str], text: str, what: str, *, shown_by: str) -> str:
    """Return the one of the `known` ids that `text` names. Raise Refused, with the command that lists them."""
    return names.named_id(text, known, ctx.fleet.positions, what, shown_by=shown_by)


def member(ctx: Context, text: str) -> str:
    """Return the id of the agent that `text` names, as the fleet writes it. Raise Refused if there is none."""
    found = ctx.fleet.members.get(text)
    if found is None:
        raise Refused(f"no agent {text!r} in this fleet: `gitcoord agent list` lists the agents")
    return found.id
