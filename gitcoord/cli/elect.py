"""`gitcoord elect`: shows the leader and how it is known, and campaigns if there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import as_option, echo, json_option, node_here, print_json, speaker
from gitcoord.cli.dry_run import dry_run_option, would, would_write

if TYPE_CHECKING:
    from gitcoord.node.node import Node


@click.command("elect")
@click.option("--status", "only_status", is_flag=True, help="Show the leader; do not campaign")
@click.option("--resign", is_flag=True, help="Resign, if an agent of this clone leads")
@click.option("--explain", is_flag=True, help="Show the timings and the failover bound")
@click.option("--wait", is_flag=True, help="Wait until an agent leads")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=None,
    metavar="S",
    help="Seconds to wait  [default: the failover bound]",
)
@as_option
@dry_run_option
@json_option
def command(
    only_status: bool,
    resign: bool,
    explain: bool,
    wait: bool,
    timeout: float | None,
    actor: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show the leader, or campaign if there is none.

    A leader that is silent for longer than its profile allows (--explain) is replaced. Without --wait
    the command checks once, except that it waits until a leader's silence is certain. An agent that was elected by this
    command and runs no `gitcoord agent run` campaigns again in a new term: its session ended with the command.

    \b
    Example:
      gitcoord elect
      gitcoord elect --status --json
    """
    from gitcoord.node.operations import elect

    node = node_here()
    if explain:
        _print_explanation(node, as_json)
        return
    if dry_run and not only_status:
        _print_plan(node, speaker(node, actor), resign, as_json)
        return
    if resign:
        outcome = elect.resign(node, speaker(node, actor))
    elif only_status:
        outcome = elect.leadership(node)
    else:
        outcome = elect.take_part(node, speaker(node, actor), wait=wait, timeout_s=timeout)
    if as_json:
        print_json(_as_json(outcome))
        return
    for line in outcome.lines():
        echo(line)


def _print_plan(node: Node, agent: str, resign: bool, as_json: bool) -> None:
    from gitcoord.node.operations import elect

    if resign:
        would_write(node, "elect", [elect.resignation(node, agent)], as_json)
        return
    node.keyring.signer(agent)
    leader = elect.leadership(node).leader
    would(
        "elect",
        as_json,
        changes=[f"watch {leader}, and campaign if it is silent" if leader else "campaign"] if node.config.lead else [],
    )


def _as_json(outcome: Any) -> dict[str, Any]:
    leader = None if outcome.leader is None else {"agent": outcome.leader, "term": outcome.term}
    return {
        "schema": "gitcoord.elect/1",
        "leader": leader,
        "term": outcome.term,
        "since": outcome.since,
        "since_time": outcome.since_time,
        "node": outcome.node,
        "reason": outcome.reason,
        "known_by": outcome.known_by,
        "elected_here": outcome.elected_here,
    }


def _print_explanation(node: Node, as_json: bool) -> None:
    from gitcoord.node.operations import elect

    rows = elect.explain(node)
    if as_json:
        print_json(
            {
                "schema": "gitcoord.elect.explain/1",
                "profile": node.profile.name,
                **{name: value for name, value, _ in rows},
            }
        )
        return
    echo(f"profile {node.profile.name} (seconds)")
    for name, value, words in rows:
        echo(f"  {name:<20} {value:>7.2f}  {words}")
