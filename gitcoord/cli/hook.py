"""`gitcoord hook`: a clone that wants to be told before it commits what another agent has reserved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from gitcoord.cli.common import Noun, echo, json_option, print_json, tell, writer_here
from gitcoord.cli.dry_run import dry_run_option, would
from gitcoord.core import times
from gitcoord.core.errors import GitcoordError, Lost

Reservation = Mapping[str, Any]  # as `gitcoord reservations --json` has it
Touched = Mapping[str, Any]  # `touches`: paths, `reservation`

PATHS_SHOWN = 3


@click.group("hook", cls=Noun)
def command() -> None:
    """Warn before a commit touches paths that another agent reserved.

    Whether that is a warning or stops the commit is set with `gitcoord config set hook warn` (or refuse), for the
    fleet or with --node for this clone.

    \b
    Example:
      gitcoord hook install
    """


@command.command("pre-commit")
@json_option
def pre_commit(as_json: bool) -> None:
    """Check the staged paths; the installed hook runs this.

    As far as this clone knows: the remote is not asked. Exit code 3: it is to be refused. Where gitcoord itself is in
    trouble, it says so and lets the commit pass.

    \b
    Example:
      gitcoord hook pre-commit
    """
    try:
        found, refuses = _look(Path.cwd())
    except GitcoordError as wrong:
        echo(f"gitcoord: reservations were not checked: {wrong}", err=True)
        return
    if as_json:
        print_json({"schema": "gitcoord.hook.pre_commit/1", "refused": bool(found and refuses), "touched": found})
    for one in found if not as_json else ():
        echo(f"gitcoord: {_in_words(one)}", err=True)
    if found and refuses:
        raise Lost("the commit is refused: ask the holders, wait, or commit with --no-verify")


def _look(folder: Path) -> tuple[list[Touched], bool]:
    """Return which reservations of others the commit touches, and whether to refuse it. Raise GitcoordError."""
    from gitcoord.node import peers as sightings
    from gitcoord.node import status_cache
    from gitcoord.store import hooks
    from gitcoord.store.git import repo_location

    paths = hooks.staged_paths(folder)  # BEFORE a repository is opened: that forgets which index a surrounding git uses
    writer = writer_here()
    seen = status_cache.read(writer.home)
    if seen is None:  # no round has ended here since the last fetch
        from gitcoord.node.node import open_node

        with open_node(folder, tell=tell) as node:
            seen = status_cache.compute(node.replica.branch, node.disk.node)
    agent = os.environ.get("GITCOORD_AGENT") or writer.config.agent or ""
    others = [
        one
        for one in sightings.active_reservations(writer.home.cache, seen)
        if not _is_own(one, agent, seen.node, repo_location.worktree_name(folder))
    ]
    return touched(others, paths), (writer.config.hook or seen.hook) == "refuse"


def _is_own(one: Reservation, agent: str, node: str, place: str) -> bool:
    """Return whether the reservation is the actor's own. If no actor is named, those of this work tree are."""
    same = one["agent"].casefold() == agent.casefold() or not agent
    return same and (one["node"], one["place"]) == (node, place)


def touched(held: Iterable[Reservation], changed: Sequence[str]) -> list[Touched]:
    """Return the reservations that contain changed paths, each with those paths."""
    from gitcoord.features import paths

    found: list[Touched] = []
    for one in held:
        hit = [path for path in changed if any(paths.holds(pattern, path) for pattern in one["paths"])]
        found += [{"touches": hit, "reservation": one}] if hit else []
    return found


def _in_words(row: Touched) -> str:
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
