"""`gitcoord doctor`: problems of this clone and the remote, and how to fix them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from gitcoord.cli.common import draw, json_option, print_json

MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Apply the fixes that are possible on this machine")
@json_option
def command(fix: bool, as_json: bool) -> None:
    """Find problems of this clone and the remote, and how to fix them.

    Looks at git, disk, locks, queue, keys, the private store, the remote and what it lets us do (tried on a scratch
    ref that is removed again), the clock, and for a remote on GitHub at the credentials for its API and what is left
    of its requests. Changes nothing else without --fix. Exit code 1: something fails; 5: credentials.

    \b
    Example:
      gitcoord doctor --json
    """
    from gitcoord.github import checkup
    from gitcoord.github.api import account
    from gitcoord.node.diagnostics import doctor

    account.lend_to_doctor(Path.cwd())
    findings = []
    for finding in doctor.examine(Path.cwd(), fix=fix, more=checkup.CHECKS):
        findings.append(finding)
        if not as_json:
            mark, colour = MARKS[finding.state]
            lines = [(("      → ", ""), (finding.fix, ""))] if finding.fix else []
            draw([((mark, colour), (f"  {finding.check}: {finding.seen}", "")), *lines])
    if as_json:
        print_json({"schema": "gitcoord.doctor/1", "findings": [asdict(finding) for finding in findings]})
    click.get_current_context().exit(doctor.exit_code(findings))
