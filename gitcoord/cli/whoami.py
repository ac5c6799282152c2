"""`gitcoord whoami`: the agent that commands write as here, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gitcoord.cli.common import as_option, chosen_agent, echo, json_option, node_here, print_json
from gitcoord.core import times


@click.command("whoami")
@as_option
@json_option
def command(actor: str | None, as_json: bool) -> None:
    """Show the agent that commands write as here, its tasks and reservations, and what waits for it.

    The agent is the one of --as, otherwise of GITCOORD_AGENT, of this work tree, of this clone. The command uses the
    state of this clone: the remote is not asked.

    \b
    Example:
      gitcoord whoami
    """
    from gitcoord.node.operations.whoami import whoami

    node = node_here()
    found = whoami(node, *chosen_agent(node, actor))
    if as_json:
        print_json({"schema": "gitcoord.whoami/1", **found})
        return
    for line in _lines(found):
        echo(line)


def _lines(found: Mapping[str, Any]) -> list[str]:
    from gitcoord.core.text import count

    agent, place = found["agent"], f" in the work tree {found['work_tree']}" if found["work_tree"] else ""
    lines = [
        f"{agent}: {found['chosen_by']}",
        f"  on     node {found['node']}{place}, fleet {found['fleet']}",
        f"  key    {found['key'] or 'none'} ({found['key_from']})",
        f"  role   {found['role'] or 'none: not in the fleet, run `gitcoord init --agent ' + agent + '`'}",
    ]
    if found["role"] and found["key"] and not found["key_is_members"]:
        lines.append("  !      the fleet knows another key of this agent: events written here have no effect")
    held = [f"task {one['id'][:8]} {one['title']} ({one['status']})" for one in found["tasks"]]
    held += [
        f"{', '.join(one['paths'])} until {times.shown(one['until'])}{'' if one['here'] else ' (from another place)'}"
        for one in found["reservations"]
    ]
    waits = [f"task {one['id'][:8]} {one['title']} is assigned to it" for one in found["assigned"]]
    waits += [f"{count(found['unread'], 'unread message')}"] if found["unread"] else []
    for name, rows in (("holds", held), ("waits", waits)):
        lines += [f"  {name if at == 0 else '':<6} {row}" for at, row in enumerate(rows or ["nothing"])]
    return lines
