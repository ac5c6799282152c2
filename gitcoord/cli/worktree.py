"""`gitcoord worktree`: work trees with an agent each, made in one step and removed without any loss."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import Noun, echo, json_option, node_here, print_json
from gitcoord.cli.dry_run import dry_run_option, would
from gitcoord.core.errors import GitcoordError
from gitcoord.integrations.clients import CLIENTS

if TYPE_CHECKING:
    from gitcoord.node.membership.worktree_agents import Added, AddPlan
    from gitcoord.node.node import Node

COLUMNS = ("agent", "branch", "session", "ahead", "behind", "unsaved", "folder")


@click.group("worktree", cls=Noun)
def command() -> None:
    """Make, list and remove worktrees that have an agent each.

    \b
    Example:
      gitcoord worktree list
    """


@command.command("add")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--client", type=click.Choice(list(CLIENTS)), help="Set up this AI client in each, as `gitcoord setup` does"
)
@click.option("--count", metavar="N", type=click.IntRange(1, 20), help="Make N of them: NAME-1, NAME-2 and so on")
@click.option("--from", "branch", metavar="BRANCH", help="Begin at this branch  [default: the remote's default branch]")
@click.option(
    "--path",
    metavar="PATH",
    default="../{clone}-{name}",
    show_default=True,
    help="The folder, relative to the clone; {name} means NAME, {clone} the name of the clone's folder",
)
@dry_run_option
@json_option
def add(
    names: tuple[str, ...],
    client: str | None,
    count: int | None,
    branch: str | None,
    path: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make worktrees: each with its own agent NAME, on its own new branch NAME.

    They begin at the remote's default branch as it is now, not at what this clone has checked out. A failure leaves
    nothing behind that its message does not name.

    \b
    Example:
      gitcoord worktree add ada bo --client claude
      gitcoord worktree add worker --count 4
      gitcoord worktree add cy --from release --path '../{name}'
    """
    from gitcoord.integrations import setup
    from gitcoord.node.membership import joining, worktree_agents

    if count is not None and len(names) != 1:
        raise click.UsageError("--count needs one NAME: it makes NAME-1, NAME-2 and so on")
    node = node_here()
    agents = names if count is None else worktree_agents.numbered(names[0], count)
    planned = worktree_agents.plan(node, agents, path, branch or "", dry=dry_run)
    if dry_run:
        changes = [
            f"make {one.folder} on the new branch {one.branch} at {planned.base.words}" for one in planned.worktrees
        ]
        changes += [f"set up {CLIENTS[client].title} in each"] if client else []
        would("worktree.add", as_json, drafts=joining.drafts(node, agents), changes=changes, notes=list(planned.notes))
        return

    def set_up(folder: Path) -> list[str]:
        return [one.words for one in setup.setup(client, folder)] if client is not None else []

    _show_added(planned, worktree_agents.add(node, planned, set_up), client, as_json)


def _show_added(planned: AddPlan, added: Added, client: str | None, as_json: bool) -> None:
    chosen = CLIENTS[client] if client is not None else None
    if as_json:
        print_json(
            {
                "schema": "gitcoord.worktree.add/1",
                "base": {"commit": planned.base.commit, "branch": planned.base.branch, "remote": planned.base.remote},
                "items": [
                    {
                        "agent": one.agent,
                        "branch": one.branch,
                        "folder": str(one.folder),
                        "did": added.did.get(one.agent, []),
                    }
                    for one in added.worktrees
                ],
                "notes": list(planned.notes),
            }
        )
        return
    for words in planned.notes:
        echo(f"gitcoord: {words}", err=True)
    for one in added.worktrees:
        echo(f"{one.agent} in {_near(one.folder)}, on the new branch {one.branch} at {planned.base.words}")
    if chosen is not None:
        for words in dict.fromkeys(words for did in added.did.values() for words in did):
            echo(f"in each: {words}")
        echo(f"note: {chosen.then}") if chosen.then else None
    starts = chosen.programs[0] if chosen is not None and chosen.programs else "gitcoord next"
    echo(f"next: cd {_near(added.worktrees[0].folder)} && {starts}")


def _near(folder: Path) -> str:
    """Return a folder as people type it from here."""
    near = os.path.relpath(folder)
    return near if near.count("..") < 3 else str(folder)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the worktrees of this clone: agent, branch, session, and what is not saved.

    `ahead` and `behind` count commits against the remote's default branch as this clone saw it last.

    \b
    Example:
      gitcoord worktree list
    """
    from gitcoord.cli.tables import print_table
    from gitcoord.integrations import setup
    from gitcoord.node.operations import worktree_list

    rows = worktree_list.rows(node_here(), setup.own_files)
    if as_json:
        print_json({"schema": "gitcoord.worktree.list/1", "items": rows})
        return
    print_table(COLUMNS, [{**one, "folder": _near(Path(one["folder"]))} for one in rows])


@command.command("remove")
@click.argument("name")
@dry_run_option
@json_option
def remove(name: str, dry_run: bool, as_json: bool) -> None:
    """Remove the worktree of agent NAME, which leaves; its reservations and tasks go back.

    Refused if it holds work that is not committed. Its branch stays, unless the remote's default branch holds all
    its commits. NAME may be the worktree's folder as well.

    \b
    Example:
      gitcoord worktree remove ada --dry-run
    """
    from gitcoord.integrations import setup
    from gitcoord.node.membership import worktree_leave

    node = node_here()
    tree = worktree_leave.found(node, name)
    own = setup.own_files(tree.folder) if tree is not None and tree.folder.is_dir() else set()
    planned = worktree_leave.plan(node, name, own, cwd=Path.cwd())
    if dry_run:
        would("worktree.remove", as_json, drafts=planned.drafts, changes=planned.changes)
        return
    removed = worktree_leave.remove(node, planned)
    _tell_fleet(node, removed.notes)
    if as_json:
        print_json({"schema": "gitcoord.worktree.remove/1", "did": removed.did, "notes": removed.notes})
        return
    for words in removed.did:
        echo(words)
    for words in removed.notes:
        echo(f"note: {words}")


def _tell_fleet(node: Node, notes: list[str]) -> None:
    import filelock

    try:
        node.sync()
    except (GitcoordError, filelock.Timeout) as wrong:  # it is on this disk
        notes.append(f"the fleet is told as soon as the remote answers ({wrong})")
