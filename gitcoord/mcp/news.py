"""News for one agent: messages, tasks, directives and conflicts that this server has not shown it yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from gitcoord.core.commands import Answer, Query
from gitcoord.core.errors import GitcoordError
from gitcoord.core.text import cut
from gitcoord.features.tasks.state import ASSIGNED, INPUT_REQUIRED, READY
from gitcoord.mcp.answers import CELL_CHARS
from gitcoord.node.node import Node
from gitcoord.node.operations import submit

ROWS_MAX = 10  # of one answer; the next call has the rest

Row = dict[str, Any]


@dataclass(slots=True)
class News:
    """The keys of the news that were shown, and the position up to which all news were shown."""

    _shown: set[tuple[str, str]] = field(default_factory=set)
    _seen: int = -1

    def new(self, node: Node, actor: str) -> list[Row]:
        """Return the news, the most urgent first, and remember that they were shown."""
        position = node.fleet.position
        if position == self._seen:
            return []
        found = {key: row for key, row in _all(node, actor) if key not in self._shown}
        rows = [*found.items()][:ROWS_MAX]
        self._shown.update(key for key, _ in rows)
        if len(rows) == len(found):
            self._seen = position
        return [row for _, row in rows]


def rows_of(node: Node, actor: str, name: str, **arguments: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a feature's query from the local state, without a sync."""
    query = submit.named(name)
    assert isinstance(query, Query)
    return list(cast("Sequence[Answer]", submit.ask(node, query, arguments, actor=actor, again=False)))


def _all(node: Node, actor: str) -> Iterator[tuple[tuple[str, str], Row]]:
    """Yield everything that waits for the agent: a key, which changes when there is something new, and a row."""
    in_inbox = set()
    for one in rows_of(node, actor, "inbox"):
        in_inbox.add(one["id"])
        if one["type"] == "task_assigned":
            continue  # it is among the tasks
        text = cut(one["text"], CELL_CHARS)
        yield ("message", one["id"]), {"what": one["type"], "id": one["id"], "from": one["from"], "text": text}
    for one in rows_of(node, actor, "directive list", agent=actor):
        if one["id"] not in in_inbox and actor in one["waiting"]:
            yield ("directive", one["id"]), {"what": "directive", "id": one["id"], "text": cut(one["text"], CELL_CHARS)}
    for one in rows_of(node, actor, "task list", agent=actor):
        if one["status"] in (ASSIGNED, INPUT_REQUIRED):
            yield (
                (f"{one['status']} {one['attempt']}", one["id"]),
                {"what": f"task {one['status']}", "id": one["id"], "title": one["title"]},
            )
    for one in rows_of(node, actor, "conflict list", agent=actor):
        paths = one["files"][:ROWS_MAX]
        key = f"conflict {one['a']['commit']} {one['b']['commit']}"
        yield (key, one["id"]), {"what": "conflict", "id": one["id"], "between": one["between"], "paths": paths}
    for one in (row for row in _ready(node, actor) if row["status"] == READY):
        yield (
            (f"ready {one['attempt']}", one["id"]),
            {"what": "task ready", "id": one["id"], "title": one["title"], "priority": one["priority"]},
        )


def _ready(node: Node, actor: str) -> list[Mapping[str, Any]]:
    """Return the tasks that the agent can claim; all of them if it has registered no capabilities."""
    try:
        return rows_of(node, actor, "ready", agent=actor)
    except GitcoordError:
        return rows_of(node, actor, "ready")
