"""Files that survive a power cut: written under a temporary name, synced, renamed, and the folder synced."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gitcoord.core.errors import Paused
from gitcoord.store.home import sharing

RESERVE_BYTES = 64 * 1024  # freed when the disk is full, so that the pause itself can be written down
REMEDY = "fix that, then run `gitcoord resume`"

NEW_ATTEMPTS = 5  # to create a file whose name others create as well

_BINARY = getattr(os, "O_BINARY", 0)
_NOT_THROUGH = getattr(os, "O_NOFOLLOW", 0)  # a link in the place of a file is not written through

_WORDS = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed here",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EIO: "the disk reports an error",
    errno.ELOOP: "a link is in the place of a file",
}


def write_durably(path: Path, data: bytes, *, mode: int | None = None, umask: bool = False) -> None:
    """Replace the content of `path` by `data`: after a crash it is the old bytes or the new ones, never a mixture.

    The file gets `mode`; if that is None, the permissions of the folder, or with `umask` those that the umask leaves.
    """
    temporary = path.with_name(path.name + ".new")
    if mode is None and not umask:
        mode = sharing.mode_in(path.parent)
    file = open_new(temporary, mode=mode)
    try:
        write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    os.replace(temporary, path)
    sync_folder(path.parent)


def append_durably(path: Path, data: bytes) -> None:
    """Append `data` to `path`, synced BEFORE this returns. On failure the file is as it was. Raise OSError."""
    flags, made = os.O_WRONLY | os.O_APPEND | _BINARY | _NOT_THROUGH, False
    try:
        file = os.open(path, flags)
    except FileNotFoundError:
        file, made = os.open(path, flags | os.O_CREAT, 0o600), True
    try:
        if made:
            sharing.settle(file, sharing.mode_in(path.parent))
        start = os.fstat(file).st_size
        try:
            write_all(file, data)
            os.fsync(file)
            if made:
                sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(file, start)  # bytes that were not acknowledged must not be sent either
            raise
    finally:
        os.close(file)


def open_new(path: Path, *, mode: int | None) -> int:
    """Create a file, open it for writing, and return its descriptor. An existing file is removed first: it may be half
    of one that a crash left, or a link that a branch brought.

    The umask does not change `mode`; if that is None, the umask sets it.
    """
    for attempt in range(NEW_ATTEMPTS):
        path.unlink(missing_ok=True)
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666 if mode is None else mode)
        except FileExistsError:  # another process creates it at the same time
            if attempt == NEW_ATTEMPTS - 1:
                raise
            continue
        if mode is not None:
            sharing.settle(file, mode)
        return file
    raise AssertionError("the last attempt returns or raises")


def make_folder(path: Path, *, exist_ok: bool = False) -> None:
    """Make a folder with the permissions of its parent, which is one of ours. Raise FileExistsError unless
    `exist_ok`."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if not exist_ok or not path.is_dir():
            raise
        return
    sharing.settle(path, sharing.folder_mode_in(path.parent))


def make_folders(path: Path) -> None:
    """Make a folder and its parents with the umask's permissions: the folder is the user's, not ours."""
    path.mkdir(parents=True, exist_ok=True)


def read_regular(path: Path, *, bytes_max: int) -> bytes:
    """Return the bytes of a file that others may have put there.

    Raise OSError, with errno EOVERFLOW if it has more than `bytes_max`, and EINVAL if it is a pipe, device or folder.
    """
    file = os.open(path, os.O_RDONLY | _BINARY | getattr(os, "O_NONBLOCK", 0))  # a pipe would block forever
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        with os.fdopen(file, "rb", closefd=False) as whole:
            data = whole.read(bytes_max + 1)
    finally:
        os.close(file)
    if len(data) > bytes_max:
        raise OSError(errno.EOVERFLOW, f"has more than {bytes_max} bytes", str(path))
    return data


def write_all(file: int, data: bytes) -> None:
    """Write all of `data`, even if the system takes only parts of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def write_quickly(path: Path, data: bytes, *, temporary: Path | None = None, read_only: bool = False) -> None:
    """Replace `path` without a sync to the disk: for files that can be rebuilt, or that are synced later."""
    temporary = temporary or path.with_name(f"{path.name}.{os.getpid()}")
    mode = sharing.mode_in(path.parent)
    try:
        file = open_new(temporary, mode=mode & 0o444 if read_only else mode)
        try:
            write_all(file, data)
        finally:
            os.close(file)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. Do nothing on Windows, which has no way to do so."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as wrong:
        if wrong.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems sync files only
            raise
    finally:
        os.close(descriptor)


# Disk trouble


def is_disk_trouble(wrong: OSError) -> bool:
    """Return whether only a person can fix this: full, read-only, forbidden, broken."""
    return wrong.errno in _WORDS


def describe(wrong: OSError) -> str:
    """Return a description of the error, with the file's name if it is known."""
    words = _WORDS.get(wrong.errno or 0) or wrong.strerror or str(wrong)
    return f"{words} ({os.fspath(wrong.filename)})" if isinstance(wrong.filename, str | os.PathLike) else words


