"""`gitcoord hook`: a pre-commit hook that warns about paths that another agent has reserved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gitcoord.cli import client_hooks
from gitcoord.cli.common import Noun, echo, json_option, print_json, tell, writer_here
from gitcoord.cli.dry_run import dry_run_option, would
from gitcoord.core import times
from gitcoord.core.errors import GitcoordError, Lost

PATHS_SHOWN = 3


@click.group("hook", cls=Noun)
def command() -> None:
    """Warn before a commit, or an AI client's edit, touches paths that another agent reserved.

    Whether that is a warning or stops it is set with `gitcoord config set hook warn` (or refuse), for the
    fleet or with --node for this clone.

    \b
    Example:
      gitcoord hook install
    """


@command.command("pre-commit")
@json_option
def pre_commit(as_json: bool) -> None:
    """Check the staged paths; the installed hook runs this.

    The check uses the state of this clone: the remote is not asked. Exit code 3: the commit is refused. If gitcoord
    itself fails, it prints the reason and lets the commit pass.

    \b
    Example:
      gitcoord hook pre-commit
    """
    from gitcoord.node.operations import reserved_paths
    from gitcoord.store import hooks

    try:
        folder = Path.cwd()
        paths = hooks.staged_paths(folder)  # BEFORE a repository is opened: that forgets which index git uses
        writer = writer_here()
        agent = os.environ.get("GITCOORD_AGENT") or writer.config.agent or ""
        found, refuses = reserved_paths.check(writer, folder, paths, agent, tell=tell)
    except GitcoordError as wrong:
        echo(f"gitcoord: reservations were not checked: {wrong}", err=True)
        return
    if as_json:
        print_json({"schema": "gitcoord.hook.pre_commit/1", "refused": bool(found and refuses), "touched": found})
    for one in found if not as_json else ():
        echo(f"gitcoord: {_in_words(one)}", err=True)
    if found and refuses:
        raise Lost("the commit is refused: ask the holders, wait, or commit with --no-verify")


def _in_words(row: Mapping[str, Any]) -> str:
    from gitcoord.cli.shown import plain

    one, hit = row["reservation"], row["touches"]
    more = f" and {len(hit) - PATHS_SHOWN} more" if len(hit) > PATHS_SHOWN else ""
    where = f" in the work tree {one['place']}" if one["place"] else ""
    why = f" ({one['why']})" if one["why"] else ""
    return plain(
        f"{', '.join(hit[:PATHS_SHOWN])}{more}: {one['agent']}{where} has {', '.join(one['paths'][:3])} "
        f"until {times.shown(one['until'])}{why}"
    )


@command.command("install")
@dry_run_option
@json_option
def install(dry_run: bool, as_json: bool) -> None:
    """Install the pre-commit hook of this clone and its work trees; an existing hook is kept and runs first.

    \b
    Example:
      gitcoord hook install
    """
    from gitcoord.store import hooks

    _tell(hooks.install(Path.cwd(), dry_run=dry_run), dry_run, as_json)


@command.command("uninstall")
@dry_run_option
@json_option
def uninstall(dry_run: bool, as_json: bool) -> None:
    """Remove the hook, and restore the previous one.

    \b
    Example:
      gitcoord hook uninstall
    """
    from gitcoord.store import hooks

    _tell(hooks.uninstall(Path.cwd(), dry_run=dry_run), dry_run, as_json)


def _tell(did: str, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        would("hook", as_json, changes=[did] if did else [])
    elif as_json:
        print_json({"schema": "gitcoord.hook/1", "did": [did] if did else []})
    else:
        echo(did or "nothing to do")


for _one in (client_hooks.session_start, client_hooks.edit, client_hooks.session_end):
    command.add_command(_one)
