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
@click.option("--cancel", is_flag=True, help="Keep the fleet where it is, if a move has begun and not arrived")
@click.option("--force", is_flag=True, help="With --cancel: do not look whether the fleet has arrived there")
@as_option
@dry_run_option
@json_option
def command(
    remote: str | None, follow: bool, cancel: bool, force: bool, actor: str | None, dry_run: bool, as_json: bool
) -> None:
    """Take the fleet to REMOTE, a remote of this clone or a URL, with its ledger, ids and order.

    Only an admin can. First the ledger is copied there; then it ends here, with a line that says where the fleet went,
    and all processes of this clone go on there. If that is interrupted, they end it by themselves, or the same command
    does; --cancel keeps the fleet where it is. Other clones stop, keep what is written in their queues, and go on after
    `gitcoord move --follow` in each of them (or by themselves, where `gitcoord config set follow_moves true --node`
    says so). What they have queued goes along.

    \b
    Example:
      gitcoord move origin
    """
    from gitcoord.node.membership import move

    _check(remote, follow, cancel, force)
    node = node_here()
    with contextlib.suppress(Moved):
        move.sync_here(node) if cancel else node.sync()
    if follow:
        if dry_run:
            would("move", as_json, changes=[f"go on at {remote or node.fleet.moves.to or 'no known place'}"])
            return
        _show(move.follow(node, remote), as_json, "this clone goes on at {}", followed=True)
        return
    if cancel:
        who = speaker(node, actor)
        move.check_cancel(node, actor=who)
        if dry_run:
            would("move", as_json, changes=[f"open the ledger again at {node.config.remote}"])
            return
        _show(move.cancel(node, actor=who, force=force), as_json, "the fleet stays at {}")
        return
    plan = move.planned(node, remote or "", actor=speaker(node, actor))
    if dry_run:
        drafts = [] if plan.is_begun else [plan.draft(node)]
        would("move", as_json, drafts=drafts, changes=[f"copy the ledger to {plan.to}", "go on there"])
        return
    move.move(node, plan)
    _show(plan.to, as_json, "the fleet is at {} now; in each other clone run `gitcoord move --follow`")


def _check(remote: str | None, follow: bool, cancel: bool, force: bool) -> None:
    """Raise UsageError for options that do not go together."""
    if remote is None and not follow and not cancel:
        raise click.UsageError("name the REMOTE to move to, or give --follow to go where the fleet went")
    if cancel and (follow or remote is not None):
        raise click.UsageError("--cancel goes with no REMOTE and not with --follow: it keeps the fleet where it is")
    if force and not cancel:
        raise click.UsageError("--force needs --cancel")


def _show(to: str, as_json: bool, words: str, *, followed: bool = False) -> None:
    if as_json:
        print_json({"schema": "gitcoord.move/1", "to": to, "followed": followed})
    else:
        echo(words.format(to))