class Forbidden(Paused):
    """This user may not write to another user's home. The node is not paused, so the other user can go on."""


def forbid_another(home: Path, wrong: Exception, words: str) -> None:
    """Raise Forbidden, with what to run, if a permission is missing because the home or the file is another user's."""
    named = getattr(wrong, "filename", None)
    denied = wrong.errno in (errno.EACCES, errno.EPERM) if isinstance(wrong, OSError) else "ermission" in words
    whose = sharing.another_owner(home, Path(os.fsdecode(named)) if isinstance(named, str | os.PathLike) else home)
    if denied and whose is not None:
        raise Forbidden(
            f"{words}: this clone is {whose}'s, and you are {sharing.user()}. Use a clone of your own, or "
            f"let {whose} share this one: {sharing.remedy(home)}"
        ) from wrong


@contextlib.contextmanager
def pausing(home: Path) -> Iterator[None]:
    """Turn disk trouble into `Paused`, and record that in the home, so that nothing more is tried until `resume`."""
    try:
        yield
    except OSError as wrong:
        if not is_disk_trouble(wrong):
            raise
        words = describe(wrong) if wrong.filename else f"{describe(wrong)} ({home})"
        forbid_another(home, wrong, words)
        note(home, words)
        raise Paused(f"{words}: nothing acknowledged is lost; {REMEDY}") from wrong
    except Forbidden:
        raise
    except Paused as wrong:  # raised by the private store, or by a check of what another process has recorded
        forbid_another(home, wrong, str(wrong))
        note(home, str(wrong))
        if REMEDY in str(wrong):
            raise
        raise Paused(f"{wrong}: nothing acknowledged is lost; {REMEDY}") from wrong


def note(home: Path, words: str) -> None:
    """Record why the node is paused, unless it is paused already. On a full disk, the reserve is freed for that."""
    path = home / "paused"
    if path.exists():
        return
    with contextlib.suppress(OSError):
        (home / "reserve").unlink()
    with contextlib.suppress(OSError):
        write_quickly(path, (" ".join(words.split()) + "\n").encode("utf-8", "replace"))


def paused(home: Path) -> str | None:
    """Return why the node is paused; None if it is not."""
    if not os.path.exists(f"{home}/paused"):
        return None  # checked at each write: opening a missing file takes four times as long
    try:
        return (home / "paused").read_text(encoding="utf-8", errors="replace").strip() or "writing to the disk failed"
    except FileNotFoundError:
        return None


def check_not_paused(home: Path) -> None:
    """Raise Paused until a person has resumed."""
    reason = paused(home)
    if reason is not None:
        raise Paused(f"paused: {reason}; {REMEDY}")


def resume(home: Path, *, dry_run: bool = False) -> str | None:
    """End the pause, and return its reason; None if there was no pause. Raise Paused if writing still fails.

    `dry_run` only checks whether writing works.
    """
    reason = paused(home)
    try:
        check_writable(home)
        if not dry_run:
            keep_reserve(home, again=True)
            (home / "paused").unlink(missing_ok=True)
            sync_folder(home)
    except OSError as wrong:
        raise Paused(f"still paused: {describe(wrong)}; {REMEDY}") from wrong
    return reason


def check_writable(home: Path) -> None:
    """Write, sync and remove a file in each folder that a node writes to, and open its other files. Raise OSError."""
    for folder in (home, home / "heartbeats", home / "cache", home / "store.git", home / "store.git" / "objects"):
        if folder.is_dir():
            probe = folder / f"probe.{os.getpid()}"
            try:
                write_durably(probe, b"\0" * 4096)
            finally:
                for path in (probe, probe.with_name(probe.name + ".new")):
                    with contextlib.suppress(OSError):
                        path.unlink(missing_ok=True)
    for name in ("events.offline.log", "head.json", "queue.lock", "lock", "tip", "pushed"):
        if (home / name).exists():
            os.close(os.open(home / name, os.O_RDWR))


def keep_reserve(home: Path, *, again: bool = False) -> None:
    """Reserve disk space that is freed when the disk is full. `again` writes an existing reserve again."""
    path = home / "reserve"
    if again or not path.exists():
        write_durably(path, os.urandom(RESERVE_BYTES))  # a compressing file system would reserve no space for zeros
