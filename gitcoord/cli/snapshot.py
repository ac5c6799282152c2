"""`gitcoord snapshot`: renders the conversations as pages; the leader publishes the same pages beside the log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import echo, json_option, node_here, print_json

if TYPE_CHECKING:
    from gitcoord.node.node import Node

POLL_S = 0.1  # with --watch: the pause between two checks of this node's files
FILES = ("pages", "log", "all")


@click.command("snapshot")
@click.option("--watch", is_flag=True, help="Follow the ledger and render again, until Ctrl-C")
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="The output folder  [default: the working folder]",
)
@click.option(
    "-k",
    "recent",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Interactions on the first page  [default: the fleet's setting, 3]",
)
@click.option(
    "--files",
    type=click.Choice(FILES),
    default="pages",
    show_default=True,
    help="Files to write: communication.md, archive.md and board.md; events.log; or all",
)
@click.option("--no-sync", is_flag=True, help="Render the local state; do not sync first")
@json_option
def command(watch: bool, folder: Path, recent: int | None, files: str, no_sync: bool, as_json: bool) -> None:
    """Render communication.md (newest interactions), archive.md (older ones) and board.md (who does what) into DIR.

    Files that would not change are not touched; the last good page is kept as communication.md.bak. Queued events are
    shown as well.

    \b
    Example:
      gitcoord snapshot
      gitcoord snapshot --out pages -k 5
    """
    from gitcoord.cli.events import refresh

    node = node_here()
    due_s, complained, seen = 0.0, False, None
    try:
        while True:
            if not no_sync and time.monotonic() >= due_s and not node.home.running():
                complained = not refresh(node, quiet=complained)
                due_s = time.monotonic() + node.local.profile.poll_s
            now = (node.home.tip, node.home.queue.signature())
            if now != seen:
                seen = now
                _tell(node, _write(node, folder, recent, files), as_json, quiet=watch)
            if not watch:
                return
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        if not watch:
            raise


def _write(node: Node, folder: Path, recent: int | None, files: str) -> list[str]:
    from gitcoord.node.operations import local_pages

    changed = []
    if files != "pages":
        grown, kept = local_pages.write_log(node, folder)
        changed += [local_pages.LOG] if grown else []
        if kept is not None:
            echo(
                f"gitcoord: events.log had lines that are not events of this fleet: they are in {kept.name} now; "
                f"`gitcoord import {kept.name}` imports them",
                err=True,
            )
    if files != "log":
        changed += local_pages.write_snapshot(node, folder, recent=recent)
    return changed


def _tell(node: Node, changed: list[str], as_json: bool, *, quiet: bool) -> None:
    if as_json:
        print_json({"schema": "gitcoord.snapshot/1", "position": node.fleet.position, "changed": changed})
    elif changed:
        echo(f"position {node.fleet.position}: wrote {', '.join(changed)}")
    elif not quiet:
        echo(f"position {node.fleet.position}: nothing to do")
