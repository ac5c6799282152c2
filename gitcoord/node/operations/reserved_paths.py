"""Reserved paths: which reservations of other agents contain given paths, as far as this clone knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gitcoord.node import peers, status_cache
from gitcoord.node.writer import Writer
from gitcoord.store.git import repo_location

Reservation = Mapping[str, Any]  # as `gitcoord reservations --json` has it
Touched = Mapping[str, Any]  # `touches`: paths, `reservation`


def check(
    writer: Writer, folder: Path, paths: Sequence[str], agent: str, *, tell: Callable[[str, str], None] | None = None
) -> tuple[list[Touched], bool]:
    """Return the reservations of others that contain some of the paths, and whether the hook is to refuse that.

    `folder` is the work tree that asks, and `agent` the agent that works there ("" if unknown). The remote is not
    asked. Raise GitcoordError if this clone's state cannot be read.
    """
    seen = status_cache.read(writer.home)
    if seen is None:  # no round has ended here since the last fetch
        from gitcoord.node.node import open_node

        with open_node(folder, tell=tell) as node:
            seen = status_cache.compute(node.replica.branch, node.disk.node)
    others = [
        one
        for one in peers.active_reservations(writer.home.cache, seen)
        if not _is_own(one, agent, seen.node, repo_location.worktree_name(folder))
    ]
    return touched(others, paths), (writer.config.hook or seen.hook) == "refuse"


def _is_own(one: Reservation, agent: str, node: str, place: str) -> bool:
    """Return whether the reservation is the agent's own; if no agent is named, whether it is of this work tree."""
    same = one["agent"].casefold() == agent.casefold() or not agent
    return same and (one["node"], one["place"]) == (node, place)


def touched(held: Iterable[Reservation], changed: Sequence[str]) -> list[Touched]:
    """Return the reservations that contain changed paths, each with those paths."""
    from gitcoord.features import paths

    found: list[Touched] = []
    for one in held:
        inside = [path for path in changed if any(paths.matches(pattern, path) for pattern in one["paths"])]
        found += [{"touches": inside, "reservation": one}] if inside else []
    return found
