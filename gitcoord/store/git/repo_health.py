"""The health of repositories: their objects, their settings, their host, for when something is wrong."""

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
FSCK_S = 600.0  # 100,000 objects take seconds; a hung disk takes forever
SHOWN_MAX = 5

# "error in commit …" is said of odd objects that somebody made on purpose: those are complete, and not our damage.
_DAMAGE = re.compile(r"(?:error: |fatal: |missing |broken link)", re.I)


def damage(store: Path) -> list[str]:
    """Return what git finds damaged or missing in the repository at `store`, at most a few lines; empty if it is
    sound."""
    if not (store / "objects").is_dir() or not (store / "HEAD").is_file():
        return ["it is no git repository"]
    found = _run(store, "fsck", "--full", "--no-dangling", "--no-reflogs", "--no-progress", timeout_s=FSCK_S)
    lines = [line.strip() for line in (found.stdout + found.stderr).splitlines() if _DAMAGE.match(line)]
    return lines[:SHOWN_MAX]


def has_commit(store: Path, oid: Oid) -> bool:
    return _run(store, "cat-file", "-e", f"{oid}^{{commit}}").status == 0


def salvage(old: Path, into: Path) -> None:
    """Copy what local refs of the old store keep, as far as it can still be read."""
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
    """Return a setting as it applies in the repository; empty if it is not set."""
    return _run(repository, "config", "--get", key).stdout.strip()


def set_setting(repository: Path, key: str, value: str) -> str:
    """Set a setting in the repository's own file. Return what went wrong, or ""."""
    done = _run(repository, "config", "--local", key, value)
    return message_of(done.stderr) if done.status else ""


def git_folder(repository: Path) -> Path:
    """Return where the repository at a remote's path has its objects: the path itself, or `.git` in it."""
    return repository / ".git" if (repository / ".git").is_dir() else repository


def packs(repository: Path) -> tuple[int, bool]:
    """Return how many packs it has, and whether its refs were packed by somebody."""
    folder = git_folder(repository)
    return len(list((folder / "objects" / "pack").glob("*.pack"))), (folder / "packed-refs").exists()


def loose_objects(repository: Path) -> int:
    """Return about how many loose objects there are: one folder of 256, counted."""
    folders = [folder for folder in (git_folder(repository) / "objects").glob("[0-9a-f][0-9a-f]")][:16]
    return sum(len(list(folder.iterdir())) for folder in folders) * 256 // max(16, len(folders)) if folders else 0


def default_remote(repository: Path) -> str | None:
    """Return `origin` as the clone around `repository` has it."""
    return local_repo.remote_url(repository, "origin")


def git_path() -> str | None:
    try:
        return program.git()
    except FileNotFoundError:
        return None


def _run(repository: Path, *args: str, timeout_s: float = LOCAL_S) -> GitResult:
    credentials.leave_hook()
    return spawn.spawn(["--git-dir", str(git_folder(repository)), *args], {}, timeout_s)


class Probe:
    """A way to a remote with nothing behind it: scratch objects in a folder that goes with the probe."""

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
        """Make a scratch commit in the form of an empty outbox, unlike any other."""
        return outbox.write(
            self.store, node="doctor", pending=(), heartbeats=(), orphans=(), nonce=nonce, parent=parent, time_s=time_s
        )
