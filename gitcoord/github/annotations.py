"""Annotations: texts that GitHub shows beside a line of code, or on a workflow's page, if a step prints a command.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gitcoord.core.text import Place, fit

Level = Literal["error", "warning", "notice"]

SHOWN_MAX = 10  # of each level in a step: GitHub drops the others silently
TEXT_CHARS_MAX = 2000
FINDINGS: Mapping[str, Level] = {"error": "error", "warning": "warning", "note": "notice"}  # of a review


@dataclass(frozen=True, slots=True)
class WorkflowAnnotation:
    """An annotation. `line` counts from 1. Without a `file`, GitHub shows it on the workflow's own page."""

    level: Level
    text: str
    title: str = "gitcoord"
    file: str | None = None
    line: int | None = None

    def command(self) -> str:
        """Return the line that a step prints. No text in it can end the command or begin another one."""
        where = {"title": self.title, "file": self.file, "line": self.line}
        properties = ",".join(f"{name}={_property(str(value))}" for name, value in where.items() if value is not None)
        return f"::{self.level} {properties}::{_data(self.text[:TEXT_CHARS_MAX])}"


def commands(found: Iterable[WorkflowAnnotation]) -> Iterator[str]:
    """Yield the commands of as many annotations as GitHub shows, the first of each level. If there are more, the last
    command says how many."""
    shown: dict[str, int] = {}
    left = 0
    for one in found:
        shown[one.level] = shown.get(one.level, 0) + 1
        if shown[one.level] < SHOWN_MAX:  # one place is for the count of the rest
            yield one.command()
        else:
            left += 1
    if left:
        yield WorkflowAnnotation("warning", f"{left} more are only in the log of the step that found them").command()


def of(value: Mapping[str, Any]) -> Iterator[WorkflowAnnotation]:
    """Yield annotations for the output of a command with --json; none for a command that is not about lines of code."""
    if value["schema"] == "gitcoord.conflict.check/1":
        yield from _conflicts(value)
    elif value["schema"] == "gitcoord.review.post/1":
        yield from _findings(value)


def _conflicts(value: Mapping[str, Any]) -> Iterator[WorkflowAnnotation]:
    """Yield one for each hunk, otherwise for each path, the worst conflict first."""
    for conflict in value["conflicts"]:
        level: Level = "error" if conflict["severity"] in ("high", "critical") else "warning"
        names = " and ".join(conflict[side]["name"] for side in ("a", "b"))
        for path in conflict["paths"]:
            for hunk in path["hunks"] or [None]:
                within = f", in {hunk['function']}" if hunk and hunk["function"] else ""
                yield WorkflowAnnotation(
                    level,
                    f"{names} conflict here{within} ({path['kind']})",
                    f"{conflict['severity']} conflict",
                    path["path"],
                    hunk["a_at"] if hunk else None,
                )


def _findings(value: Mapping[str, Any]) -> Iterator[WorkflowAnnotation]:
    for one in value["findings"]:
        yield WorkflowAnnotation(FINDINGS[one["severity"]], one["text"], "gitcoord review", one["path"], one["first"])


def _data(text: str) -> str:
    return fit(text, Place.DATA).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
