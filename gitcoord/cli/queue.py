"""`gitcoord queue`: lists events that wait on this disk, and drops those that the remote will never accept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import Noun, echo, json_option, node_here, print_json, show_again, watch_option
from gitcoord.cli.dry_run import dry_run_option, would
from gitcoord.core import names
from gitcoord.core.errors import NotConfirmed, Refused

if TYPE_CHECKING:
    from gitcoord.core.format.event import Event
    from gitcoord.node.node import Node

LOCK_S = 30.0  # a round in progress may be pushing the event that is to be dropped


@click.group("queue", cls=Noun)
def command() -> None:
    """List events that wait on this disk, and drop those that the remote refuses.

    \b
    Example:
      gitcoord queue list
    """


@command.command("list")
@watch_option
@json_option
def list_(watch: bool, as_json: bool) -> None:
    """List events that are not sequenced yet, oldest first.

    QUEUED: only on this disk. DURABLE: also on the remote, so that the next round of any node sequences it. If no
    event can be sequenced today, because its author wrote too many without effect, the last line says so.

    \b
    Example:
      gitcoord queue list
      gitcoord queue list --json
    """
    from gitcoord.node import peers

    node = node_here()
    show_again(lambda: list(peers.own_pending(node)), lambda waiting: _show(node, waiting, as_json), watch=watch)


def _show(node: Node, waiting: list[tuple[str, Event]], as_json: bool) -> None:
    from gitcoord.cli import shown
    from gitcoord.core.round.batch import why_waiting

    fleet = node.fleet
    why = why_waiting(node.replica, [event for _, event in waiting])
    if as_json:
        events = [shown.as_json(fleet, event, position=None, level=level) for level, event in waiting]
        print_json({"schema": "gitcoord.queue/1", "events": events, "waiting": why})
        return
    columns = shown.terminal_columns() - 8
    for level, event in waiting:
        echo(f"{event.uid[:8]}{shown.one_line(fleet, event, position=None, level=level, columns=columns)}")
    if not waiting:
        echo("nothing is queued")
    if why is not None:
        echo(f"none of these events can be sequenced today: {why}")


@command.command("drop")
@click.argument("id_", metavar="ID")
@click.option("--force", is_flag=True, help="Also drop events that others may have seen")
@dry_run_option
@json_option
def drop(id_: str, force: bool, dry_run: bool, as_json: bool) -> None:
    """Drop the event ID (or the beginning of its id) from the queue, forever.

    Use it for an event whose content a hook of the remote rejects: nobody has seen the event, and without it the events
    behind it can be pushed. Any node may sequence an event that is on the remote already (DURABLE): for such an event
    --force only stops offering it.

    \b
    Example:
      gitcoord queue drop k3f97hq2
    """
    from gitcoord.node import peers

    node = node_here()
    with _no_round(node):
        waiting = list(peers.own_pending(node))
        level, event = _named(waiting, id_)
        if level == "durable" and not force:
            raise Refused(
                f"event {event.uid[:8]} is on the remote already, and others may have seen it: "
                "wait until it is sequenced, or drop it with --force"
            )
        if dry_run:
            would("queue.drop", as_json, changes=[f"drop {event.uid[:8]} ({event.type} by {event.actor})"])
            return
        _drop(node, event)
    if as_json:
        print_json({"schema": "gitcoord.queue.drop/1", "id": event.uid, "level": level, "event": event.as_json()})
    else:
        echo(f"dropped {event.uid[:8]} ({event.type} by {event.actor})")


@contextlib.contextmanager
def _no_round(node: Node) -> Iterator[None]:
    import filelock

    try:
        with node.home.sync_lock.acquire(timeout=LOCK_S):
            yield
    except filelock.Timeout:
        raise NotConfirmed(
            f"another process of this node has been syncing for {LOCK_S:.0f} s: try again when it has ended"
        ) from None


def _named(waiting: list[tuple[str, Event]], short: str) -> tuple[str, Event]:
    by_id = {event.uid: (level, event) for level, event in waiting}
    return by_id[names.named_id(short, by_id, {}, "queued event", shown_by="queue list")]


def _drop(node: Node, event: Event) -> None:
    node.home.queue.drop(event.uid, signer=node.keyring.signer, fleet_id=node.config.fleet_id)
    progress = node.home.progress()
    # Later lines are chained again: none of them is on the remote any more.
    node.home.save_progress(replace(progress, durable=min(progress.durable, (event.seq or 1) - 1)))
