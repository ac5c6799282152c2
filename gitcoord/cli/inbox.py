"""`gitcoord inbox --failed`: events that the agent's handler failed on. `features/messages` has the inbox itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import echo, print_json, speaker, writer_here

if TYPE_CHECKING:
    from gitcoord.store.home.dead_letters import Letter

COLUMNS = ("id", "author", "type", "text", "attempts", "reason", "at", "replay")
HELP = """

--failed lists the events that were set aside on this node: for each, the command of `agent run --on-event` failed as
often as --attempts permits. With --replay, the running `agent run` (or the next one) handles all of them again, or the
one with this ID, before new events. An event that fails as often again is set aside again.
"""
EXAMPLE = "\n  gitcoord inbox --failed\n  gitcoord inbox --failed --replay"


def extended(command: click.Command) -> click.Command:
    """Return the feature's command with `--failed` added."""
    shows: Callable[..., Any] | None = command.callback
    words, example, lines = (command.help or "").partition("\n\n\b\n")
    command.help = words + HELP.rstrip("\n") + example + lines + EXAMPLE
    command.params += [
        click.Option(["--failed"], is_flag=True, help="List events that the agent's handler failed on and set aside"),
        click.Option(
            ["--replay"],
            is_flag=False,
            flag_value="",
            metavar="[ID]",
            help="With --failed: replay all of them, or this one",
        ),
    ]

    def run(*, failed: bool, replay: str | None, **rest: Any) -> None:
        if replay is not None and not failed:
            raise click.UsageError("--replay needs --failed: only failed events can be replayed")
        if failed:
            _failed(rest["actor"], replay, as_json=rest["as_json"])
        elif shows is not None:
            shows(**rest)

    command.callback = run
    return command


def _failed(actor: str | None, replay: str | None, *, as_json: bool) -> None:
    from gitcoord.store.home.dead_letters import DeadLetters

    writer = writer_here()
    letters = DeadLetters(writer.home.path, speaker(writer, actor))
    if replay is not None:
        chosen = letters.replay(replay)
        rows = [_shown(one) | {"replay": True} for one in chosen]
    else:
        rows = [_shown(one) for one in letters.all()]
    if as_json:
        print_json({"schema": "gitcoord.inbox.failed/1", "items": rows})
        return
    if replay is not None:
        echo(
            f"{len(rows)} to be handled again, by the `gitcoord agent run --on-event` of {letters.agent}"
            if rows
            else "nothing to do"
        )
    elif rows:
        from gitcoord.cli.tables import print_table

        print_table(COLUMNS, rows)
    else:
        echo(f"gitcoord: no event of {letters.agent} was set aside", err=True)


def _shown(one: Letter) -> dict[str, Any]:
    return {
        "id": one.event,
        "position": one.position,
        "author": one.author,
        "type": one.type,
        "text": one.text,
        "attempts": one.attempts,
        "reason": one.reason,
        "at": one.at,
        "replay": one.replay,
    }
