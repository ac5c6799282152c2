"""`gitcoord actions`: reports to a workflow on GitHub: a job summary, annotations, outputs."""

from __future__ import annotations

import html
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click

from gitcoord.cli import status
from gitcoord.cli.common import Noun, echo, node_here, writer_here
from gitcoord.core.errors import Refused
from gitcoord.core.text import Place, fit

SCREEN_CHARS_MAX = 64 * 1024
PAGE_BYTES_MAX = 512 * 1024  # GitHub accepts 1 MiB as a step's summary, and drops a longer one
ANSWER_BYTES_MAX = 16 * 1024 * 1024


@click.group("actions", cls=Noun)
def command() -> None:
    """Report the fleet's state in a GitHub workflow; `gitcoord init --github-actions` writes such workflows.

    \b
    Example:
      gitcoord actions report
    """


@command.command("report")
@click.argument("answers", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
def report(answers: tuple[Path, ...]) -> None:
    """Write the job's summary and outputs, and annotate what needs attention.

    FILE is what a command printed with --json: the conflicts in it, and a review's findings, become annotations of
    their lines; any other file is skipped. The summary goes to GITHUB_STEP_SUMMARY and the outputs to GITHUB_OUTPUT;
    outside of a workflow both are printed.

    \b
    Example:
      gitcoord actions report
    """
    from gitcoord.features.reviews.events import Verdict
    from gitcoord.github import annotations
    from gitcoord.node.operations import status as node_status

    values = [value for path in answers for value in _values(path)]
    now = status.read(writer_here())
    # A workflow's leader says goodbye at the end of its tick, so a fleet without a leader is normal in between.
    attention = node_status.attention(
        now if now["leader"] else {**now, "leader": {"agent": "", "state": ""}}, time.time()
    )
    found = [annotations.WorkflowAnnotation("warning", text) for text in attention]
    try:
        found += [one for value in values for one in annotations.of(value)]
    except (KeyError, TypeError, AttributeError):
        raise Refused(f"{' '.join(map(str, answers))}: this is not the output of a command with --json") from None
    _put("GITHUB_STEP_SUMMARY", "".join(_summary(now)))
    outputs = {
        "position": now["ledger"]["position"],
        "leader": (now["leader"] or {}).get("agent", ""),
        "attention": len(found),
    }
    outputs |= {"verdict": value["verdict"] for value in values if value.get("verdict") in get_args(Verdict)}
    _put("GITHUB_OUTPUT", "".join(f"{name}={fit(str(value), Place.LINE)}\n" for name, value in outputs.items()))
    for line in annotations.commands(found):
        echo(line, place=Place.DATA)


def _values(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON objects in a file of lines; skip lines for people."""
    try:
        with open(path, "rb") as file:
            data = file.read(ANSWER_BYTES_MAX + 1)
    except OSError as wrong:
        raise Refused(f"{path}: {wrong.strerror}") from None
    if len(data) > ANSWER_BYTES_MAX:
        raise Refused(f"{path} has more than {ANSWER_BYTES_MAX} bytes: limit the command's output with --limit")
    for line in data.splitlines():
        if line.startswith(b'{"schema": "gitcoord.'):
            try:
                yield json.loads(line)
            except ValueError:
                raise Refused(
                    f"{path}: its last line is incomplete: write the whole output of a command with --json to the file"
                ) from None


def _summary(now: dict[str, Any]) -> Iterator[str]:
    """Yield the job's summary in Markdown: the screen of `gitcoord status`, and the newest conversations."""
    from gitcoord.node import ledger_pages
    from gitcoord.node.operations import local_pages

    screen = "\n".join("".join(fit(words, Place.LINE) for words, _ in line) for line in status.lines(now))
    yield f"## gitcoord\n\n<pre>{html.escape(screen[:SCREEN_CHARS_MAX])}</pre>\n\n"
    page = ledger_pages.newest_page(local_pages.with_pending(node_here()))
    if len(page) > PAGE_BYTES_MAX:
        rest = b"\n\nThis page is cut here: the branch gitcoord/ledger has the rest.\n"
        page = page[:PAGE_BYTES_MAX].rpartition(b"\n")[0] + rest
    yield page.decode("utf-8", "ignore")


def _put(variable: str, text: str) -> None:
    """Append `text` to the file that `variable` names, which the runner reads after the step; without it, print it."""
    path = os.environ.get(variable)
    if not path:
        for line in text.splitlines():
            echo(line)
        return
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as wrong:
        raise Refused(f"{variable}: {path}: {wrong.strerror}") from None
