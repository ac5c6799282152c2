"""`gitcoord resume`: ends a pause because of the disk or a permission, after a person has fixed the cause."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import as_option, echo, json_option, node_here, print_json
from gitcoord.cli.dry_run import dry_run_option, would

if TYPE_CHECKING:
    from gitcoord.core.format.event import Draft
    from gitcoord.node.node import Node


@click.command("resume")
@as_option
@dry_run_option
@json_option
def command(actor: str | None, dry_run: bool, as_json: bool) -> None:
    """Resume after a pause: check that the disk is writable, then end the pause.

    The pause is recorded as an `error` event, so that the fleet knows of it. Without a pause the command does nothing.

    \b
    Example:
      gitcoord resume
    """
    from gitcoord.core import times
    from gitcoord.core.secret_scan.credentials import OnSecret
    from gitcoord.store import files

    node = node_here()
    mark = node.home.path / "paused"
    since_s = mark.stat().st_mtime if mark.exists() else time.time()
    # Check that writing works, even if the pause could not be recorded.
    reason = files.resume(node.home.path, dry_run=dry_run)
    paused_s = max(0.0, time.time() - since_s)
    draft = _error_event(node, actor, reason, paused_s) if reason is not None else None
    if dry_run:
        would(
            "resume",
            as_json,
            drafts=[draft] if draft is not None else [],
            changes=[f"end the pause: {reason}"] if reason is not None else [],
        )
        return
    if reason is None:
        _report(as_json, "nothing to resume", None, None)
        return
    _report(
        as_json,
        f"resumed after {times.roughly(paused_s)}: {reason}",
        reason,
        node.append(draft, on_secret=OnSecret.HIDE)[0].uid if draft is not None else None,
    )


def _error_event(node: Node, actor: str | None, reason: str, paused_s: float) -> Draft | None:
    """Return the `error` event that tells the fleet of the pause; None if no agent is set."""
    from gitcoord.core import times

    speaker = actor or os.environ.get("GITCOORD_AGENT") or node.config.agent
    if speaker is None:
        return None
    data = {"paused": {"reason": reason, "seconds": round(paused_s)}}
    return node.draft("error", f"was paused for {times.roughly(paused_s)}: {reason}", actor=speaker, data=data)


def _report(as_json: bool, words: str, reason: str | None, uid: str | None) -> None:
    if as_json:
        print_json({"schema": "gitcoord.resume/1", "resumed": reason is not None, "reason": reason, "id": uid})
    else:
        echo(words)
