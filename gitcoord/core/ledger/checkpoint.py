"""A checkpoint: the fold at some position, so that a newcomer need not replay the lines before it.

Which checkpoints a newcomer believes, and why: A checkpoint names the log files that it was folded from, by the ids of
their objects, and the leader that wrote it signs it. A newcomer believes it only beside these very files: nobody
removed a line or changed one. If the newcomer was given the founder's key or a digest (`anchors.py`), it folds the
lines about members itself, and believes no checkpoint with other members, roles or keys, or signed by anybody else. In
a closed fleet without an anchor it believes none, and folds everything. A newcomer cannot see whether the rest of the
fold was honest. But everybody who follows the ledger compares each new checkpoint with their own fold, byte for byte,
and `gitcoord verify` folds all lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gitcoord.core import limits, rights
from gitcoord.core.errors import Corrupt
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Signer, context_of, hash_of
from gitcoord.core.ledger import anchors as anchor
from gitcoord.core.ledger.anchors import Anchors
from gitcoord.core.ledger.branch import BadLine, LedgerBranch
from gitcoord.core.ledger.log_files import Log, joined
from gitcoord.core.ledger.trees import root_of
from gitcoord.core.ports import Oid, TreeEntry

PATH = "state.json"
_SEAL = b',"signed":'
NOT_OURS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class InvalidCheckpoint(ValueError):
    """The checkpoint does not fit the log beside it; says why."""


def write(branch: LedgerBranch) -> bytes:
    """Return the checkpoint of a fold and its log: the same bytes on every machine."""
    value = branch.fleet.dump() | {"log": {"counts": branch.log.counts, "files": _name_of(branch.log)}}
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


_POSITION = re.compile(rb'\{"schema":"[a-z_./0-9 ]{1,1000}","fleet":(?:null|"\w{1,100}"),"position":(\d{1,16}),')


def position_of(data: bytes) -> int | None:
    """Return the position of a checkpoint, read from its beginning alone; None if it does not begin as `write` does.

    With 100,000 events, to parse all of it takes a tenth of a second.
    """
    found = _POSITION.match(data)
    return int(found[1]) if found else None


def sign(data: bytes, *, agent: str, term: int, position: int, signer: Signer, fleet_id: str) -> bytes:
    """Return the checkpoint `data` with the signature of its author, the leader of `term`."""
    seal = Seal(agent, signer.key, term, position, "")
    seal = seal._replace(sig=signer.sign(_message(data, seal, fleet_id)))
    written = json.dumps(seal._asdict(), separators=(",", ":"), ensure_ascii=False)
    return data[:-2] + _SEAL + written.encode() + b"}\n"


class Seal(NamedTuple):
    """The signature of a checkpoint, and its author."""

    agent: str
    key: str
    term: int
    position: int
    sig: str


def _message(data: bytes, seal: Seal, fleet_id: str) -> bytes:
    """Return the bytes to sign. No event begins with the same bytes."""
    named = json.dumps(["checkpoint", *seal[:4], hash_of(data)])
    return context_of(fleet_id) + named.encode()


def _split(data: bytes) -> tuple[bytes, Seal | None]:
    """Return the checkpoint without its signature, and the signature; None if there is none."""
    at = data.rfind(_SEAL)
    try:
        seal = Seal(**json.loads(data[at + len(_SEAL) : -2])) if at >= 0 else None
    except (ValueError, TypeError, RecursionError):
        return data, None
    kinds = [*map(type, seal or ())]
    return (data[:at] + b"}\n", seal) if kinds == [str, str, int, int, str] else (data, None)


def _unsigned(data: bytes, seal: Seal | None, fleet: FleetState) -> str | None:
    """Return why a checkpoint of `fleet` is not signed by the leader of its term; None if it is."""
    if fleet.verifier is None:
        return None
    member, terms = fleet.members.get(seal.agent) if seal is not None else None, fleet.terms
    if seal is None or member is None:
        return "it is not signed by a member"
    if (seal.agent, seal.term, seal.position) != (terms.leader, terms.term, fleet.position):
        return f"it is signed by {seal.agent}, not by the leader of its term"
    if member.key != seal.key or not rights.may_lead(fleet, seal.agent):
        return f"it is signed with a key that is not {seal.agent}'s"
    good = fleet.verifier.proves(seal.key, _message(data, seal, fleet.id or ""), seal.sig)
    return None if good else "its signature is wrong"


def _name_of(log: Log) -> str:
    return hash_of("".join(f"{oid}\n" for oid in log.segments).encode() + joined(log.open))


def start(branch: LedgerBranch, commit: Oid, anchors: Anchors = Anchors()) -> None:
    """Let `branch`, which is empty, begin with the checkpoint in the tree of `commit`.

    The branch stays empty if there is no checkpoint, if another version wrote it, or if the fleet is closed and there
    is no anchor. It also stays empty if the checkpoint is wrong, or the log beside it is not that of `anchors`; this is
    noted as bad.
    """
    root = root_of(branch.objects, commit)
    oid = _oid_in(root)
    if oid is None:
        return
    try:
        data = _bytes(branch, oid)
        value = _read(branch, data)
        if value is not None:
            fleet, log = _fleet_of(branch, value), log_of(branch, root, value)
            unsigned = _unsigned(*_split(data), fleet)
            if unsigned is not None:
                raise InvalidCheckpoint(unsigned)
            if _is_anchored(branch, root, fleet, anchors):
                branch.log, branch.fleet, branch.checkpoint_position = log, fleet, fleet.position
    except InvalidCheckpoint as wrong:
        _disbelieve(branch, commit, oid, str(wrong))


def _is_anchored(branch: LedgerBranch, root: Mapping[str, TreeEntry], fleet: FleetState, anchors: Anchors) -> bool:
    """Return whether members and keys were checked, or need no check: the fleet is open, and there is no anchor.

    Raise InvalidCheckpoint if they are wrong.
    """
    lines = [line for file in branch.files.files(branch.files.listing(root), 0) for line in file.lines]
    if not anchors and not anchor.may_be_closed(lines):
        return True
    try:
        anchor.check(anchors, lines)
    except Corrupt as wrong:  # of this commit; the history may hold the right log
        raise InvalidCheckpoint(str(wrong)) from None
    known = anchor.members_of(lines[: fleet.position], branch.fleet)
    if not anchors and known.members.admission == "closed":
        return False
    if known.members.dump() != fleet.members.dump():
        raise InvalidCheckpoint("it has other members, roles or keys than the lines beside it")
    if (known.terms.leader, known.terms.term) != (fleet.terms.leader, fleet.terms.term):
        raise InvalidCheckpoint("it has another leader than the lines beside it")
    if (known.moves.to, known.moves.under_way) != (fleet.moves.to, fleet.moves.under_way):
        raise InvalidCheckpoint("it has another remote of the fleet than the lines beside it")
    return True


def check(branch: LedgerBranch, commit: Oid) -> None:
    """Compare a new checkpoint in `commit` with the fold of `branch`, which is at the commit's parent."""
    oid = _oid_in(root_of(branch.objects, commit))
    if oid is None or oid == _oid_in(branch.root) or branch.tip is None or branch.damaged:
        return
    try:
        data = _bytes(branch, oid)
        body, seal = _split(data)
        if body == write(branch):
            unsigned = _unsigned(body, seal, branch.fleet)
            if unsigned is not None:
                _disbelieve(branch, commit, oid, unsigned)
            return
        value = _read(branch, data)
    except (InvalidCheckpoint, Corrupt) as wrong:
        _disbelieve(branch, commit, oid, str(wrong))
    else:
        if value is not None:
            _disbelieve(branch, commit, oid, f"it differs from the fold at position {branch.fleet.position}")


