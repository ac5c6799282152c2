"""Changed paths of branches: two branches that changed nothing in common cannot conflict, and need no trial.

All paths that any commit since the common ancestor changed count, also those that were changed back: a merge may begin
at any commit between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from gitcoord.code.objects import Repository


@dataclass(frozen=True, slots=True)
class ChangedPaths:
    """Paths that were changed; all folders above them; folders that lost a file, and may have been renamed."""

    paths: frozenset[str]
    folders: frozenset[str]
    left: frozenset[str]

    def meets(self, other: ChangedPaths) -> bool:
        """Return whether a merge of the two could conflict."""
        return bool(
            self.paths & other.paths
            or self.paths & other.folders
            or self.folders & other.paths
            # One side renamed a folder, the other put something into it: git moves that along, and asks.
            or self.left & other.folders
            or self.folders & other.left
        )


def common_ancestor(repository: Repository, commits: Sequence[str]) -> str | None:
    """Return the best commit that all have in their history; None if they have none."""
    if len(commits) < 2:
        return commits[0] if commits else None
    found = repository.git("merge-base", "--octopus", *commits, codes=(0, 1)).decode().split()
    return found[0] if found else None


def touched(repository: Repository, base: str | None, tip: str) -> ChangedPaths:
    """Return the paths that the commits of `tip` since `base` changed."""
    since = [f"{base}..{tip}"] if base else [tip]
    parts = repository.records("log", "--format=", "--name-status", "-z", "-m", "--no-renames", "--root", *since, "--")
    paths: set[str] = set()
    left: set[str] = set()
    for status in parts:
        status = status.strip("\n")
        if not status:
            continue
        path = next(parts)
        paths.add(path)
        if status == "D":
            left.update(_above(path))
    return ChangedPaths(
        frozenset(paths), frozenset(folder for path in paths for folder in _above(path)), frozenset(left)
    )


def _above(path: str) -> list[str]:
    """Return all folders above a path, without the top, which is above everything."""
    return [str(folder) for folder in PurePosixPath(path).parents if str(folder) != "."]
