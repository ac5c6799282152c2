"""A checkpoint: the fold as it stood at some position, so that a newcomer need not replay what came before.

What is believed, and why: a checkpoint names the log files that it was folded from, by the ids of their objects.
A newcomer believes it only beside these very files: nobody took a line away or changed one. No line is read for that.
That the fold of these lines was honest it cannot see in this way: everybody who follows the ledger compares each new
checkpoint with their own fold, byte for byte, and `gitcoord verify` folds all lines anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gitcoord.core import limits
from gitcoord.core.branch import Bad, Branch
from gitcoord.core.errors import Corrupt
from gitcoord.core.event import hash_of
from gitcoord.core.fleet import Fleet
from gitcoord.core.log_files import Log, joined
from gitcoord.core.ports import Entry, Oid
from gitcoord.core.trees import root_of

PATH = "state.json"
NOT_OURS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class Unbelievable(ValueError):
    """The checkpoint is not of the log that it lies beside; says why."""


def write(branch: Branch) -> bytes:
    """The checkpoint of a fold and its log: the same bytes on every machine."""
    value = branch.fleet.dump() | {"log": {"counts": branch.log.counts, "files": _name_of(branch.log)}}
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _name_of(log: Log) -> str:
    return hash_of("".join(f"{oid}\n" for oid in log.segments).encode() + joined(log.open))


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
        value = _read(branch, oid)
        if value is not None:
            fleet = _fleet_of(branch, value)
            branch.log = log_of(branch, root, value)
            branch.fleet, branch.believed = fleet, fleet.position
    except Unbelievable as wrong:
        _disbelieve(branch, commit, oid, str(wrong))


def check(branch: Branch, commit: Oid) -> None:
    """Compare the checkpoint that `commit` brings, if it does, with the fold of `branch`, which is at its parent."""
    oid = _oid_in(root_of(branch.objects, commit))
    if oid is None or oid == _oid_in(branch.root) or branch.tip is None or branch.damaged:
        return
    try:
        if branch.objects.blob(oid, bytes_max=limits.CHECKPOINT_BYTES_MAX) == write(branch):
            return
        value = _read(branch, oid)
    except (Unbelievable, Corrupt) as wrong:
        _disbelieve(branch, commit, oid, str(wrong))
    else:
        if value is not None:
            _disbelieve(branch, commit, oid, f"it differs from the fold at position {branch.fleet.position}")


def _oid_in(root: Mapping[str, Entry]) -> Oid | None:
    entry = root.get(PATH)
    return None if entry is None or entry.is_tree else entry.oid


def _disbelieve(branch: Branch, commit: Oid, oid: Oid, reason: str) -> None:
    branch.disbelieved = oid
    branch.note(Bad(commit, PATH, 0, b"", f"the checkpoint is not believed: {reason}"))


def _read(branch: Branch, oid: Oid) -> Mapping[str, Any] | None:
    """What was written down; None where another version wrote it. Raises Unbelievable."""
    try:
        value: dict[str, Any] = json.loads(branch.objects.blob(oid, bytes_max=limits.CHECKPOINT_BYTES_MAX))
        of_others = value["schema"] != branch.fleet.schema and str(value["schema"]).startswith("gitcoord.state/")
    except (*NOT_OURS, Corrupt) as wrong:
        raise _no_state(wrong) from None
    return None if of_others else value


def _fleet_of(branch: Branch, value: Mapping[str, Any]) -> Fleet:
    try:
        return Fleet.load(value, branch.fleet.features, branch.fleet.verifier)
    except NOT_OURS as wrong:
        raise _no_state(wrong) from None


def _no_state(wrong: Exception) -> Unbelievable:
    return Unbelievable(f"it is no state of a fleet ({type(wrong).__name__})")


def log_of(branch: Branch, root: Mapping[str, Entry], value: Mapping[str, Any]) -> Log:
    """The log that a checkpoint is of, as it lies in the same tree. Raises Unbelievable where it does not."""
    try:
        position, counts, files = int(value["position"]), tuple(map(int, value["log"]["counts"])), value["log"]["files"]
    except NOT_OURS as wrong:
        raise _no_state(wrong) from None
    listing = branch.files.listing(root)
    file = next(branch.files.files(listing, len(counts)))
    if file.trouble:
        raise Unbelievable(f"the log beside it is damaged: {file.path}: {file.trouble}")
    rest = position - sum(counts)
    log = Log(listing.segments[:len(counts)], counts, tuple(file.lines[:max(0, rest)]))
    if _name_of(log) != files or len(log.open) != rest or min(counts, default=1) < 1:
        raise Unbelievable(f"it is not of the {position} lines that lie beside it")
    return log