def _oid_in(root: Mapping[str, TreeEntry]) -> Oid | None:
    entry = root.get(PATH)
    return None if entry is None or entry.is_tree else entry.oid


def _disbelieve(branch: LedgerBranch, commit: Oid, oid: Oid, reason: str) -> None:
    branch.rejected_checkpoint = oid
    branch.note(BadLine(commit, PATH, 0, b"", f"the checkpoint is not believed: {reason}"))


def _bytes(branch: LedgerBranch, oid: Oid) -> bytes:
    """Return the checkpoint's bytes. Raise InvalidCheckpoint if it is too large."""
    try:
        return branch.objects.blob(oid, bytes_max=limits.CHECKPOINT_BYTES_MAX)
    except Corrupt as wrong:
        raise _no_state(wrong) from None


def _read(branch: LedgerBranch, data: bytes) -> Mapping[str, Any] | None:
    """Return the checkpoint's JSON; None if another version wrote it. Raise InvalidCheckpoint if it cannot be read."""
    try:
        value: dict[str, Any] = json.loads(data)
        of_others = value["schema"] != branch.fleet.schema and str(value["schema"]).startswith("gitcoord.state/")
    except NOT_OURS as wrong:
        raise _no_state(wrong) from None
    return None if of_others else value


def _fleet_of(branch: LedgerBranch, value: Mapping[str, Any]) -> FleetState:
    try:
        return FleetState.load(value, branch.fleet.features, branch.fleet.verifier)
    except NOT_OURS as wrong:
        raise _no_state(wrong) from None


def _no_state(wrong: Exception) -> InvalidCheckpoint:
    return InvalidCheckpoint(f"it is no state of a fleet ({type(wrong).__name__})")


def log_of(branch: LedgerBranch, root: Mapping[str, TreeEntry], value: Mapping[str, Any]) -> Log:
    """Return the log of a checkpoint, as found in the same tree. Raise InvalidCheckpoint if it is not there."""
    try:
        position, counts, files = int(value["position"]), tuple(map(int, value["log"]["counts"])), value["log"]["files"]
    except NOT_OURS as wrong:
        raise _no_state(wrong) from None
    listing = branch.files.listing(root)
    file = next(branch.files.files(listing, len(counts)))
    if file.trouble:
        raise InvalidCheckpoint(f"the log beside it is damaged: {file.path}: {file.trouble}")
    rest = position - sum(counts)
    log = Log(listing.segments[: len(counts)], counts, tuple(file.lines[: max(0, rest)]))
    if _name_of(log) != files or len(log.open) != rest or min(counts, default=1) < 1:
        raise InvalidCheckpoint(f"it is not of the {position} lines beside it")
    return log
