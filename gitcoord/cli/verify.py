"""`gitcoord verify`: checks the whole ledger, so that anyone can detect a leader or a host that lies."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict

import click

from gitcoord.cli.common import echo, json_option, node_here, print_json

FOUND = 6  # exit code


@click.command("verify")
@click.option(
    "--from", "since", type=click.IntRange(min=0), default=0, metavar="POS", help="Trust the log up to this position"
)
@click.option("--history", is_flag=True, help="Read every commit of the ledger, not only the newest one")
@json_option
def command(since: int, history: bool, as_json: bool) -> None:
    """Verify the ledger from its first event: chains, signatures, order, terms, snapshots and checkpoint.

    Changes nothing. Exit code 6: something was found that no honest node writes, one line each. Events that lost a
    race and have no effect are only counted.

    \b
    Example:
      gitcoord verify
      gitcoord verify --history --json
    """
    from gitcoord.cli.shown import plain
    from gitcoord.node.diagnostics.verify import verify

    node = node_here()
    with _progress() as progress:
        verdict = verify(node, since=since, history=history, progress=progress)
    if as_json:
        print_json(
            {
                "schema": "gitcoord.verify/1",
                "position": verdict.position,
                "events": max(0, verdict.position - since),
                "commits": verdict.commits,
                "races": verdict.races,
                "notes": verdict.notes,
                "findings": [asdict(finding) for finding in verdict.findings],
                "seconds": round(verdict.seconds, 3),
            }
        )
    else:
        for note in verdict.notes:
            echo(f"gitcoord: {note}", err=True)
        for finding in verdict.findings:
            echo(plain(f"{finding.kind}: {finding.where}: {finding.text}"))
        counted = f"{verdict.position} events" + (f" in {verdict.commits} commits" if verdict.commits else "")
        races = f", {verdict.races} without effect (they lost a race)" if verdict.races else ""
        found = f"{len(verdict.findings)} findings" if verdict.findings else "nothing found"
        echo(f"{counted}{races}: {found}, {verdict.seconds:.1f} s")
    if verdict.findings:
        click.get_current_context().exit(FOUND)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show a count on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda position: None
        return
    from rich.console import Console

    with Console(stderr=True).status("verifying") as status:
        yield lambda position: status.update(f"verifying: {position} events")
