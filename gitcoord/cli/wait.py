"""`gitcoord wait`: waits until a condition is met."""

from __future__ import annotations

import click

from gitcoord.cli.common import as_option, echo, json_option, node_here, print_json


@click.command("wait")
@click.option(
    "--for",
    "wanted",
    metavar="CONDITION",
    multiple=True,
    required=True,
    help="A condition to wait for; if repeated, all must hold",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to wait",
)
@as_option
@json_option
def command(wanted: tuple[str, ...], timeout: float, actor: str | None, as_json: bool) -> None:
    """Wait for a condition, such as a finished task.

    \b
    A CONDITION is one of
      task ID done       any status of a task, or `over`
      workflow ID done   the same of a run, or of a workflow's newest by its name
      agent NAME alive   late, gone, goodbye, joined, registered, or its status: active, idle, …
      leader [NAME]      an agent leads, or the agent NAME does
      message ID read    delivered, read, acknowledged by all recipients; answered
      event TYPE         the next event of that type

    Exit code 4: not met in time; 1: it can never be met, such as `done` of a task that was cancelled.

    \b
    Example:
      gitcoord wait --for 'agent alice joined' --timeout 30
    """
    import time

    from gitcoord.node.operations import wait

    node = node_here()
    deadline = time.monotonic() + timeout
    for text in wanted:
        left_s = max(0.0, deadline - time.monotonic())
        words = wait.wait_for(node, text, actor=actor or "", timeout_s=left_s)
        if as_json:
            print_json({"schema": "gitcoord.wait/1", "for": text, "because": words})
        else:
            echo(words)
