"""Removal: a folder with all that lies in it, however deep that is. Commands of tasks may leave anything behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def remove_tree(folder: Path) -> None:
    """Remove a folder, and nothing that a link in it leads to. What the system keeps us from removing stays.

    `shutil.rmtree` calls itself for each level, and ends in a RecursionError some hundred levels down. Here each folder
    within a folder is moved to the top first, so that nothing is deeper than two levels, and no path is too long.
    """
    if os.rename not in os.supports_dir_fd:
        shutil.rmtree(folder, ignore_errors=True)  # Windows: no path is so deep there
        return
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            return
        os.chmod(folder, 0o700)
        with _opened(folder) as top:
            _empty(top)
        folder.rmdir()


def _empty(top: int) -> None:
    stays = set[str]()
    while names := set(os.listdir(top)) - stays:
        for name in names:
            try:
                _remove(top, name)
            except OSError:
                stays.add(name)


def _remove(top: int, name: str) -> None:
    """Remove what `top` holds by that name; folders in it are moved into `top` for a later turn."""
    with contextlib.suppress(IsADirectoryError, PermissionError):  # a folder: EISDIR, or EPERM elsewhere than on Linux
        os.unlink(name, dir_fd=top)
        return
    os.chmod(name, 0o700, dir_fd=top)  # it may be closed to its own user
    with _opened(name, top) as folder:
        for inner in os.listdir(folder):
            try:
                os.rmdir(inner, dir_fd=folder)
            except NotADirectoryError:
                os.unlink(inner, dir_fd=folder)
            except OSError:  # it is not empty
                os.rename(inner, secrets.token_hex(), src_dir_fd=folder, dst_dir_fd=top)
    os.rmdir(name, dir_fd=top)


@contextlib.contextmanager
def _opened(path: Path | str, within: int | None = None) -> Iterator[int]:
    file = os.open(path, _FOLDER, dir_fd=within)
    try:
        yield file
    finally:
        os.close(file)
