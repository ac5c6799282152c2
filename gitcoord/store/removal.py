"""Removal of a folder with its content, of any depth. Commands of tasks may leave anything behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class _Level(NamedTuple):
    """A folder above the one that is being emptied: its identity, and the name of the next one in it."""

    folder: tuple[int, int]
    name: str


def remove_tree(path: Path) -> None:
    """Remove what is at `path`, and nothing that a link leads to. If the system refuses, keep the rest; raise nothing.

    `shutil.rmtree` calls itself for each level, and ends in a RecursionError some hundred levels down. Here one folder
    is open at a time. It is not opened by its path, which may be longer than the system permits.
    """
    if os.rmdir not in os.supports_dir_fd:
        shutil.rmtree(path, ignore_errors=True)  # Windows: no path is so deep there
        return
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            path.unlink()
            return
        os.chmod(path, 0o700)
        _empty(os.open(path, _FOLDER))
        path.rmdir()


def _empty(folder: int) -> None:
    """Remove everything in the open folder, and close it. Raise OSError if another process moves a folder in it."""
    above: list[_Level] = []
    stays: set[tuple[int, int]] = set()
    while True:
        try:
            name = _first_nonempty(folder, stays)
            if name is not None:
                inner = os.open(name, _FOLDER, dir_fd=folder)
                above.append(_Level(_identity(folder), name))
            elif above:
                inner = os.open("..", _FOLDER, dir_fd=folder)
            else:
                return
        finally:
            os.close(folder)
        folder = inner
        if name is None:
            outer = above.pop()
            if _identity(folder) != outer.folder:
                os.close(folder)
                raise OSError(f"{outer.name} was moved")
            try:
                os.rmdir(outer.name, dir_fd=folder)
            except OSError:
                stays.add(_identity(outer.name, folder))


def _first_nonempty(folder: int, stays: set[tuple[int, int]]) -> str | None:
    """Remove the files and empty folders in a folder. Return the name of a folder that is not empty; None if there is
    none."""
    for name in os.listdir(folder):
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(name, dir_fd=folder)
            elif (found.st_dev, found.st_ino) not in stays:
                os.chmod(name, 0o700, dir_fd=folder)  # its own user may lack the permission to read it
                try:
                    os.rmdir(name, dir_fd=folder)
                except OSError:
                    return name
        except OSError:
            continue
    return None


def _identity(folder: int | str, within: int | None = None) -> tuple[int, int]:
    found = os.stat(folder, dir_fd=within, follow_symlinks=False) if isinstance(folder, str) else os.fstat(folder)
    return found.st_dev, found.st_ino
