"""`gitcoord hook`: a clone that wants to be told before it commits what another agent has reserved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import here, json_option, print_json
from gitcoord.core.errors import GitcoordError, Lost

if TYPE_CHECKING:
    from gitcoord.features.reservations import Held

PATHS_SHOWN = 3


@click.group("hook")
def command() -> None:
    """Be told before a commit touches what another agent has reserved.

    Whether that is a warning or stops the commit is set with `gitcoord config set hook warn` (or refuse), for the
    fleet or with --node for this clone.

    \b
    Example:
      gitcoord hook install
    """


@command.command("pre-commit")
@json_option
def pre_commit(as_json: bool) -> None:
    """Look at what is about to be committed; what git calls, once the hook is installed.

    As far as this clone knows: the remote is not asked. Exit code 3: it is to be refused. Where gitcoord itself is in
    trouble, it says so and lets the commit pass.

    \b
    Example:
      gitcoord hook pre-commit
    """
    try:
        touched, refuses = _look(Path.cwd())
    except GitcoordError as wrong:
        click.echo(f"gitcoord: reservations were not looked at: {wrong}", err=True)
        return
    if as_json:
        print_json({"schema": "gitcoord.hook.pre_commit/1", "refused": bool(touched and refuses), "touched": touched})
    for one in touched if not as_json else ():
        click.echo(f"gitcoord: {_in_words(one)}", err=True)
    if touched and refuses:
        raise Lost("the commit is refused: talk to them, wait, or commit with --no-verify")


def _look(folder: Path) -> tuple[list[dict[str, Any]], bool]:
    """What is touched of the others' reservations, and whether that is to be refused. Raises GitcoordError."""
    from gitcoord.features import reservations
    from gitcoord.node import acting, preferences
    from gitcoord.node.desk import find_home
    from gitcoord.store import hooks

    paths = hooks.staged_paths(folder)  # BEFORE the node is opened: that forgets which index a surrounding git uses
    if not paths:
        return [], False
    find_home(folder)
    node = here()
    agent = os.environ.get("GITCOORD_AGENT") or node.config.agent or ""
    found = reservations.touched(acting.look(node, agent), paths)
    return [_row(one, hit) for one, hit in found], preferences.hook_of(node.config, node.fleet) == "refuse"


def _row(one: Held, hit: list[str]) -> dict[str, Any]:
    from gitcoord.features.reservations import shown

    return {"touches": hit, "reservation": shown(one)}


def _in_words(row: dict[str, Any]) -> str:
    from gitcoord.cli.shown import plain

    one, hit = row["reservation"], row["touches"]
    more = f" and {len(hit) - PATHS_SHOWN} more" if len(hit) > PATHS_SHOWN else ""
    where = f" in the work tree {one['place']}" if one["place"] else ""
    why = f" ({one['why']})" if one["why"] else ""
    return plain(f"{', '.join(hit[:PATHS_SHOWN])}{more}: {one['agent']}{where} has {', '.join(one['paths'][:3])} "
                 f"until {one['until']}{why}")


@command.command("install")
@json_option
def install(as_json: bool) -> None:
    """Write the pre-commit hook of this clone and its work trees; one that is there is kept, and runs first.

    \b
    Example:
      gitcoord hook install
    """
    from gitcoord.store import hooks

    _tell(hooks.install(Path.cwd()), as_json)


@command.command("uninstall")
@json_option
def uninstall(as_json: bool) -> None:
    """Take the hook away, and put the one that was there before back.

    \b
    Example:
      gitcoord hook uninstall
    """
    from gitcoord.store import hooks

    _tell(hooks.uninstall(Path.cwd()), as_json)


def _tell(did: str, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "gitcoord.hook/1", "did": [did] if did else []})
    else:
        click.echo(did or "nothing to do")
