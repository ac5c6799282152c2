"""A file of tasks: YAML, TOML or a check list in Markdown; one mistake refuses the whole file, and names its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from gitcoord.core.errors import Refused
from gitcoord.core.fields import Given, Payload, Span, Title
from gitcoord.features import numbered_lines
from gitcoord.features.tasks import events
from gitcoord.features.typed import AgentGiven, AnyCase, Capabilities

FILE_CHARS_MAX = 1_000_000
TASKS_MAX = 200  # of one file: each is an event of its own
_ITEM = re.compile(r"[-*+] \[(?P<done>[ xX])\] +(?P<title>\S.*)")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class FileTask(Payload):
    """A task of a file. `after`: keys of earlier tasks in this file, or ids of tasks in the ledger."""

    model_config = ConfigDict(extra="forbid")

    title: Title
    body: events.Body = ""
    needs: Annotated[Capabilities, BeforeValidator(_listed)] = []
    priority: AnyCase = "MEDIUM"
    deadline: Given | None = None
    after: Annotated[list[Given], BeforeValidator(_listed), Field(max_length=events.AFTER_MAX)] = []
    attempts: int = Field(3, ge=1, le=events.ATTEMPTS_MAX)
    time_limit: Annotated[Span, Field(le=events.TIMEOUT_S_MAX)] | None = None
    agent: AgentGiven | None = None
    key: events.Key | None = None


def read(text: str) -> list[tuple[int, FileTask]]:
    """Return the tasks of a file, each with its line number.

    Raise Refused, with the line number of the first mistake.
    """
    entries = list(_check_list(text)) if any(_ITEM.match(line) for line in text.splitlines()) else list(_listing(text))
    if not entries:
        raise Refused(
            "the file has no open task: write a list `tasks` in YAML or TOML, or lines such as `- [ ] Fix the parser`"
        )
    if len(entries) > TASKS_MAX:
        raise Refused(f"the file has {len(entries)} tasks, and at most {TASKS_MAX} are created at once: split it")
    return [(line, _checked(line, value)) for line, value in entries]


def _checked(line: int, value: object) -> FileTask:
    if isinstance(value, str):
        value = {"title": value}
    if not isinstance(value, Mapping):
        raise Refused(f"line {line}: a task is a title, or a table with a title")
    try:
        return FileTask.model_validate(value)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False)
        first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
        name = str(first["loc"][0]) if first["loc"] else ""
        unknown = f"there is no such field; there are: {', '.join(FileTask.model_fields)}"
        reason = unknown if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise Refused(f"line {line}: {name}: {reason}") from None


def _listing(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the entries of `tasks`, or of a file that is only a list, each with its line number."""
    value, lines = numbered_lines.read(text, "a file of tasks")
    place: tuple[str | int, ...] = ()
    if isinstance(value, Mapping):
        unknown = next((name for name in value if name != "tasks"), None)
        if unknown is not None:
            raise Refused(f"line {lines.get((unknown,), 1)}: {unknown!r}: the file has one list, `tasks`")
        value, place = value.get("tasks", []), ("tasks",)
    if value is None:
        return
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise Refused("line 1: the file has no list of tasks: write `tasks:` and, below it, `- title: Fix the parser`")
    headers = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*tasks\s*\]\]", line)]
    for number, one in enumerate(value):
        line = headers[number] if number < len(headers) else lines.get((*place, number), 1)
        yield line, one


def _check_list(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the items that are not checked; indented lines below an item are its body."""
    title, body, begins = "", list[str](), 0
    for number, line in enumerate([*text.splitlines(), "#"], 1):
        found = _ITEM.match(line)
        if found is None and (not line.strip() or line[0] in " \t"):
            body.append(line.strip())
            continue
        if title:
            yield begins, {"title": title, "body": "\n".join(body).strip()}
        title, body, begins = "", [], number
        if found is not None and found["done"] == " ":
            title = found["title"].strip()
