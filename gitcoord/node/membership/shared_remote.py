"""The remote that a clone shares with its fleet: the requested one or the clone's own, and a profile for its host."""

from __future__ import annotations

from pathlib import Path

from gitcoord.core.errors import Refused
from gitcoord.store.git import local_repo, repo_location
from gitcoord.store.git.url import is_local
from gitcoord.store.home import sharing

REGISTER = "gitcoord-remote.git"  # beside the clone's objects: all its work trees reach it, and git leaves it alone


def absolute_remote(common: Path, remote: str | None) -> str | None:
    """Return `remote` with a path made absolute: the next command may be started in another folder."""
    if remote and is_local(remote) and local_repo.remote_url(common, remote) is None:
        path = Path(remote).resolve()
        return str(register_in(path) or path)
    return remote


def register_in(path: Path) -> Path | None:
    """Return the register that `init --local` has made in the clone or work tree at `path`; None if there is none."""
    around = repo_location.plain_common_dir(path) if path.is_dir() else None
    return around / REGISTER if around is not None and (around / REGISTER / "HEAD").exists() else None


def default_remote(common: Path, messages: list[str]) -> str:
    """Return "origin" if the clone has that remote; otherwise the path of a bare repository in its git directory.

    Make that repository if it does not exist.
    """
    if local_repo.remote_url(common, "origin") is not None:
        return "origin"
    embedded = local_register(common)
    messages.append(f"this clone has no remote: made one at {embedded}")
    return str(embedded)


def local_register(common: Path) -> Path:
    """Return the path of the bare repository in the clone's git directory. Make it if it does not exist."""
    embedded = common / REGISTER
    if not (embedded / "HEAD").exists():
        sharing.make_home(embedded, local_repo.shared_repository(common))
        local_repo.make_bare_remote(embedded, granted=sharing.mode_in(embedded))
    return embedded


def code_remote(common: Path, remote: str) -> str:
    """Return the remote with the code: "origin" if the register is in a clone of this machine; otherwise `remote`."""
    is_register = Path(remote).name == REGISTER
    return "origin" if is_register and local_repo.remote_url(common, "origin") is not None else remote


def checked_mirror(common: Path, mirror: str, remote: str) -> str:
    """Return the remote for the mirror, with a path made absolute. Raise Refused for none, and for the shared one."""
    found = absolute_remote(common, mirror) or ""
    if is_local(found) and local_repo.remote_url(common, found) is None and not Path(found).is_dir():
        raise Refused(f"this clone has no remote {mirror!r}, and no folder is there: see `git remote -v`")
    places = [local_repo.remote_url(common, one) or one for one in (found, remote)]
    if places[0] == places[1]:
        raise Refused(f"{mirror!r} is the shared remote itself: the ledger is there already")
    return found


def profile_for(common: Path, remote: str) -> str:
    """Return the name of the timing profile for the remote's host, which a fleet's card may overrule."""
    url = local_repo.remote_url(common, remote) or remote
    host = url.split("://", 1)[-1].split("@", 1)[-1].split("/", 1)[0].split(":", 1)[0].lower()
    if "://" not in url and not ("@" in url and ":" in url):
        return "local"
    if url.startswith("file://") or host in ("localhost", "127.0.0.1", "[::1]", "["):
        return "local"
    return "github" if host in ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org") else "lan"
