"""`gitcoord resume`: after a pause for disk or permission, once a person has mended what was wrong."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import as_option, here, json_option, print_json
from gitcoord.core.errors import Paused

if TYPE_CHECKING:
    from gitcoord.node.node import Node

PROBE_BYTES = 256 * 1024  # several of the largest events


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
    from gitcoord.store.files import keep_reserve

    node = here()
    mark = node.home.path / "paused"
    try:
        reason, since_s = mark.read_text(encoding="utf-8").strip(), mark.stat().st_mtime
    except FileNotFoundError:
        _say(as_json, "nothing to resume", None, None)
        return
    _try_to_write(node.home.path)
    mark.unlink()
    keep_reserve(node.home.path)
    paused_s = max(0.0, time.time() - since_s)
    uid = _tell_fleet(node, actor, f"was paused for {ago(paused_s)}: {reason}", reason, paused_s)
    _say(as_json, f"resumed after {ago(paused_s)}: {reason}", reason, uid)


def _try_to_write(home: Path) -> None:
    """Raises Paused, and leaves the pause as it is, while the disk still refuses."""
    from gitcoord.store.files import in_words, write_durably

    for folder in (home, home / "store.git"):
        probe = folder / "probe"
        try:
            write_durably(probe, b"\0" * PROBE_BYTES)
            probe.unlink()
        except OSError as wrong:
            for left in (probe, probe.with_name(probe.name + ".new")):
                left.unlink(missing_ok=True)
            raise Paused(f"still paused: {in_words(wrong)} ({folder}); mend it, then run `gitcoord resume`") from wrong


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
