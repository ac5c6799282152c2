"""Changed paths of branches: two branches without a changed path in common cannot conflict, and need no trial merge.

A path counts if any commit since the common ancestor changed it, even if a later one changed it back: the merge base
of two branches may be any commit in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from gitcoord.code.objects import Repository


@dataclass(frozen=True, slots=True)
class ChangedPaths:
    """Changed paths, all folders above them, and `emptied` folders: they lost a file, and may have been renamed."""

    paths: frozenset[str]
    folders: frozenset[str]
    emptied: frozenset[str]

    def may_conflict(self, other: ChangedPaths) -> bool:
        """Return whether a merge of the two could conflict."""
        return bool(
            self.paths & other.paths
            or self.paths & other.folders
            or self.folders & other.paths
            # If one side renamed a folder and the other added a file to it, git moves the file, and reports a conflict.
            or self.emptied & other.folders
            or self.folders & other.emptied
        )


def common_ancestor(repository: Repository, commits: Sequence[str]) -> str | None:
    """Return the best common ancestor of all `commits`; None if there is none."""
    if len(commits) < 2:
        return commits[0] if commits else None
    found = repository.git("merge-base", "--octopus", *commits, codes=(0, 1)).decode().split()
    return found[0] if found else None


def changed_by(repository: Repository, base: str | None, tip: str) -> ChangedPaths:
    """Return the paths that the commits of `tip` since `base` changed."""
    since = [f"{base}..{tip}"] if base else [tip]
    parts = repository.records("log", "--format=", "--name-status", "-z", "-m", "--no-renames", "--root", *since, "--")
    paths: set[str] = set()
    emptied: set[str] = set()
    for status in parts:
        status = status.strip("\n")
        if not status:
            continue
        path = next(parts)
        paths.add(path)
        if status == "D":
            emptied.update(_above(path))
    return ChangedPaths(
        frozenset(paths), frozenset(folder for path in paths for folder in _above(path)), frozenset(emptied)
    )


def _above(path: str) -> list[str]:
    """Return all folders above a path, without the top, which is above every path."""
    return [str(folder) for folder in PurePosixPath(path).parents if str(folder) != "."]
