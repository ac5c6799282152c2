"""Merges that are known to be clean, by the pair of commits: these never change. Disposable, in the node's cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from gitcoord.code.merges import Merge
from gitcoord.store.files import write_quickly

FILE = "clean-merges"
PAIRS_MAX = 50_000  # of 82 bytes each


def read(cache: Path) -> dict[tuple[str, str], Merge]:
    """By the two commits."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        pairs = [line.split(" ") for line in (cache / FILE).read_text(encoding="ascii").splitlines()]
        return {(pair[0], pair[1]): Merge(pair[0], pair[1], "") for pair in pairs if len(pair) == 2}
    return {}


def save(cache: Path, merges: Iterable[Merge]) -> None:
    """The newest of them. What conflicts is tried again: its lines are not kept."""
    clean = [f"{one.ours} {one.theirs}\n" for one in merges if one.clean][-PAIRS_MAX:]
    with contextlib.suppress(OSError):
        write_quickly(cache / FILE, "".join(clean).encode())
