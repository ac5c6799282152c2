"""The fold's cache: the fold as last written to disk. It may be deleted at any time, and is used only if it fits."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import time
from collections.abc import Iterator

from gitcoord.core.errors import Corrupt
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.keys import Verifier
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.log_files import Log
from gitcoord.core.ports import TreeEntry
from gitcoord.features import FEATURES
from gitcoord.store.files import write_quickly
from gitcoord.store.home.home import Home

FILE = "replica.json"
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, Corrupt)


def read(home: Home, branch: LedgerBranch, verifier: Verifier) -> LedgerBranch | None:
    """Return the empty `branch` filled with the saved state; None if there is no file, or it is not a saved state."""
    try:
        digest, _, data = (home.cache / FILE).read_bytes().partition(b"\n")
        if _digest(data) != digest:
            return None  # a disk or a person changed it
        value = json.loads(data)
        segments, counts, lines = value["log"]
        root = {name: TreeEntry(*entry) for name, entry in value["root"].items()}
        fleet = FleetState.load(value["fleet"], FEATURES, verifier, is_known_good=True)
        branch.resume(fleet, Log(tuple(segments), tuple(counts), tuple(map(str.encode, lines))), root, value["tip"])
        branch.checkpoint_position = int(value["checkpoint_position"])
    except UNREADABLE:
        return None
    return branch


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector while features are imported, a fold is read, or lines are folded.

    All of that stays in memory: to search it for garbage took an eighth of a short command, and a quarter of a long
    fold.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def age_s(home: Home) -> float:
    """Return the seconds since any process of the node wrote the cache; infinity if there is none."""
    try:
        return abs(time.time() - os.stat(home.cache / FILE).st_mtime)
    except OSError:
        return float("inf")


def save(home: Home, branch: LedgerBranch) -> bool:
    """Save the fold. Return False if it was not saved, because the branch is empty or damaged."""
    if branch.tip is None or branch.damaged:
        return False
    value = {
        "fleet": branch.fleet.dump(),
        "log": [branch.log.segments, branch.log.counts, [line.decode() for line in branch.log.open]],
        "root": branch.root,
        "checkpoint_position": branch.checkpoint_position,
        "tip": branch.tip,
    }
    data = json.dumps(value, separators=(",", ":")).encode()
    write_quickly(home.cache / FILE, _digest(data) + b"\n" + data)
    return True


def drop(home: Home) -> None:
    """Delete the cache, if there is one."""
    (home.cache / FILE).unlink(missing_ok=True)
