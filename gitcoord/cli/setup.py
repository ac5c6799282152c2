"""`gitcoord setup`: an AI client gets the fleet's tools, the guide and hooks, in the files that it reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import echo, json_option, print_json
from gitcoord.cli.dry_run import dry_run_option, would
from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.integrations.clients import CLIENTS

if TYPE_CHECKING:
    from gitcoord.integrations.setup import FileChange

COLUMNS = ("client", "name", "installed", "here", "files")


@click.command("setup")
@click.argument("client", type=click.Choice(list(CLIENTS)), required=False)
@click.option("--as", "agent", metavar="ID", help="The agent of the client  [default: as before, or that of the place]")
@click.option("--portable", is_flag=True, help="Let PATH find gitcoord: for files that other machines share")
@click.option("--check", is_flag=True, help="Show what differs; exit code 1 if something does")
@click.option("--remove", is_flag=True, help="Remove what setup wrote; the rest stays")
@click.option("--list", "lists", is_flag=True, help="Show the clients, and which are set up here")
@dry_run_option
@json_option
def command(
    client: str | None, agent: str, portable: bool, check: bool, remove: bool, lists: bool, dry_run: bool, as_json: bool
) -> None:
    """Set up an AI client in this work tree: MCP server, guide, and hooks. Another run changes nothing.

    The hooks tell the agent what is new when a session begins, warn before it edits paths that another agent reserved,
    and release its reservations at the end. Without CLIENT: list the clients. {worktree} in --as means the name of the
    work tree, so that one committed configuration serves all work trees.

    \b
    Example:
      gitcoord setup claude
      gitcoord setup codex --as 'codex-{worktree}'
      gitcoord setup gemini --dry-run
    """
    from gitcoord.integrations import setup

    folder = Path.cwd()
    if lists or client is None:
        if client is not None or check or remove:
            raise click.UsageError("--list takes no client; --check and --remove need one")
        _show_list(folder, as_json)
        return
    if agent is not None and not agent.strip():
        raise click.UsageError("--as needs a name; without it, the agent of the place acts")
    if check and remove:
        raise click.UsageError("--check and --remove cannot be combined")
    changes = setup.plan(client, folder, agent, portable=portable, remove=remove)
    if check or dry_run:
        if check and not as_json:
            for one in changes:
                echo(f"differs: {one.words}")
        else:
            would("setup", as_json, changes=[one.words for one in changes], client=client)
        if check and changes:
            raise click.exceptions.Exit(1)
        if check and not as_json:
            echo(f"{CLIENTS[client].title} is set up")
        return
    setup.apply(changes, setup.work_tree(folder))
    _show_done(client, changes, as_json, steps=[] if remove or not changes else _next_steps(client, folder))


def _show_done(client: str, changes: Sequence[FileChange], as_json: bool, *, steps: Sequence[str]) -> None:
    if as_json:
        did = [one.words for one in changes]
        print_json({"schema": "gitcoord.setup/1", "client": client, "did": did, "next": list(steps)})
        return
    for one in changes:
        echo(one.words)
    for line in steps:
        echo(f"next: {line}")
    if not changes:
        echo("nothing to do")


def _next_steps(client: str, folder: Path) -> list[str]:
    """Return the steps that the user still has to take, in words or as commands."""
    import importlib.util

    from gitcoord.store.home.home import find_home

    steps: list[str] = []
    try:
        if not find_home(folder).exists:
            steps.append("gitcoord init --agent NAME")
    except GitcoordError as wrong:
        steps.append(str(wrong))
    if importlib.util.find_spec("mcp") is None:
        steps.append("pip install 'gitcoord[mcp]'")
    return steps + ([CLIENTS[client].then] if CLIENTS[client].then else [])


def _show_list(folder: Path, as_json: bool) -> None:
    rows = [_row(name, folder) for name in CLIENTS]
    if as_json:
        print_json({"schema": "gitcoord.setup.list/1", "items": rows})
        return
    from gitcoord.cli.tables import print_table

    print_table(COLUMNS, rows)


def _row(name: str, folder: Path) -> dict[str, Any]:
    from gitcoord.integrations import setup

    client, top = CLIENTS[name], setup.work_tree(folder)
    try:
        here = setup.is_set_up(client, top)
    except Refused:
        here = False
    return {
        "client": name,
        "name": client.title,
        "installed": setup.is_found(client, os.environ),
        "here": here,
        "files": sorted({one.file for one in setup.pieces(client, top, "", portable=False)}),
    }
