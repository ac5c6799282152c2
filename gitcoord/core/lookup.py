"""Short names: a thing is named by the beginning of its id, as git names commits, or by its event's position."""

from __future__ import annotations

from collections.abc import Iterable

from gitcoord.core import names
from gitcoord.core.commands import Context
from gitcoord.core.errors import Refused

SHORT_LEAST = 4


def find(ctx: Context, known: Iterable[str], text: str, what: str, *, shown_by: str) -> str:
    """The one of the `known` ids (uids) that `text` names. Raises Refused, with the command that shows them."""
    given = text.strip().lower()
    ids = list(known)
    if given.isdigit() and len(given) < 16:
        found = [uid for uid in ids if ctx.fleet.positions.get(uid) == int(given)]
        found = found or [uid for uid in ids if len(given) >= SHORT_LEAST and uid.startswith(given)]
    else:
        found = [uid for uid in ids if given and uid.startswith(given)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused(f"no {what} {text!r} is known here: `gitcoord {shown_by}` shows them")
    raise names.ambiguous(text, found)


def member(ctx: Context, text: str) -> str:
    """The id of the agent that `text` names, as the fleet writes it. Raises Refused."""
    found = ctx.fleet.members.get(text)
    if found is None:
        raise Refused(f"no agent {text!r} in this fleet: `gitcoord agent list` shows who there is")
    return found.id
