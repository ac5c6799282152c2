"""The private store: what a node needs of git, and how it is opened with the node's settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from gitcoord.core.ports import Objects, Remote
from gitcoord.store.home import sharing
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config


class Store(Objects, Remote, Protocol):
    """The operations that a node needs of git."""

    def close(self) -> None: ...

    def look(self) -> Mapping[str, str]: ...

    def look_up(self, ref: str) -> str | None: ...

    def complete(self) -> None: ...

    def turn_to(self, url: str) -> None: ...

    def beside(self, url: str) -> Store: ...

    def tidy(self, patience: int = 1) -> bool: ...


def open_store(home: Home, config: Config, common: Path) -> Store:
    """Return the node's private object store, with the remote of the configuration. Make the store if it is missing.

    `common` is the common git directory of the clone. Raise Refused if git does not trust the owner of either.
    """
    from gitcoord.store.git import git_store, local_repo

    sharing.check_trusted(common, home.store)
    git_store.GitStore.create(home.store)
    url = local_repo.remote_url(common, config.remote) or config.remote
    return git_store.GitStore(
        home.store,
        url=url,
        ledger_ref=config.ledger,
        outbox_prefix=f"{config.namespace}/nodes/",
        config_from=common,
        timeout_s=config.timeout_s,
    )
