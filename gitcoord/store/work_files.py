"""Work files: read and written in a folder that others fill, such as a checkout, where a branch may bring links.

A link may lead to another file of the same tree (CLAUDE.md is often a link to AGENTS.md), but not out of it, nor into
git's own folder. Pipes and devices are not read. A written file replaces the old one; if that has several names (hard
links), only this name gets the new file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gitcoord.core.errors import Refused
from gitcoord.store.files import make_folders, read_regular, write_durably

FILE_BYTES_MAX = 2**30


def inside(path: Path, top: Path) -> Path:
    """Return the real path of `path`. Raise Refused if it is not below `top`, which the user named, or no regular file.

    If `path` itself is not written below `top`, the user named it as well: then its own folder takes the place of
    `top`. The file need not exist.
    """
    top, path = Path(os.path.abspath(top)), Path(os.path.abspath(path))
    if not path.is_relative_to(top):
        top = path.parent
    try:
        real, real_top = path.resolve(), top.resolve()
    except (OSError, RuntimeError) as wrong:  # a cycle of links
        raise Refused(f"{path} leads nowhere ({wrong}): remove that link") from None
    if not real.is_relative_to(real_top):
        raise Refused(f"{path} is a link that leads out of {top}, to {real}: remove it, or name another file")
    below, named = real.relative_to(real_top).parts, path.relative_to(top).parts
    if any(part.casefold() == ".git" for part in below) and below != named:
        raise Refused(f"{path} is a link into git's own folder, to {real}: remove it, or name another file")
    try:
        mode = os.lstat(real).st_mode
    except FileNotFoundError:
        return real
    except OSError as wrong:
        raise Refused(f"{real}: {wrong.strerror}") from None
    if not stat.S_ISREG(mode):
        raise Refused(f"{real} is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'}: name another file")
    return real


def check_folder(folder: Path, top: Path) -> None:
    """Raise Refused if a folder below `top` is, or is reached by, a link that leads out of `top`."""
    inside(folder / "any", top)


def read(path: Path, top: Path, *, bytes_max: int = FILE_BYTES_MAX) -> bytes | None:
    """Return the bytes of a file; None if there is none. Raise Refused as `inside` does, and if it is too large."""
    try:
        return read_regular(inside(path, top), bytes_max=bytes_max)
    except FileNotFoundError:
        return None
    except OSError as wrong:
        raise Refused(f"{path}: {wrong.strerror}: name another file, or move it away") from None


def write(path: Path, top: Path, data: bytes) -> None:
    """Replace a file. It keeps its mode; a new file gets the mode that the umask leaves. Raise Refused, or OSError."""
    real = inside(path, top)
    make_folders(real.parent)
    try:
        mode = stat.S_IMODE(os.stat(real).st_mode)
    except FileNotFoundError:
        mode = None
    write_durably(real, data, mode=mode, umask=True)


def append(path: Path, top: Path, data: bytes, *, old: bytes) -> None:
    """Append `data` to a file whose content is `old`. A file with several names (hard links) is replaced instead."""
    real = inside(path, top)
    file = os.open(real, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0))
    try:
        if os.fstat(file).st_nlink == 1:
            os.write(file, data)
            return
    finally:
        os.close(file)
    write(path, top, old + data)
