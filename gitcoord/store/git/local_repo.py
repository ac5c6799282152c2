"""Repositories on this machine: how they are found and made, and the settings of shared and private ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gitcoord.core.errors import Paused
from gitcoord.store import files
from gitcoord.store.git import credentials, git_output, repo_location
from gitcoord.store.git import url as git_url
from gitcoord.store.git.spawn import LOCAL_S, spawn

REMOTE = {
    # git 2.39 on ext4: while `pack-refs --prune` runs, 84 of 150 races had two winners or more.
    "gc.packRefs": "false",
    "receive.autogc": "false",
    # By default git does not sync the loose objects of small pushes, so a power loss would undo accepted pushes.
    # A push takes 13.8 ms instead of 12.8.
    "core.fsync": "all",
    # A larger pack is kept as a pack, with one sync for each of its files. Ten thousand events are 88 objects: unpacked
    # and each synced, they took 0.21 s of processor time and up to three times as long; as a pack 0.14.
    "receive.unpackLimit": "32",
}


def make_bare_remote(path: Path, *, granted: int | None = None) -> None:
    """Make a shared remote at `path`, or make an existing one safe for compare-and-swap.

    `granted` is the mode of its files, whatever the umask of those who push to it; None: git's own settings.
    """
    init_bare(path, REMOTE if granted is None else {**REMOTE, "core.sharedRepository": f"0{granted:03o}"})
    if granted is not None:  # `git init` sets it in a shared repository, but outboxes are rewritten
        spawn(["config", "--file", str(path / "config"), "receive.denyNonFastforwards", "false"], {}, LOCAL_S)


def init_repository(path: Path) -> None:
    """Make an ordinary repository at `path`, as `git init` does."""
    credentials.leave_hook()
    made = spawn(["init", "--quiet", "--", str(path)], {}, LOCAL_S)
    if made.status:
        reason = git_output.message_of(made.stderr)
        raise Paused(f"git cannot make a repository at {path}: {reason}; fix that, then try again")


def find_common_dir(path: Path) -> Path | None:
    """Return the git directory that all work trees of the clone around `path` share; None outside of any clone."""
    credentials.leave_hook()
    plain = repo_location.plain_common_dir(path)
    if plain is not None:
        return plain
    from git import InvalidGitRepositoryError, NoSuchPathError, Repo

    try:
        with Repo(path, search_parent_directories=True) as repo:
            return repo_location.not_in_tree(Path(repo.common_dir).resolve())
    except (InvalidGitRepositoryError, NoSuchPathError):
        return None


def remote_url(path: Path, name: str) -> str | None:
    """Return the URL of remote `name` of the clone around `path`, with a path made absolute; None if it has none."""
    if not git_url.is_named(name):  # it is a URL, which may have a password: it must not be an argument of git
        return None
    credentials.leave_hook()
    found = spawn(["-C", str(path), "config", "--get", f"remote.{name}.url"], {}, LOCAL_S)
    url = found.stdout.removesuffix("\n")
    if found.status or not url:
        return None
    if git_url.is_local(url) and not Path(url).is_absolute():
        top = spawn(["-C", str(path), "rev-parse", "--show-toplevel"], {}, LOCAL_S).stdout.removesuffix("\n")
        base = path.parent if path.name == ".git" else Path(top or path)
        return str((base / url).resolve())  # git also takes it relative to the top of the work tree
    return url


def shared_repository(path: Path) -> str:
    """Return core.sharedRepository of the repository at `path`, which says who may write to it; "" if it is not set."""
    return spawn(["-C", str(path), "config", "--get", "core.sharedRepository"], {}, LOCAL_S).stdout.strip()


def init_bare(path: Path, settings: Mapping[str, str]) -> None:
    """Make a bare repository at `path` with these settings, or add them to an existing one. Raise Paused."""
    credentials.leave_hook()
    path.mkdir(parents=True, exist_ok=True)
    if not (path / "HEAD").exists():
        # BEFORE it is a repository, so that none exists without them; this also saves a process for each setting
        files.write_durably(path / "config", _as_config(settings))
        settings = {}
    options = ["--quiet", "--bare", "--template=", "--initial-branch=main"]
    made = spawn(["init", *options, "--", str(path)], {}, LOCAL_S)
    if made.status:
        raise Paused(f"git cannot make a repository at {path}: {git_output.message_of(made.stderr)}")
    for key, value in settings.items():
        spawn(["config", "--file", str(path / "config"), key, value], {}, LOCAL_S)


def _as_config(settings: Mapping[str, str]) -> bytes:
    """Return settings in the format of git's configuration; for values without quotes and backslashes."""
    named = [(*key.split("."), value) for key, value in settings.items()]
    return "".join(f'[{section}]\n\t{name} = "{value}"\n' for section, name, value in named).encode()
