"""A remote on this machine: its refs, read from its files without starting git.

They only serve to see whether anything is new. If the answer is not certain, there is none, and git is asked.
"""

from __future__ import annotations

import re
from pathlib import Path

from gitcoord.core.errors import Corrupt
from gitcoord.core.ports import Oid
from gitcoord.store.git import refs as git_refs

PACKED_BYTES_MAX = 256 * 1024  # thousands of refs, of which git reads only what it needs

_ELSEWHERE = re.compile(r"(?:^|\0)url\..+\.(?:push)?insteadof\n", re.I)


def repository(url: str, listing: str) -> Path | None:
    """Return the git directory that git reaches by `url`; None if it is elsewhere, or stores its refs differently.

    `listing` is the output of `git config --list -z`, which may make git rewrite the URL.
    """
    path = Path(url.removeprefix("file://"))
    if not path.is_absolute() or "%" in url or not listing or _ELSEWHERE.search(listing):
        return None
    folder = path / ".git" if (path / ".git").exists() else path
    whole = (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()
    return folder if whole and not (folder / "reftable").exists() and not (folder / "commondir").exists() else None


def shown(repository: Path, ledger_ref: str, outbox_prefix: str) -> dict[str, Oid] | None:
    """Return the values of the ledger and the outboxes, by ref. If somebody writes now, they may be of two moments.

    Return None if git must be asked.
    """
    parent, name = ledger_ref.rsplit("/", 1)
    try:
        if _packed_bytes(repository) > PACKED_BYTES_MAX:
            return None
        ledger = git_refs.read_refs(repository, parent + "/").get(name)
        boxes = git_refs.read_refs(repository, outbox_prefix + "/")
    except (OSError, Corrupt):
        return None
    return ({ledger_ref: ledger} if ledger else {}) | {f"{outbox_prefix}/{box}": oid for box, oid in boxes.items()}


def _packed_bytes(repository: Path) -> int:
    try:
        return (repository / "packed-refs").stat().st_size
    except FileNotFoundError:
        return 0
