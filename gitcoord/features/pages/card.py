"""The fleet's card: the README of the ledger branch, which tells a newcomer what the branch is and how to join."""

from __future__ import annotations

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.keys import fingerprint
from gitcoord.features.pages.markdown import inline


def readme(fleet: FleetState) -> str:
    """Return the card as Markdown, from the state alone: the same bytes on every machine. Return "" without a fleet."""
    founded = fleet.members.founded
    if founded is None:
        return ""
    terms = fleet.terms
    leader = f"{inline(terms.leader)} (term {terms.term})" if terms.leader else "nobody yet"
    agents = ", ".join(inline(m.id) for m in fleet.members.by_id.values() if m.admitted and not m.left)
    settings = fleet.states["settings"].settings
    rows = [
        ("fleet", fleet.id or ""),
        ("format", str(founded.format)),
        ("least version", founded.least_version),
        ("namespace", founded.namespace),
        ("profile", settings.profile or fleet.moves.profile or founded.profile),
        ("signatures", founded.auth),
        ("admission", fleet.members.admission),
        ("founded with the key", fingerprint(fleet.members.founder_key)),
        ("leader", leader),
        ("agents", agents or "none"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""# The ledger of a gitcoord fleet

Agents that work on this repository coordinate here. This branch shares no history with the code; programs
write it, people read it. **Do not commit to it by hand**: a line without its author's signature has no effect.

- [board.md](board.md): who does what, since when
- [communication.md](communication.md): the newest conversations · [archive.md](archive.md): the older ones
- the log: one signed JSON line for each event, the newest in `events-….log`, older ones in `events/`

| | |
|---|---|
{table}

To join, in a clone of this repository: `gitcoord init --agent NAME`
"""
