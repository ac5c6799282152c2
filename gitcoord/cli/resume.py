"""`gitcoord resume`: after a pause for disk or permission, once a person has mended what was wrong."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import as_option, here, json_option, print_json

if TYPE_CHECKING:
    from gitcoord.node.node import Node


@click.command("resume")
@as_option
@json_option
def command(actor: str | None, as_json: bool) -> None:
    """Go on after a pause: try whether the disk can be written to, then take the pause away.

    The pause itself becomes an `error` event, so that the fleet knows of it. Where nothing is paused it does nothing.

    \b
    Example:
      gitcoord resume
    """
    from gitcoord.node.standing import ago
    from gitcoord.store import files

    node = here()
    mark = node.home.path / "paused"
    since_s = mark.stat().st_mtime if mark.exists() else time.time()
    reason = files.resume(node.home.path)  # looks whether writing works even where the pause could not be noted
    if reason is None:
        _say(as_json, "nothing to resume", None, None)
        return
    paused_s = max(0.0, time.time() - since_s)
    uid = _tell_fleet(node, actor, f"was paused for {ago(paused_s)}: {reason}", reason, paused_s)
    _say(as_json, f"resumed after {ago(paused_s)}: {reason}", reason, uid)


def _tell_fleet(node: Node, actor: str | None, text: str, reason: str, paused_s: float) -> str | None:
    speaker = actor or os.environ.get("GITCOORD_AGENT") or node.config.agent
    if speaker is None:
        return None
    data = {"paused": {"reason": reason, "seconds": round(paused_s)}}
    [event] = node.append(node.draft("error", text, actor=speaker, data=data))
    return event.uid


def _say(as_json: bool, words: str, reason: str | None, uid: str | None) -> None:
    if as_json:
        print_json({"schema": "gitcoord.resume/1", "resumed": reason is not None, "reason": reason, "id": uid})
    else:
        click.echo(words)
