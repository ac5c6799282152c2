"""A checkpoint: the fold as it stood at some position, so that a newcomer need not replay what came before.

What is believed, and why: the state of a checkpoint names the running digest of the lines that it was folded from.
A newcomer computes that digest from the lines in the very tree where the checkpoint lies, and believes no state of
other lines. That the fold of these lines was honest it cannot see in this way: everybody who follows the ledger
compares each new checkpoint with their own fold, byte for byte, and `gitcoord verify` folds all lines anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from gitcoord.core import limits
from gitcoord.core.branch import Bad, Branch
from gitcoord.core.errors import Corrupt
from gitcoord.core.event import hash_of
from gitcoord.core.fleet import EMPTY, Fleet
from gitcoord.core.log_files import Log
from gitcoord.core.ports import Entry, Oid
from gitcoord.core.trees import root_of

PATH = "state.json"
NOT_OURS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class Unbelievable(ValueError):
    """The checkpoint is not of the log that it lies beside; says why."""


def write(fleet: Fleet) -> bytes:
    """The checkpoint of a fold: the same bytes on every machine."""
    return json.dumps(fleet.dump(), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def start(branch: Branch, commit: Oid) -> None:
    """Let `branch`, which is empty, begin with the checkpoint in the tree of `commit`.

    Where there is none, or one of another version, it stays empty; also where the checkpoint is wrong, which is noted
    as bad.
    """
    root = root_of(branch.objects, commit)
    oid = _oid_in(root)
    if oid is None:
        return
    try:
        fleet = _read(branch, oid)
        if fleet is not None:
            branch.log = _log_before(branch, root, fleet)
            branch.fleet, branch.believed = fleet, fleet.position
    except Unbelievable as wrong:
        _disbelieve(branch, commit, oid, str(wrong))


def check(branch: Branch, commit: Oid) -> None:
    """Compare the checkpoint that `commit` brings, if it does, with the fold of `branch`, which is at its parent."""
    oid = _oid_in(root_of(branch.objects, commit))
    if oid is None or oid == _oid_in(branch.root) or branch.tip is None or branch.damaged:
        return
    try:
        if branch.objects.blob(oid, bytes_max=limits.CHECKPOINT_BYTES_MAX) == write(branch.fleet):
            return
        fleet = _read(branch, oid)
    except (Unbelievable, Corrupt) as wrong:
        _disbelieve(branch, commit, oid, str(wrong))
    else:
        if fleet is not None:
            _disbelieve(branch, commit, oid, f"it differs from the fold at position {branch.fleet.position}")


def _oid_in(root: Mapping[str, Entry]) -> Oid | None:
    entry = root.get(PATH)
    return None if entry is None or entry.is_tree else entry.oid


def _disbelieve(branch: Branch, commit: Oid, oid: Oid, reason: str) -> None:
    branch.disbelieved = oid
    branch.note(Bad(commit, PATH, 0, b"", f"the checkpoint is not believed: {reason}"))


def _read(branch: Branch, oid: Oid) -> Fleet | None:
    """The fold that was written down; None where another version wrote it. Raises Unbelievable."""
    try:
        value = json.loads(branch.objects.blob(oid, bytes_max=limits.CHECKPOINT_BYTES_MAX))
        if value["schema"] != branch.fleet.schema and str(value["schema"]).startswith("gitcoord.state/"):
            return None
        return Fleet.load(value, branch.fleet.features, branch.fleet.verifier)
    except (*NOT_OURS, Corrupt) as wrong:
        raise Unbelievable(f"it is no state of a fleet ({type(wrong).__name__})") from None


def _log_before(branch: Branch, root: Mapping[str, Entry], fleet: Fleet) -> Log:
    """The log as it lies in a tree, up to the position of `fleet`. Raises Unbelievable."""
    digest, left = EMPTY, fleet.position
    counts: list[int] = []
    rest: list[bytes] = []
    listing = branch.files.listing(root)
    for file in branch.files.files(listing):
        if file.trouble:
            raise Unbelievable(f"the log beside it is damaged: {file.path}: {file.trouble}")
        for line in file.lines[:left]:
            digest = hash_of(digest.encode() + line)
        if left < len(file.lines) or file.path == listing.open_path:
            rest = list(file.lines[:left])
            left -= len(rest)
            break
        counts.append(len(file.lines))
        left -= len(file.lines)
    if left:
        raise Unbelievable(f"it is of position {fleet.position}, and the log ends at {fleet.position - left}")
    if digest != fleet.digest:
        raise Unbelievable(f"it is not of the {fleet.position} lines that lie beside it")
    return Log(listing.segments[:len(counts)], tuple(counts), tuple(rest))
