"""Repair of the private store: it is a copy of the remote, so a damaged one is fetched again, and nothing is lost."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from gitcoord.core.errors import Corrupt, GitcoordError
from gitcoord.store.git import git_store, local_repo, repo_health
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config


def store_damage(home: Home) -> list[str]:
    """Return what is wrong with the private store, for a person; empty if it is sound and has the last tip seen."""
    found = repo_health.damage(home.store)
    tip = home.tip
    if not found and tip is not None and not repo_health.has_commit(home.store, tip):
        found = [f"the last ledger tip seen, {tip[:12]}, is not there"]
    return found


def rebuild_store(home: Home, config: Config) -> Path:
    """Build the private store again, and return where the old one was moved. Call it with the sync lock held.

    The remote is fetched BEFORE the old store is moved: if the remote is unreachable, the rest of the store stays
    readable. The last tip seen stays as it is, so a ledger that was set back meanwhile is still detected.

    Raise what the fetch raises, with a message about the store; Corrupt if the remote is damaged too.
    """
    fresh = home.path / "store.git.fresh"
    aside = home.path / "store.git.damaged"
    shutil.rmtree(fresh, ignore_errors=True)
    git_store.GitStore.create(fresh)
    url = local_repo.remote_url(home.path.parent, config.remote) or config.remote
    try:
        with closing(
            git_store.GitStore(
                fresh,
                url=url,
                ledger_ref=config.ledger,
                outbox_prefix=f"{config.namespace}/nodes/",
                config_from=home.path.parent,
                timeout_s=config.timeout_s,
            )
        ) as store:
            store.fetch()
            if home.store.exists():
                repo_health.salvage(home.store, fresh)
            if home.tip is not None and repo_health.has_commit(fresh, home.tip):
                store.keep("ledger", home.tip)
    except GitcoordError as wrong:
        shutil.rmtree(fresh, ignore_errors=True)
        if isinstance(wrong, Corrupt):
            raise
        raise type(wrong)(
            f"the private store {home.store} is damaged, and cannot be fetched again now: {wrong}"
        ) from wrong
    shutil.rmtree(aside, ignore_errors=True)  # of an earlier repair: only the newest is kept for inspection
    if home.store.exists():
        home.store.rename(aside)
    fresh.rename(home.store)
    return aside
