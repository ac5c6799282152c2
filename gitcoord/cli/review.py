"""`gitcoord review post`: reviews a pull request, and posts the fleet's verdict on GitHub."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import Noun, as_option, echo, json_option, print_json, speaker, tell
from gitcoord.cli.forge import at, node_if_any
from gitcoord.core import rights
from gitcoord.core.errors import GitcoordError, Lost
from gitcoord.core.secret_scan.credentials import OnSecret

if TYPE_CHECKING:
    from gitcoord.core.commands import NewEvent
    from gitcoord.github.review import ReviewResult
    from gitcoord.node.node import Node


@click.group("review", cls=Noun)
def command() -> None:
    """Request reviews of pull requests, vote, and post the fleet's verdict on GitHub.

    \b
    Example:
      gitcoord review list
    """


@command.command("post")
@click.option("--pr", "number", metavar="N", type=click.IntRange(1), required=True, help="Pull request number")
@click.option("--repo", metavar="OWNER/NAME", help="The repository  [default: that of the remote]")
@click.option("--dry-run", is_flag=True, help="Show the review; post nothing")
@as_option
@json_option
def post(number: int, repo: str | None, dry_run: bool, actor: str | None, as_json: bool) -> None:
    """Post a review of a pull request on GitHub, from conflicts, reservations, gates and votes.

    The pull request is read through the API and merged on trial; its code is never checked out or run. One review is
    posted, with a status and labels; another run updates it. The verdict is approve, comment, or request changes.

    Exit code 3: each time, new commits were pushed during the review.

    \b
    Example:
      gitcoord review post --pr 12 --repo OWNER/REPO --dry-run
    """
    from gitcoord.github import fleet_context, recording, review
    from gitcoord.github.api import credentials
    from gitcoord.github.api.client import Client
    from gitcoord.node.operations import submit

    known = credentials.required(os.environ)
    node = node_if_any()
    who = speaker(node, actor) if node is not None and not dry_run else ""
    forge = at(node, repo)
    fleet = fleet_context.gather(submit.context(node, who)) if node is not None else fleet_context.FleetContext()
    with Client(forge.name, known) as client:
        found = review.reviewed(
            client, number, fleet, repo=forge.repo_in_events, source=forge.source(client), dry_run=dry_run
        )
    if node is not None and not dry_run:
        _record(node, recording.proposals(fleet, found, forge.repo_in_events), who)
    _show(found, forge.name, as_json)
    if found.posted is not None and found.posted.event is None:
        raise Lost(f"nothing was posted, because {found.posted.stale} was pushed meanwhile: run the command again")


def _record(node: Node, proposals: Sequence[NewEvent], actor: str) -> None:
    """Record the review in the ledger, once. If the remote is unreachable, it is queued."""
    for one in proposals:
        reason = rights.why_not(node.fleet, one.type, actor=actor, re=one.re, data=one.data)
        if reason is not None:
            tell(
                "review",
                f"not recorded in the ledger: {reason}. An admin can run `gitcoord agent role {actor} reviewer`",
            )
            return
    node.append(*node.drafted(proposals, actor=actor), on_secret=OnSecret.HIDE)
    if proposals:
        with contextlib.suppress(GitcoordError):
            node.sync()


def _show(found: ReviewResult, name: str, as_json: bool) -> None:
    from gitcoord.cli.shown import plain
    from gitcoord.github import render

    if as_json:
        print_json(_plain(found, name))
        return
    posted = found.posted
    echo(
        f"{name}#{found.pull_input.pull.number} at {found.pull_input.pull.head[:12]}: {render.status(found.judgement)}"
    )
    for one in found.judgement.findings:
        at = f"{plain(one.path)}{f':{one.first}' if one.first else ''}: " if one.path else ""
        echo(f"  {one.severity}: {at}{plain(one.text)}")
    if posted is None:
        echo("nothing was posted (--dry-run)")
        return
    if posted.event is not None:
        echo(posted.url)
    for wrong in posted.failed:
        tell("review", wrong)
    if posted.event is not None and posted.stale is not None:
        tell("review", f"the review is stale, because {posted.stale[:12]} was pushed meanwhile: run the command again")


def _plain(found: ReviewResult, name: str) -> dict[str, Any]:
    posted, pull = found.posted, found.pull_input.pull
    return {
        "schema": "gitcoord.review.post/1",
        "repo": name,
        "pr": pull.number,
        "commit": pull.head,
        "base": pull.base_ref,
        "verdict": found.judgement.verdict,
        "labels": list(found.judgement.labels),
        "findings": [
            {"severity": one.severity, "path": one.path, "first": one.first, "last": one.last, "text": one.text}
            for one in found.judgement.findings
        ],
        "posted": posted is not None and posted.event is not None,
        "url": posted.url or None if posted else None,
        "event": posted.event if posted else None,
        "stale": posted.stale if posted else None,
        "failed": posted.failed if posted else [],
    }
