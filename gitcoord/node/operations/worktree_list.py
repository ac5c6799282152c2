"""The work trees of a clone as rows: the agent, the branch, and what is not committed yet."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitcoord.core.errors import GitcoordError
from gitcoord.node import peers
from gitcoord.node.membership.worktree_agents import agent_of, main_top
from gitcoord.node.node import Node
from gitcoord.store.git import code_remote, worktrees
from gitcoord.store.git.worktrees import Worktree


def rows(node: Node, own_files: Callable[[Path], Collection[str]]) -> list[dict[str, Any]]:
    """Return a row for each work tree, the main one first. The remote is not asked.

    `own_files` returns the files of a work tree that are nobody's work. `ahead` and `behind` count commits against the
    remote's default branch as this clone saw it last; they are None if it never saw that.
    """
    top = main_top(node)
    remote = code_remote.find(top, node.config.remote)
    base = code_remote.last_seen(remote)[1] if remote is not None else ""
    own, *linked = worktrees.listed(top)
    if node.worktree is None:
        own = replace(own, folder=top)  # of a submodule, git names its repository
    alive = peers.agent_liveness(node)
    found = [(own, node.home.config().agent or ""), *((one, agent_of(node.home, one.folder)) for one in linked)]
    return [_row(top, one, agent, base, own_files) | _session(alive, agent) for one, agent in found if not one.is_bare]


def _session(alive: Any, agent: str) -> dict[str, Any]:
    seen = alive.get(agent.casefold())
    return {"session": seen.state if seen is not None else ""}


def _row(
    top: Path, tree: Worktree, agent: str, base: str, own_files: Callable[[Path], Collection[str]]
) -> dict[str, Any]:
    is_there = tree.folder.is_dir()
    ahead: int | None = None
    behind: int | None = None
    unsaved = "" if is_there else "the folder is gone"
    try:
        unsaved = worktrees.unsaved(tree.folder, but=own_files(tree.folder)) if is_there else unsaved
        if base and tree.commit:
            ahead, behind = worktrees.ahead_behind(top, tree.commit, base)
    except GitcoordError as wrong:
        unsaved = unsaved or f"not known: {wrong}"
    return {
        "agent": agent,
        "branch": tree.branch,
        "ahead": ahead,
        "behind": behind,
        "unsaved": unsaved,
        "folder": str(tree.folder),
        "commit": tree.commit,
    }
