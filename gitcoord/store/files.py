"""Files that must survive a power cut: written beside, synced, renamed, and the folder synced."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from gitcoord.core.errors import Paused

RESERVE_BYTES = 64 * 1024  # set free when the disk is full, so that the pause itself can be written down

_WORDS = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EIO: "the disk reports an error",
}


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data`: after a crash it holds the old bytes or the new ones, never a mixture."""
    beside = path.with_name(path.name + ".new")
    with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    sync_folder(path.parent)


def write_quickly(path: Path, data: bytes) -> None:
    """Replace `path` at once but without waiting for the disk: for what can be made anew."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_bytes(data)
    os.replace(beside, path)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where the system can (Windows cannot, and need not)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_disk_trouble(wrong: OSError) -> bool:
    """Whether it takes a person to go on: full, read-only, forbidden, broken."""
    return wrong.errno in _WORDS


def in_words(wrong: OSError) -> str:
    return _WORDS.get(wrong.errno or 0, wrong.strerror or str(wrong))


@contextlib.contextmanager
def pausing(home: Path) -> Iterator[None]:
    """Turn disk trouble into `Paused`, noted in the home, so that nothing more is tried until `resume`."""
    try:
        yield
    except OSError as wrong:
        if not is_disk_trouble(wrong):
            raise
        note(home, wrong)
        raise Paused(
            f"{in_words(wrong)} ({wrong.filename or home}): nothing acknowledged is lost; "
            "mend it, then run `gitcoord resume`"
        ) from wrong


def note(home: Path, wrong: OSError) -> None:
    """Leave the pause's reason in the home; on a full disk the reserve makes room for it."""
    with contextlib.suppress(OSError):
        (home / "reserve").unlink()
    with contextlib.suppress(OSError):
        (home / "paused").write_text(in_words(wrong) + "\n", encoding="utf-8")


def check_not_paused(home: Path) -> None:
    """Raises Paused while a person has not resumed."""
    with contextlib.suppress(FileNotFoundError):
        reason = (home / "paused").read_text(encoding="utf-8").strip()
        raise Paused(f"paused: {reason or 'writing to the disk failed'}; mend it, then run `gitcoord resume`")


def keep_reserve(home: Path) -> None:
    """Hold back some space for the day when there is none."""
    path = home / "reserve"
    if not path.exists():
        write_durably(path, b"\0" * RESERVE_BYTES)
