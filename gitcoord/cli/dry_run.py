"""A dry run: reports what a command would write and do, in the same words everywhere; refusals stay refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import F, echo, print_json

if TYPE_CHECKING:
    from gitcoord.core.format.event import Draft
    from gitcoord.node.node import Node
    from gitcoord.node.writer import Writer


def dry_run_option(function: F) -> F:
    return click.option("--dry-run", is_flag=True, help="Show what would be done; change nothing")(function)


def would_write(node: Node | Writer, schema: str, drafts: Sequence[Draft], as_json: bool) -> None:
    """Show what would be appended. Raise what the node would raise for these drafts."""
    node.check(*drafts)
    would(schema, as_json, drafts=drafts)


def would(
    schema: str, as_json: bool, *, drafts: Sequence[Draft] = (), changes: Sequence[str] = (), **more: Any
) -> None:
    """Show what would be done. `changes`: other effects, imperative. `more`: the command's own JSON fields."""
    if as_json:
        print_json(
            {
                "schema": f"gitcoord.{schema}/1",
                "dry_run": True,
                "events": events(drafts),
                "changes": list(changes),
                **more,
            }
        )
        return
    for draft in drafts:
        echo(f"would write {draft.type}: {draft.content}")
    for words in changes:
        echo(f"would {words}")
    if not drafts and not changes:
        echo("nothing to do")


def events(drafts: Sequence[Draft]) -> list[dict[str, Any]]:
    """Return the events that would be written as JSON rows, without the fields that are set by writing them."""
    return [
        {"type": one.type, "content": one.content, "data": one.data, "to": list(one.to), "re": one.re} for one in drafts
    ]
