"""`gitcoord append`: writes an event to the local disk, then tries one round to sequence it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import (
    allow_secret_option,
    as_option,
    content_or_stdin,
    echo,
    event_id,
    json_option,
    node_here,
    print_json,
    speaker,
    writer_here,
)
from gitcoord.cli.dry_run import dry_run_option, would_write
from gitcoord.core.errors import GitcoordError, NoEffect, Refused
from gitcoord.features import OWN_EVENTS

if TYPE_CHECKING:
    from gitcoord.node.node import Node

ROUND_S = 20.0  # without --wait: the longest wait for one round, of this command or of a running agent


@click.command("append")
@click.argument("type_", metavar="TYPE")
@click.argument("content")
@click.option("--interaction", metavar="N|new", help="Interaction number  [default: that of --re, otherwise a new one]")
@click.option("--to", "recipients", metavar="ID", multiple=True, help="A recipient; repeatable")
@click.option("--re", "parent", metavar="EVENT", help="The event to answer: an id, its beginning, or a position")
@click.option("--data", metavar="JSON", help="A JSON object to attach")
@as_option
@click.option("--wait", type=click.Choice(["queued", "durable", "sequenced"]), help="Wait for this level of safety")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to wait",
)
@click.option("--no-sync", is_flag=True, help="Only queue the events")
@allow_secret_option
@dry_run_option
@json_option
def command(
    type_: str,
    content: str,
    interaction: str | None,
    recipients: tuple[str, ...],
    parent: str | None,
    data: str | None,
    actor: str | None,
    wait: str | None,
    timeout: float,
    no_sync: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write an event of TYPE with CONTENT (`-`: standard input).

    The event is on the local disk before the command returns. Levels: QUEUED (this disk), DURABLE (on the remote),
    SEQUENCED (it has a position in the log). Exit code 4: the level of --wait was not reached in time; 3: it is
    sequenced without effect, with the reason.

    \b
    Example:
      gitcoord append question "Who takes the parser?" --to bob
    """
    if type_ in OWN_EVENTS:
        raise Refused(
            f"{type_} is one of gitcoord's own event types, which its commands write (`gitcoord --help` lists them): "
            "give your event another type"
        )
    node = node_here() if wait or parent or recipients or not no_sync else None
    writer = node or writer_here()
    draft = writer.draft(
        type_,
        content_or_stdin(content),
        actor=speaker(writer, actor),
        interaction=_number(interaction),
        re=event_id(node, parent) if node and parent else None,
        to=_members(node, recipients) if node else (),
        data=_object(data),
    )
    if dry_run:
        would_write(writer, "append", [draft], as_json)
        return
    [event] = writer.append(draft)
    level, position, error = "queued", None, None
    try:
        if node and wait:
            level, position = node.confirm(event, wait, timeout_s=timeout)
        elif node and not no_sync:
            level, position = node.confirm(event, "sequenced", timeout_s=ROUND_S, rounds=1)
    except GitcoordError as wrong:  # the event is on this disk, whatever the remote answered: the user gets its id
        assert node is not None
        level, position = node.level(event)
        error = wrong
    if as_json:
        void = {"void": str(error)} if isinstance(error, NoEffect) else {}
        print_json({"schema": "gitcoord.append/1", "id": event.uid, "level": level, "position": position, **void})
    else:
        echo(f"{event.uid[:8]} {level.upper()}" + (f" at position {position}" if position else ""))
    if error is not None:
        if wait or isinstance(error, NoEffect):
            raise error
        echo(f"gitcoord: {error}", err=True)


def _members(node: Node, recipients: Sequence[str]) -> list[str]:
    """Return the ids of the recipients. Raise Refused if one is not in the fleet, as it could never read the event."""
    from gitcoord.core.lookup import member
    from gitcoord.node.operations import submit

    return submit.judge_with_sync(node, lambda: [member(submit.context(node, ""), one) for one in recipients])


def _number(text: str | None) -> int | None:
    if text is None or text == "new":
        return None
    if not text.isdigit():
        raise click.BadParameter("give a number or `new`", param_hint="--interaction")
    return int(text)


def _object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError as wrong:
        raise Refused(f"--data is not JSON: {wrong}") from None
    if not isinstance(value, dict):
        raise Refused('--data is not a JSON object, such as {"path": "src/a.py"}')
    return value
