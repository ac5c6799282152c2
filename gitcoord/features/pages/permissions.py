"""Permissions: the tables of who may write what, as a page for people (`docs/permissions.md`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from gitcoord.core.event_types import CORE_AUTHORITY, CORE_EVENTS
from gitcoord.core.fold.authority import MEANING, Who

HEAD = """# Who may write what

Each event is judged by the fold, on every machine in the same way: what this table does not allow is void, and the
reason says who may. The tables are beside the events in the code (`AUTHORITY` in `gitcoord/core/fold/membership.py`,
`core/fold/terms.py` and each module of `gitcoord/features/`); this page is made of them by
`python -P -m gitcoord.features.pages.permissions`, and a test fails when it is not what they say.

An event of a type that is in no table (a note, a question, a type of your own) is speech: any member may write it,
guests too, and it binds nobody. Control words (`*autonomy:full`, `*workflow:start NAME`) need the right to what they
ask for. If an event names a task or the like that the ledger does not have, any member but a guest may write it; the
fold then reports that there is no such task.

| word | means |
|---|---|
"""


def page(features: Mapping[str, Any]) -> str:
    """Return the page, in Markdown."""
    meanings = "".join(f"| {name_of(one)} | {words} |\n" for one, words in MEANING.items())
    parts = [HEAD + meanings]
    for name, table, events in _tables(features):
        if table:
            rows = "".join(
                f"| `{type_}` | {words(table[type_])} | {_says(model)} |\n" for type_, model in events.items()
            )
            parts.append(f"## {name}\n\n| event | may be written by | says |\n|---|---|---|\n{rows}")
    return "\n".join(parts)


def _tables(features: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Who], Mapping[str, type[BaseModel]]]]:
    yield "core", CORE_AUTHORITY, CORE_EVENTS
    for name, feature in features.items():
        yield name, feature.AUTHORITY, feature.EVENTS


def name_of(who: Who) -> str:
    return (who.name or "").lower()


def words(who: Who) -> str:
    """Return the names of the roles, in the words of MEANING."""
    return ", ".join(name_of(one) for one in MEANING if one & who)


def _says(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split()).replace("|", r"\|")


if __name__ == "__main__":
    from pathlib import Path

    from gitcoord.features import FEATURES

    Path("docs/permissions.md").write_text(page(FEATURES), encoding="utf-8")
