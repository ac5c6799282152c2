"""Following the ledger: fold what is new, and never follow a rollback or a fork silently."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from gitcoord.core.errors import BadCredentials, Corrupt, Unreachable
from gitcoord.core.format.event import parse
from gitcoord.core.ledger.branch import BadLine
from gitcoord.core.ledger.trees import readable
from gitcoord.core.ports import Fetched, Oid, PushOutcome, Update
from gitcoord.core.round.effects import DurableState, Effect, NextStep, Notify, Push, SaveOrphans, SaveTip, Steps
from gitcoord.core.round.replica import Replica, advance_to, descends

TOLD_AT_ONCE = 5  # refs, or bad lines; anybody who may push can make thousands


def follow_ledger(replica: Replica, disk: DurableState, refs: dict[str, Oid]) -> Generator[Effect, Any, NextStep]:
    """Fold the new commits; return RESTART if the remote has moved meanwhile.

    A tip that does not descend from the last one seen is never followed silently.
    """
    tip, seen = refs.get(replica.ledger_ref), disk.tip
    if seen is not None and tip != seen and not _is_here(replica, seen):
        yield Notify(
            "forgotten",
            f"the ledger last seen ({seen[:12]}) is no longer in the private store: whether the "
            "remote's descends from it cannot be told; going on from the remote's",
        )
        seen = None
    if seen is not None and tip != seen and not (tip and descends(replica.objects, seen, tip)):
        if tip is None or descends(replica.objects, tip, seen):
            if not (yield from _restore_remote(replica, tip, seen)):
                return NextStep.RESTART
            tip = seen
        else:
            yield from _handle_fork(replica, disk, seen, tip)
    if tip is None:
        return NextStep.CONTINUE
    news: list[BadLine] = []
    if tip != replica.branch.tip:
        before = set(replica.branch.bad)
        advance_to(replica, tip, known=replica.lines.verified())  # most of it was offered in an outbox before
        news = [bad for bad in replica.branch.bad if bad not in before]
    if tip != disk.tip:
        yield SaveTip(tip, max(disk.term, replica.branch.fleet.terms.highest))
    for bad in news[:TOLD_AT_ONCE]:
        yield Notify("bad_line", f"{bad.where}: {bad.reason}")
    if len(news) > TOLD_AT_ONCE:
        yield Notify(
            "bad_line",
            f"and {len(news) - TOLD_AT_ONCE} more bad lines on the ledger branch: `gitcoord verify` names them",
        )
    return NextStep.CONTINUE


def tell_left(replica: Replica, fetched: Fetched) -> Steps:
    """Report each outbox that is left on the remote, once while it is left, and refs that cannot be outboxes."""
    news = sorted(fetched.left.keys() - replica.told_left)
    if news:
        shown = "; ".join(f"{readable(ref)}: {fetched.left[ref]}" for ref in news[:TOLD_AT_ONCE])
        more = f"; and {len(news) - TOLD_AT_ONCE} more" if len(news) > TOLD_AT_ONCE else ""
        yield Notify("outbox_left", f"left on the remote: {shown}{more}. The ledger and all other outboxes go on")
    if fetched.strays and not replica.told_strays:
        some = ", ".join(readable(ref) for ref in sorted(fetched.strays)[:TOLD_AT_ONCE])
        yield Notify(
            "odd_refs",
            f"{len(fetched.strays)} refs among the outboxes can be none by their names, and are "
            f"passed over: {some}; their author, or the remote's owner, can delete them",
        )
    replica.told_left, replica.told_strays = frozenset(fetched.left), bool(fetched.strays)


def _is_here(replica: Replica, commit: Oid) -> bool:
    try:
        replica.objects.commit(commit)
    except Corrupt:
        return False
    return True


def _restore_remote(replica: Replica, old: Oid | None, seen: Oid) -> Generator[Effect, Any, bool]:
    """Push our ledger to a remote that was set back to an older one: a fast-forward.

    Return False if somebody else moved the remote meanwhile. If the remote denies the push, this node relies on what
    it has seen, pushes its outbox, and leaves the ledger alone for a while.
    """
    if replica.refusals.is_quiet(replica.clock.monotonic_s()):
        return True
    yield Notify("rollback", f"the remote's ledger was set back to {(old or 'nothing')[:12]}; restoring {seen[:12]}")
    answers = yield Push((Update(replica.ledger_ref, old, seen),))
    answer = answers[replica.ledger_ref]
    if answer.reason.startswith("credentials:"):
        raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
    if answer.outcome is PushOutcome.UNREACHABLE:
        raise Unreachable(f"the ledger was set back; restoring it failed: {answer.reason}")
    if answer.outcome is PushOutcome.DENIED:
        replica.refusals.back_off(replica.clock.monotonic_s())
        yield Notify(
            "ledger_denied", f"the ledger was set back, and the remote refuses to have it restored: {answer.reason}"
        )
    return answer.outcome in (PushOutcome.ACCEPTED, PushOutcome.DENIED)


def _handle_fork(replica: Replica, disk: DurableState, seen: Oid, tip: Oid) -> Steps:
    """Go on from the remote's ledger, which has parted from ours, and offer again every line that vanished."""
    if replica.branch.tip != seen:
        advance_to(replica, seen)
    mine = replica.branch
    read = mine.line_at()
    ours = [read(position) for position in range(1, mine.fleet.position + 1)]
    replica.objects.keep(f"forks/{seen[:12]}", seen)
    replica.branch = replica.fresh()
    try:
        advance_to(replica, tip)
    except Corrupt:
        replica.branch = mine
        raise
    if mine.fleet.id != replica.branch.fleet.id:
        theirs_id, replica.branch = replica.branch.fleet.id, mine
        raise Corrupt(
            f"the remote's ledger was replaced by that of fleet {theirs_id}; this clone belongs to {mine.fleet.id}: "
            "restore the remote, or run `gitcoord leave` and `gitcoord init`"
        )
    read = replica.branch.line_at()
    kept = {read(position) for position in range(1, replica.branch.fleet.position + 1)}
    lost = [line for line in ours if line not in kept and parse(line).seq is not None]
    yield SaveOrphans(tuple(dict.fromkeys([*disk.orphans, *lost])))
    yield SaveTip(tip, max(disk.term, mine.fleet.terms.highest, replica.branch.fleet.terms.highest))
    yield Notify(
        "fork",
        f"the remote's ledger parted from the one seen before ({seen[:12]}, kept here as forks/{seen[:12]}): "
        f"{len(lost)} events that vanished are offered again",
    )
