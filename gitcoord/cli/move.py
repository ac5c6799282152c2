"""`gitcoord move`: takes a fleet to another remote, or follows it there."""

from __future__ import annotations

import contextlib

import click

from gitcoord.cli.common import as_option, echo, json_option, node_here, print_json, speaker
from gitcoord.cli.dry_run import dry_run_option, would
from gitcoord.core.errors import Moved


@click.command("move")
@click.argument("remote", metavar="[REMOTE]", required=False)
@click.option("--follow", is_flag=True, help="Go on where an admin moved the fleet; REMOTE: another name of that place")
@as_option
@dry_run_option
@json_option
def command(remote: str | None, follow: bool, actor: str | None, dry_run: bool, as_json: bool) -> None:
    """Take the fleet to REMOTE, a remote of this clone or a URL, with its ledger, ids and order.

    Only an admin can. First the ledger is copied there; then it ends here, with a line that says where the fleet went,
    and all processes of this clone go on there. If that is interrupted, they end it by themselves, or the same command
    does. Other clones stop, keep what is written in their queues, and go on after `gitcoord move --follow` in each of
    them (or by themselves, where `gitcoord config set follow_moves true --node` says so). What they have queued goes
    along.

    \b
    Example:
      gitcoord move origin
      gitcoord move --follow
    """
    from gitcoord.node.membership import move

    node = node_here()
    if follow or remote is None:
        if not follow:
            raise click.UsageError("name the REMOTE to move to, or give --follow to go where the fleet went")
        if dry_run:
            would("move", as_json, changes=[f"go on at {remote or node.fleet.moves.to or 'no known place'}"])
            return
        with contextlib.suppress(Moved):
            node.sync()
        to = move.follow(node, remote)
        _show(to, as_json, followed=True)
        return
    with contextlib.suppress(Moved):
        node.sync()
    plan = move.planned(node, remote, actor=speaker(node, actor))
    if dry_run:
        drafts = [] if plan.is_begun else [plan.draft(node)]
        would("move", as_json, drafts=drafts, changes=[f"copy the ledger to {plan.to}", "go on there"])
        return
    move.move(node, plan)
    _show(plan.to, as_json, followed=False)


def _show(to: str, as_json: bool, *, followed: bool) -> None:
    if as_json:
        print_json({"schema": "gitcoord.move/1", "to": to, "followed": followed})
    elif followed:
        echo(f"this clone goes on at {to}")
    else:
        echo(f"the fleet is at {to} now; in each other clone run `gitcoord move --follow`")
