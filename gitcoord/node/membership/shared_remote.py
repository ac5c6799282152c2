"""The shared remote of a clone: as it was asked for, or as the clone has it, and the timings that fit its host."""

from __future__ import annotations

from pathlib import Path

from gitcoord.store.git import local_repo
from gitcoord.store.git.url import is_local
from gitcoord.store.home import sharing


def absolute_remote(common: Path, remote: str | None) -> str | None:
    """Return a path as absolute: the next command may be started in another folder."""
    if remote and is_local(remote) and local_repo.remote_url(common, remote) is None:
        return str(Path(remote).resolve())
    return remote


def default_remote(common: Path, messages: list[str]) -> str:
    """Return the clone's own remote; without one, make a bare repository beside its objects."""
    if local_repo.remote_url(common, "origin") is not None:
        return "origin"
    embedded = common / "gitcoord-remote.git"
    if not (embedded / "HEAD").exists():
        sharing.make_home(embedded, local_repo.shared_repository(common))
        local_repo.make_bare_remote(embedded, granted=sharing.mode_in(embedded))
    messages.append(f"no remote: made one at {embedded}")
    return str(embedded)


def profile_for(common: Path, remote: str) -> str:
    """Return timings by the remote's host, until the card names others."""
    url = local_repo.remote_url(common, remote) or remote
    host = url.split("://", 1)[-1].split("@", 1)[-1].split("/", 1)[0].split(":", 1)[0].lower()
    if "://" not in url and not ("@" in url and ":" in url):
        return "local"
    if url.startswith("file://") or host in ("localhost", "127.0.0.1", "[::1]", "["):
        return "local"
    return "github" if host in ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org") else "lan"
