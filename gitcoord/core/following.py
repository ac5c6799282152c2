"""Following the ledger: fold what is new, and never follow a rollback or a fork silently."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from gitcoord.core.effects import Carry, Disk, Effect, Push, SaveTip, Steps, Tell
from gitcoord.core.errors import Corrupt, Denied, Unreachable
from gitcoord.core.ports import Oid, Outcome, Update
from gitcoord.core.replica import Replica, absorb


def follow_ledger(me: Replica, disk: Disk, refs: dict[str, Oid]) -> Steps:
    """Fold what is new. A tip that does not descend from the last one seen is never followed silently."""
    tip, seen = refs.get(me.ledger_ref), disk.tip
    if seen is not None and tip != seen and not (tip and me.objects.is_ancestor(seen, tip)):
        if tip is None or me.objects.is_ancestor(tip, seen):
            tip = yield from _push_back(me, disk, refs, seen)
        else:
            yield from _part(me, disk, seen, tip)
    if tip is None or tip == me.branch.tip:
        return
    before = len(me.branch.bad)
    absorb(me, tip)
    if disk.tip is None or me.branch.tip != disk.tip:
        yield SaveTip(tip, max(disk.term, me.branch.fleet.terms.highest))
    for bad in me.branch.bad[before:]:
        yield Tell("bad_line", f"{bad.where}: {bad.reason}")


def _push_back(me: Replica, disk: Disk, refs: dict[str, Oid], seen: Oid) -> Generator[Effect, Any, Oid | None]:
    """The remote was set back to an older ledger: give it ours, which is a fast-forward."""
    old = refs.get(me.ledger_ref)
    yield Tell("rollback", f"the remote's ledger was set back to {(old or 'nothing')[:12]}; restoring {seen[:12]}")
    answers = yield Push((Update(me.ledger_ref, old, seen),))
    answer = answers[me.ledger_ref]
    if answer.outcome is Outcome.ACCEPTED:
        refs[me.ledger_ref] = seen
        return seen
    if answer.outcome is Outcome.DENIED:
        raise Denied(f"the ledger was set back, and the remote refuses to have it restored: {answer.reason}")
    raise Unreachable(f"the ledger was set back; restoring it failed: {answer.reason or answer.outcome.value}")


def _part(me: Replica, disk: Disk, seen: Oid, tip: Oid) -> Steps:
    """The remote's ledger has parted from ours: go on from it, and offer again every line that vanished."""
    mine = me.branch
    if mine.tip != seen:
        absorb(me, seen)
        mine = me.branch
    read = mine.line_at()
    ours = [read(position) for position in range(1, mine.fleet.position + 1)]
    me.objects.keep(f"forks/{seen[:12]}", seen)
    me.branch = me.fresh()
    absorb(me, tip)
    if mine.fleet.id != me.branch.fleet.id:
        theirs_id, me.branch = me.branch.fleet.id, mine
        raise Corrupt(
            f"the remote's ledger was replaced by that of fleet {theirs_id}; this clone belongs to {mine.fleet.id}: "
            "restore the remote, or run `gitcoord leave` and `gitcoord init`"
        )
    read = me.branch.line_at()
    kept = {read(position) for position in range(1, me.branch.fleet.position + 1)}
    lost = tuple(line for line in ours if line not in kept and b'"seq":' in line)
    yield Carry(tuple(disk.carried) + lost)
    yield SaveTip(tip, max(disk.term, mine.fleet.terms.highest, me.branch.fleet.terms.highest))
    yield Tell(
        "fork", f"the remote's ledger parted from the one seen before ({seen[:12]}, kept here as forks/{seen[:12]}): "
        f"{len(lost)} events that vanished are offered again"
    )
