"""`gitcoord hook`: a pre-commit hook that warns about paths that another agent has reserved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gitcoord.cli import client_hooks
from gitcoord.cli.common import Noun, echo, json_option, print_json, tell
from gitcoord.cli.dry_run import dry_run_option, would
from gitcoord.core import times
from gitcoord.core.errors import GitcoordError, Lost

PATHS_SHOWN = 3
LOOK_S = 1.0  # that a commit waits for the remote; the round goes on beside it


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

    If no agent runs here and the last look is older than two seconds, the check looks at the remote for at most one
    second. If that was not enough, it says how old its knowledge is. Exit code 3: the commit is refused. If gitcoord
    itself fails, it prints the reason and lets the commit pass; in a clone that is in no fleet it says nothing to git.

    \b
    Example:
      gitcoord hook pre-commit
    """
    from gitcoord.node.operations import reserved_paths
    from gitcoord.store import hooks
    from gitcoord.store.home.home import find_home

    try:
        folder, by_git = Path.cwd(), "GIT_INDEX_FILE" in os.environ
        paths = hooks.staged_paths(folder)  # BEFORE a repository is opened: that forgets which index git uses
        home = find_home(folder)
        if by_git and not (paths and home.exists):  # a hook of a whole team runs in clones without a fleet too
            return
        at = reserved_paths.look(home, folder, paths, wait_s=LOOK_S, tell=tell)
    except GitcoordError as wrong:
        echo(f"gitcoord: reservations were not checked: {wrong}", err=True)
        return
    refused = bool(at.found and at.refuses)
    if as_json:
        age_s = None if at.age_s is None else round(max(0.0, at.age_s), 1)
        print_json({"schema": "gitcoord.hook.pre_commit/1", "refused": refused, "touched": at.found, "age_s": age_s})
    for one in at.found if not as_json else ():
        echo(f"gitcoord: {_in_words(one)}", err=True)
    if at.is_old and not as_json:
        when = "were never seen" if at.age_s is None else f"are those of {times.roughly(max(0.0, at.age_s))} ago"
        echo(f"gitcoord: the remote did not answer in time: the reservations {when}", err=True)
    if refused:
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
    """Install the pre-commit hook of this clone and its work trees; an existing hook is kept.

    It goes where the manager of hooks looks, if there is one: husky's script, pre-commit's `pre-commit.legacy`,
    lefthook's `lefthook-local.yml`. What is committed with the work tree starts the `gitcoord` of PATH, and does
    nothing where there is none.

    \b
    Example:
      gitcoord hook install
    """
    from gitcoord.store import hook_file

    _tell(hook_file.install(Path.cwd(), dry_run=dry_run), dry_run, as_json)


@command.command("uninstall")
@dry_run_option
@json_option
def uninstall(dry_run: bool, as_json: bool) -> None:
    """Remove the hook, and leave or restore what was there before.

    \b
    Example:
      gitcoord hook uninstall
    """
    from gitcoord.store import hook_file

    _tell(hook_file.uninstall(Path.cwd(), dry_run=dry_run), dry_run, as_json)


def _tell(did: str, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        would("hook", as_json, changes=[did] if did else [])
    elif as_json:
        print_json({"schema": "gitcoord.hook/1", "did": [did] if did else []})
    else:
        echo(did or "nothing to do")


for _one in (client_hooks.session_start, client_hooks.edit, client_hooks.session_end):
    command.add_command(_one)
