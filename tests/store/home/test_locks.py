"""Locks between processes: the short one of a descriptor and filelock's own keep each other out."""

from __future__ import annotations

from pathlib import Path

import filelock
import pytest

from gitcoord.store.home.locks import LockHeld, acquire, holding, is_held


def test_a_lock_is_held_until_the_block_ends_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert not is_held(path)
    with pytest.raises(ZeroDivisionError), holding(path, guards="a", wait_s=0):
        assert is_held(path)
        raise ZeroDivisionError
    assert path.exists() and not is_held(path)


def test_both_kinds_keep_each_other_out(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with filelock.FileLock(path), pytest.raises(LockHeld, match="on the file in 3 attempts"):
        with holding(path, guards="the file", wait_s=0):
            pass
    with holding(path, guards="a", wait_s=0), pytest.raises(LockHeld, match="end that process"):
        acquire(filelock.FileLock(path), guards="a", wait_s=0)
    acquire(filelock.FileLock(path), guards="a", wait_s=0)
