"""`gitcoord hook session-start`, `edit` and `session-end`: the commands that the hooks of AI clients run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import F, echo, print_json
from gitcoord.core.errors import GitcoordError
from gitcoord.integrations.clients import CLIENTS

if TYPE_CHECKING:
    from gitcoord.integrations.client_calls import ClientCall


def client_option(function: F) -> F:
    """Add --client and --as. `{worktree}` in --as is filled in later, from the client's JSON: the session's folder."""
    acting = click.option("--as", "actor", metavar="ID", help="The acting agent  [default: this clone's agent]")
    client = click.option(
        "--client", type=click.Choice(list(CLIENTS)), required=True, help="Read and answer the JSON of this client"
    )
    return client(acting(function))


@click.command("session-start")
@client_option
def session_start(client: str, actor: str | None) -> None:
    """Tell an AI client's agent what is new: unread messages and open tasks.

    The client calls this (`gitcoord setup CLIENT`), with its JSON on standard input, and gets the answer as its own
    JSON. If gitcoord itself fails, it prints the reason and lets the client go on.

    \b
    Example:
      echo '{"hook_event_name": "SessionStart"}' | gitcoord hook session-start --client claude
    """
    from gitcoord.integrations import client_sessions

    _answer(client, actor, lambda call, agent: {"context": client_sessions.start(call, agent)})


@click.command("edit")
@client_option
def edit(client: str, actor: str | None) -> None:
    """Warn an AI client's agent before it edits paths that another agent reserved, or refuse the edit.

    The setting `hook` (warn or refuse) decides. The check uses the state of this clone: the remote is not asked. The
    client calls this (`gitcoord setup CLIENT`), with its JSON on standard input. If gitcoord itself fails, it prints
    the reason and lets the edit pass.

    \b
    Example:
      echo '{"tool_name": "Write", "tool_input": {"file_path": "a.py"}}' | gitcoord hook edit --client claude
    """
    from gitcoord.integrations import client_sessions

    def check(call: ClientCall, agent: str) -> dict[str, str]:
        words, refuses = client_sessions.edit(call)
        return {"deny" if refuses else "warn": words}

    _answer(client, actor, check)


@click.command("session-end")
@client_option
def session_end(client: str, actor: str | None) -> None:
    """Release an AI client's reservations when its session ends, and report where the work is.

    The client calls this (`gitcoord setup CLIENT`), with its JSON on standard input.

    \b
    Example:
      echo '{"hook_event_name": "SessionEnd"}' | gitcoord hook session-end --client claude
    """
    from gitcoord.integrations import client_sessions

    def release(call: ClientCall, agent: str) -> dict[str, str]:
        client_sessions.end(call, agent)
        return {}

    _answer(client, actor, release)


def _answer(client: str, actor: str | None, handle: Callable[[ClientCall, str], dict[str, str]]) -> None:
    """Read the call, and print the answer as the client's JSON. No trouble of gitcoord's own stops the client."""
    from gitcoord.core.names import in_worktree
    from gitcoord.integrations import client_calls
    from gitcoord.store.git import repo_location

    answer: dict[str, Any] = {}
    try:
        data = sys.stdin.buffer.read(client_calls.INPUT_BYTES_MAX + 1)
        call = client_calls.parse(data, os.environ, Path.cwd())
        named = actor or os.environ.get("GITCOORD_AGENT") or ""
        agent = in_worktree(named, repo_location.worktree_title(call.place)) if "{" in named else named
        answer = handle(call, agent)
    except (GitcoordError, OSError, ValueError) as wrong:
        echo(f"gitcoord: not checked: {wrong}", err=True)
    print_json(client_calls.answer(CLIENTS[client].dialect, **answer))
