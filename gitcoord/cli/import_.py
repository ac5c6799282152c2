"""`gitcoord import`: imports a log of another tool, then syncs until its events are sequenced."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from gitcoord.cli.common import allow_secret_option, as_option, echo, json_option, node_here, print_json, speaker
from gitcoord.cli.dry_run import dry_run_option, would
from gitcoord.core.errors import NotConfirmed

if TYPE_CHECKING:
    from gitcoord.node.node import Node
    from gitcoord.node.operations.import_log import ImportResult

TIMEOUT_S = 60.0


@click.command("import")
@click.argument("file", type=click.File("rb"))
@as_option
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=TIMEOUT_S,
    show_default=True,
    help="Seconds to wait until all events are sequenced",
)
@click.option("--no-sync", is_flag=True, help="Only queue the events")
@allow_secret_option
@dry_run_option
@json_option
def command(file: BinaryIO, actor: str | None, timeout: float, no_sync: bool, dry_run: bool, as_json: bool) -> None:
    """Import FILE (`-`: standard input), a log of JSON lines.

    Each line has the five fields interaction, actor, type, content and timestamp; other fields are dropped.
    The importer signs. Each event keeps its original author, time, interaction and line number, and commands show
    these. Interactions stay together, under new numbers. Bad lines go to events.error.log with their
    numbers. A second import of the same file adds nothing. Exit code 1: all lines were bad.

    \b
    Example:
      gitcoord import events.offline.log
    """
    from gitcoord.cli.events import refresh
    from gitcoord.node.operations.import_log import import_log

    node = node_here()
    who = speaker(node, actor)
    if not no_sync:
        refresh(node)  # do not import again what others imported meanwhile
    with _progress(file) as progress:
        done = import_log(node, file, name=file.name, actor=who, progress=progress, dry_run=dry_run)
    level = "queued" if no_sync or dry_run else _confirmed(node, done, timeout)
    counts = f"{done.known} known already, {done.bad} bad"
    if dry_run:
        would(
            "import",
            as_json,
            changes=[f"import {done.imported}, {counts}"],
            imported=done.imported,
            known=done.known,
            bad=done.bad,
        )
    elif as_json:
        print_json(
            {
                "schema": "gitcoord.import/1",
                "imported": done.imported,
                "known": done.known,
                "bad": done.bad,
                "level": level if done.last else None,
            }
        )
    else:
        echo(f"{done.imported} imported{f' ({level.upper()})' if done.last else ''}, {counts}")
    if done.bad:
        _tell_bad(node, done, dry_run)
    if done.bad and not done.imported and not done.known:
        click.get_current_context().exit(1)


def _confirmed(node: Node, done: ImportResult, timeout_s: float) -> str:
    """Wait, and return the level that the last event reached in time."""
    if done.last is None:
        return "sequenced"
    try:
        return node.confirm(done.last, "sequenced", timeout_s=timeout_s)[0]
    except NotConfirmed as wrong:
        echo(f"gitcoord: {wrong}", err=True)
        return node.level(done.last)[0]


def _tell_bad(node: Node, done: ImportResult, dry_run: bool) -> None:
    for reason in done.reasons:
        echo(f"gitcoord: {reason}", err=True)
    more = done.bad - len(done.reasons)
    where = "would go to" if dry_run else "are in"
    echo(
        f"gitcoord: {f'{more} more bad lines; ' if more else ''}they {where} {node.home.path / 'events.error.log'}",
        err=True,
    )


@contextlib.contextmanager
def _progress(file: BinaryIO) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda end: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("importing", total=_size(file))
        yield lambda end: bar.update(task, completed=end)


def _size(file: BinaryIO) -> int | None:
    """Return the size; None for a pipe, whose size cannot be known."""
    try:
        return os.fstat(file.fileno()).st_size or None
    except (OSError, ValueError):
        return None
