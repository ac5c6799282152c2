"""Reserved paths: which reservations of others some paths touch, as far as this clone knows without the remote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gitcoord.node import peers, status_cache
from gitcoord.node.writer import Writer
from gitcoord.store.git import repo_location

Reservation = Mapping[str, Any]  # as `gitcoord reservations --json` has it
Touched = Mapping[str, Any]  # `touches`: paths, `reservation`


def look(
    writer: Writer, folder: Path, paths: Sequence[str], agent: str, *, tell: Callable[[str, str], None] | None = None
) -> tuple[list[Touched], bool]:
    """Return which reservations of others the paths touch, and whether to refuse that. Raise GitcoordError.

    `folder`: the work tree that asks. `agent`: who asks there ("": not known).
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
    """Return whether the reservation is the actor's own. If no actor is named, those of this work tree are."""
    same = one["agent"].casefold() == agent.casefold() or not agent
    return same and (one["node"], one["place"]) == (node, place)


def touched(held: Iterable[Reservation], changed: Sequence[str]) -> list[Touched]:
    """Return the reservations that contain changed paths, each with those paths."""
    from gitcoord.features import paths

    found: list[Touched] = []
    for one in held:
        hit = [path for path in changed if any(paths.matches(pattern, path) for pattern in one["paths"])]
        found += [{"touches": hit, "reservation": one}] if hit else []
    return found
