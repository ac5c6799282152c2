"""`gitcoord sync`: runs one round with the remote, or waits for the next round of a running agent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import echo, json_option, node_here, print_json
from gitcoord.core.errors import NotConfirmed, Unreachable

if TYPE_CHECKING:
    from gitcoord.core.format.event import Event
    from gitcoord.node.node import Node

POLL_S = 0.02


@click.command("sync")
@click.option("--restore", is_flag=True, help="Restore this fleet's ledger if another one has replaced it")
@json_option
def command(restore: bool, as_json: bool) -> None:
    """Exchange events with the remote now: one round.

    If an agent runs here, the command waits for that agent's next round. Exit code 4: the remote did not answer, or
    some events are still on this disk only; 5: it rejected our credentials; 6: another fleet's ledger replaced ours.

    A clone that saw the fleet's ledger within the last week restores it by itself. A clone that did not, or that has
    restored it too often in a day, needs --restore: somebody may have founded another fleet there on purpose.

    \b
    Example:
      gitcoord sync
    """
    import filelock

    from gitcoord.core.round.sight import Sight
    from gitcoord.node.operations import give_back

    node = node_here()
    before = [event for event in node.disk.pending() if node.fleet.position_of(event) is None]
    races = 0
    if restore:
        node.home.save_sight(Sight().seen(int(time.time())))
    try:
        if node.home.running() and not restore:  # with --restore, the agent's next round may be far off
            _wait_for_round(node)
        else:
            give_back.of_branches(node)
            races = node.sync().races_lost
    except Unreachable as wrong:
        raise Unreachable(f"{wrong}; queued events are safe on this disk; the next sync sends them") from None
    except filelock.Timeout:
        raise NotConfirmed("another process of this node is still syncing: try again when it has ended") from None
    outcome = _outcome(node, before, races)
    if as_json:
        print_json(outcome)
    else:
        echo(_words(outcome))
        for one in outcome.get("void", ()):
            echo(f"gitcoord: event {one['id'][:8]} has no effect: {one['reason']}", err=True)
    if outcome["queued"]:
        raise NotConfirmed(
            f"{outcome['queued']} queued on this disk only: `gitcoord queue list` lists them, "
            "`gitcoord status` shows why"
        )


def _wait_for_round(node: Node) -> None:
    """Wait until the running agent has ended a round. Raise Unreachable with its error, or NotConfirmed."""
    profile = node.local.profile
    limit_s = 2 * profile.poll_s + profile.probe_s + node.config.timeout_s
    deadline = time.monotonic() + limit_s
    rounds = node.home.progress().rounds
    while node.home.progress().rounds == rounds:
        if time.monotonic() > deadline:
            raise NotConfirmed(
                f"{', '.join(node.home.running()) or 'the agent'} ended no round in {limit_s:.0f} s: "
                "`gitcoord status` shows why"
            )
        if not node.home.running():
            node.sync()
            return
        time.sleep(POLL_S)
    progress = node.home.progress()
    if not progress.online:
        raise Unreachable(f"{progress.problem} (reported by the agent that runs here)")


def _outcome(node: Node, events: list[Event], races: int) -> dict[str, Any]:
    from gitcoord.node import peers

    levels = [level for level, _ in peers.own_pending(node)]
    fleet = node.fleet
    placed = [event for event in events if fleet.position_of(event) is not None]
    void = [
        {"id": event.uid, "position": fleet.position_of(event), "reason": reason}
        for event in placed
        if (reason := fleet.why_without_effect(event)) is not None
    ]
    return {
        "schema": "gitcoord.sync/1",
        "position": fleet.position,
        "sequenced": len(placed),
        "durable": levels.count("durable"),
        "queued": levels.count("queued"),
        "races_lost": races,
        **({"void": void} if void else {}),
    }


def _words(outcome: dict[str, Any]) -> str:
    words = [f"position {outcome['position']}", f"{outcome['sequenced']} sequenced"]
    words += [f"{outcome[level]} {level}" for level in ("durable", "queued") if outcome[level]]
    words += [f"{len(outcome['void'])} without effect"] if "void" in outcome else []
    words += [f"{outcome['races_lost']} races lost"] if outcome["races_lost"] else []
    return ", ".join(words)
