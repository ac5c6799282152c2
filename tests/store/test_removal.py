"""Removal of what a task's command left behind."""

from __future__ import annotations

import os
from pathlib import Path

from gitcoord.store.removal import remove_tree

DEEP = 3000  # far beyond the levels that Python's own recursion takes, and a path longer than the system's


def deepen(folder: Path, levels: int = DEEP) -> None:
    file = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=file)
        inner = os.open("d", os.O_RDONLY, dir_fd=file)
        os.close(file)
        file = inner
    os.close(os.open("at the end", os.O_CREAT, dir_fd=file))
    os.close(file)


def test_a_folder_of_any_depth_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        deepen(folder / name)
    remove_tree(folder)
    assert not folder.exists()


def test_folders_that_are_closed_to_their_own_user_are_removed_too(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    for name in ("closed/inner", "a/b/c"):
        (folder / name).mkdir(parents=True)
    (folder / "closed" / "inner" / "file").touch()
    (folder / "closed" / "inner").chmod(0)
    (folder / "closed").chmod(0)
    remove_tree(folder)
    assert not folder.exists()


def test_nothing_that_a_link_leads_to_is_touched(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "inner").mkdir(parents=True)
    folder = tmp_path / "work"
    (folder / "a").mkdir(parents=True)
    for place in (folder / "link", folder / "a" / "link"):
        place.symlink_to(kept)
    remove_tree(folder)
    assert not folder.exists() and (kept / "inner").is_dir()
    (tmp_path / "link").symlink_to(kept)
    remove_tree(tmp_path / "link")
    assert (kept / "inner").is_dir() and not (tmp_path / "link").is_symlink()


def test_what_is_not_there_or_no_folder_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remove_tree(tmp_path / "file")
    assert not (tmp_path / "file").exists()
    remove_tree(tmp_path / "nothing")
