"""The repository on GitHub that a command is about, and its URL for git; taken from the fleet if there is one."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitcoord.cli.common import node_here
from gitcoord.core.errors import GitcoordError, Refused

if TYPE_CHECKING:
    from gitcoord.code.fetched import Source
    from gitcoord.github.api.client import Client
    from gitcoord.node.node import Node


@dataclass(frozen=True)
class Forge:
    """`name` is OWNER/NAME. `remote`: how this clone reaches it; None for another repository than the clone's own."""

    name: str
    remote: Source | None

    @property
    def repo_in_events(self) -> str:
        """Return `repo` in events about the repository: "" for the fleet's own one."""
        return "" if self.remote is not None else self.name

    def source(self, client: Client) -> Source | None:
        """Return where git can fetch its commits; None if GitHub names no URL."""
        from gitcoord.code.fetched import Source

        if self.remote is not None:
            return self.remote
        url = client.facts().clone_url
        return Source(url) if url else None


def node_if_any() -> Node | None:
    """Open the node of this clone's fleet, if there is one: these commands also work without a fleet."""
    with contextlib.suppress(GitcoordError):
        return node_here()
    return None


def at(node: Node | None, repo: str | None) -> Forge:
    """Return the repository that `--repo` names, otherwise that of the remote.

    Raise Refused if that is not on GitHub.
    """
    from gitcoord.code.fetched import Source
    from gitcoord.github.api import urls
    from gitcoord.node.membership.shared_remote import code_remote
    from gitcoord.store.git import local_repo, repo_location

    wanted = urls.repository_name(repo) if repo is not None else None
    common = node.home.path.parent if node is not None else repo_location.common_dir(Path.cwd())
    remote = code_remote(common, node.config.remote) if node is not None and common is not None else "origin"
    url = (local_repo.remote_url(common, remote) or remote) if common is not None else ""
    own = urls.repository_of(url, os.environ) if url else None
    if wanted is None and own is None:
        raise Refused("the remote here is not on GitHub: name a repository with --repo OWNER/NAME")
    if own is not None and (wanted is None or wanted.casefold() == own.casefold()):
        return Forge(own, Source(url, common))
    return Forge(wanted or "", None)
