"""The health of repositories: checks of their objects, settings and remotes, and the repair of some."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from gitcoord.core.ledger import outbox
from gitcoord.core.ports import Oid
from gitcoord.store import program
from gitcoord.store.git import credentials, git_store, local_repo, spawn
from gitcoord.store.git import url as git_url
from gitcoord.store.git.git_output import message_of
from gitcoord.store.git.process import GitResult

LOCAL_S = 30.0
FSCK_S = 600.0  # 100,000 objects take seconds; a disk that hangs takes forever
SHOWN_MAX = 5

# Git reports "error in commit …" for malformed objects that somebody made on purpose: those are no damage of ours.
_DAMAGE = re.compile(r"(?:error: |fatal: |missing |broken link)", re.I)


def damage(store: Path) -> list[str]:
    """Return up to SHOWN_MAX lines about what git finds damaged or missing in the repository at `store`.

    The list is empty if the repository is sound.
    """
    if not (store / "objects").is_dir() or not (store / "HEAD").is_file():
        return ["it is no git repository"]
    found = _run(store, "fsck", "--full", "--no-dangling", "--no-reflogs", "--no-progress", timeout_s=FSCK_S)
    lines = [line.strip() for line in (found.stdout + found.stderr).splitlines() if _DAMAGE.match(line)]
    return lines[:SHOWN_MAX]


def has_commit(store: Path, oid: Oid) -> bool:
    """Return whether the repository has the commit."""
    return _run(store, "cat-file", "-e", f"{oid}^{{commit}}").status == 0


def salvage(old: Path, into: Path) -> None:
    """Copy the local refs of the old store and their objects, as far as they can still be read."""
    _run(
        into,
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        str(old.resolve()),
        f"+{git_store.KEPT}*:{git_store.KEPT}*",
        timeout_s=FSCK_S,
    )


def local_folder(url: str) -> Path | None:
    """Return the folder of a remote on this machine; None for any other."""
    path = Path(url.removeprefix("file://")) if url.startswith("file://") or git_url.is_local(url) else None
    return path if path is not None and path.is_dir() else None


def setting(repository: Path, key: str) -> str:
    """Return a setting that is in force in the repository; "" if it is not set."""
    return _run(repository, "config", "--get", key).stdout.strip()


def set_setting(repository: Path, key: str, value: str) -> str:
    """Write a setting into the repository's own file. Return what went wrong; "" if nothing did."""
    done = _run(repository, "config", "--local", key, value)
    return message_of(done.stderr) if done.status else ""


def git_folder(repository: Path) -> Path:
    """Return the git directory of the repository at a remote's path: the path itself, or `.git` in it."""
    return repository / ".git" if (repository / ".git").is_dir() else repository


def packs(repository: Path) -> tuple[int, bool]:
    """Return the number of packs, and whether some refs are packed."""
    folder = git_folder(repository)
    return len(list((folder / "objects" / "pack").glob("*.pack"))), (folder / "packed-refs").exists()


def loose_objects(repository: Path) -> int:
    """Return the number of loose objects, estimated from up to 16 of the 256 folders."""
    folders = [folder for folder in (git_folder(repository) / "objects").glob("[0-9a-f][0-9a-f]")][:16]
    return sum(len(list(folder.iterdir())) for folder in folders) * 256 // max(16, len(folders)) if folders else 0


def default_remote(repository: Path) -> str | None:
    """Return the URL of the remote `origin` of the clone around `repository`; None if it has none."""
    return local_repo.remote_url(repository, "origin")


def git_path() -> str | None:
    """Return the absolute path of git; None if it is not installed."""
    try:
        return program.git()
    except FileNotFoundError:
        return None


def _run(repository: Path, *args: str, timeout_s: float = LOCAL_S) -> GitResult:
    credentials.leave_hook()
    return spawn.spawn(["--git-dir", str(git_folder(repository)), *args], {}, timeout_s)


class Probe:
    """A connection to a remote with a temporary store, which is removed with the probe."""

    def __init__(self, url: str, *, ledger_ref: str, outbox_prefix: str, config_from: Path, timeout_s: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="gitcoord-probe-")
        path = Path(self._folder.name) / "store.git"
        git_store.GitStore.create(path)

        def open_store() -> git_store.GitStore:
            return git_store.GitStore(
                path,
                url=url,
                ledger_ref=ledger_ref,
                outbox_prefix=outbox_prefix,
                config_from=config_from,
                timeout_s=timeout_s,
            )

        self.again = open_store  # for another thread
        self.store = open_store()

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
        self._folder.cleanup()

    def refs(self) -> dict[str, Oid]:
        """Return all refs of the remote, without fetching anything. Raise what a fetch would raise."""
        return self.store._transport.ls_remote()

    def commit(self, nonce: str, parent: Oid | None, time_s: int) -> Oid:
        """Make a scratch commit in the form of an empty outbox, and return its id. `nonce` makes it unique."""
        return outbox.write(
            self.store, node="doctor", pending=(), heartbeats=(), orphans=(), nonce=nonce, parent=parent, time_s=time_s
        )
