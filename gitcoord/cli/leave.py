"""`gitcoord leave`: removes this clone from the fleet; its events stay in the log, and the user keeps its keys."""

from __future__ import annotations

import shlex

import click

from gitcoord.cli.common import echo, json_option, node_here, print_json
from gitcoord.cli.dry_run import dry_run_option, would


@click.command("leave")
@click.option("--force", is_flag=True, help="Leave even if events cannot be delivered; keep them in a file")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="S",
    help="Seconds to wait for the delivery of queued events",
)
@dry_run_option
@json_option
def command(force: bool, timeout: float, dry_run: bool, as_json: bool) -> None:
    """Remove this clone, and the agents whose keys it holds, from the fleet.

    Queued events are sent first; if that fails, nothing is changed (exit code 4). What the agents hold goes back. The
    log keeps the events, and the agents' names stay theirs. Keys, queue and logs are moved aside, not deleted.

    \b
    Example:
      gitcoord leave
    """
    from gitcoord.core.text import count
    from gitcoord.node.membership import leave

    node = node_here()
    fleet, undelivered_file = node.config.fleet_id, node.home.queue.path.name
    if dry_run:
        leave.check(node)
        would("leave", as_json, drafts=leave.goodbyes(node), changes=leave.changes(node))
        return
    left = leave.leave(node, force=force, timeout_s=timeout)
    if as_json:
        print_json(
            {
                "schema": "gitcoord.leave/1",
                "fleet": fleet,
                "agents": left.agents,
                "kept": str(left.kept),
                "come_back": left.ways_back,
                "undelivered": left.undelivered,
                "outbox_retired": left.outbox_retired,
                "problems": left.problems,
            }
        )
        return
    for problem in left.problems:
        echo(f"gitcoord: {problem}", err=True)
    echo(f"left fleet {fleet}" + (f": {', '.join(left.agents)}" if left.agents else ""))
    echo(f"kept in {left.kept}: keys, queue and logs")
    if left.undelivered:
        echo(f"{count(left.undelivered, 'event')} undelivered: {left.kept / undelivered_file}")
    for back in left.ways_back:
        echo(f"to come back: {shlex.join(back)}")
