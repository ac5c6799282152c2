"""The ledger's mirror: a branch of another remote that shows the ledger to people. No node reads it.

The branch is only fast-forwarded along the ledger, so no push needs force. If the branch has something else than this
fleet's ledger, it is not overwritten: the mirror pauses until a person has removed it. A clone stores in `mirror.json`
what it last saw there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from gitcoord.core.ports import Objects, Oid, Pushed, PushOutcome, Update
from gitcoord.store import typed_json
from gitcoord.store.files import write_quickly

FILE = "mirror.json"
FOREIGN_S = 600.0  # between two checks of a branch that a person has to remove


@dataclass(frozen=True, slots=True)
class MirrorRecord:
    """The mirror as this clone saw it last. Times are in seconds since 1970."""

    remote: str = ""  # as the setting names it
    tip: Oid | None = None  # the newest commit that is known to be there
    pushed_s: float = 0.0
    tried_s: float = 0.0
    failures: int = 0  # in a row
    foreign: Oid | None = None  # what is there instead of the ledger
    problem: str = ""


class MirrorRemote(Protocol):
    """The operations of a remote that the mirror needs."""

    def look_up(self, ref: str) -> Oid | None: ...

    def push(self, updates: Sequence[Update]) -> dict[str, Pushed]: ...


def read(home: Path) -> MirrorRecord:
    """Return what this clone knows of its mirror; an empty record if nothing is known."""
    try:
        return typed_json.read(MirrorRecord, (home / FILE).read_bytes())
    except (OSError, ValueError):
        return MirrorRecord()


def save(home: Path, record: MirrorRecord) -> None:
    """Store what is known of the mirror, for the node's other processes."""
    write_quickly(home / FILE, json.dumps(asdict(record)).encode())


def shown(home: Path, remote: str, ledger_tip: Oid, now_s: float) -> dict[str, Any] | None:
    """Return the mirror for `status`, as this clone saw it last; None if it has none."""
    if not remote:
        return None
    known = read(home)
    known = known if known.remote == remote else MirrorRecord()
    return {
        "remote": remote,
        "tip": known.tip,
        "behind": known.tip != ledger_tip,
        "pushed_s": round(max(0.0, now_s - known.pushed_s), 1) if known.pushed_s else None,
        "problem": known.problem,
    }


def mirror(
    objects: Objects, remote: MirrorRemote, ref: str, tip: Oid, known: MirrorRecord, *, now_s: float
) -> MirrorRecord:
    """Fast-forward the mirror's branch to `tip`, and return what is known of it then.

    A failed push, or a branch with something else, is a `problem` of the record. Raise what listing a remote raises.
    """
    from gitcoord.core.round.replica import descends  # only here: `status` reads the record, and needs no fold

    there = remote.look_up(ref)
    now = replace(known, tried_s=now_s, foreign=None, problem="", failures=0)
    if there is not None and there != tip and not descends(objects, there, tip):
        if descends(objects, tip, there):  # another clone of the fleet mirrors too, and is ahead of us
            return replace(now, tip=there)
        return replace(now, foreign=there, problem=_replaced(known.tip, there, ref), failures=known.failures + 1)
    if there == tip:
        return replace(now, tip=tip)
    answer = remote.push([Update(ref, there, tip)])[ref]
    if answer.outcome is PushOutcome.ACCEPTED:
        return replace(now, tip=tip, pushed_s=now_s)
    problem = answer.reason or f"the push was {answer.outcome.value}"
    return replace(now, tip=there, problem=problem, failures=known.failures + 1)


def _replaced(last: Oid | None, there: Oid, ref: str) -> str:
    was = f"was replaced: it had {last[:12]}, and has {there[:12]}, which is" if last else f"has {there[:12]},"
    return (
        f"its branch {ref.removeprefix('refs/heads/')} {was} no part of this fleet's ledger. It is not overwritten: "
        "remove or rename that branch to let the mirror go on"
    )


def wait_s(known: MirrorRecord, *, interval_s: float, retry_s_max: float = FOREIGN_S) -> float:
    """Return the seconds from the last attempt to the next."""
    if known.foreign is not None:
        return FOREIGN_S
    waited: float = min(max(interval_s, 1.0) * 2 ** min(known.failures, 16), retry_s_max)
    return max(interval_s, waited) if known.failures else interval_s
