"""Following the ledger: fold what is new, and never follow a rollback or a fork silently."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from gitcoord.core.errors import BadCredentials, Corrupt, ForeignLedger, Unreachable
from gitcoord.core.format.event import parse
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ledger.branch import BadLine, LedgerBranch
from gitcoord.core.ledger.origin import fleet_of, is_some_ledger
from gitcoord.core.ledger.trees import readable
from gitcoord.core.ports import ALREADY_THERE, Fetched, Oid, Pushed, PushOutcome, Update
from gitcoord.core.round.commits import add_outbox
from gitcoord.core.round.effects import (
    DurableState,
    Effect,
    NextStep,
    Notify,
    Push,
    SaveOrphans,
    SaveSight,
    SaveTip,
    Steps,
)
from gitcoord.core.round.planning import PushPlan, is_news
from gitcoord.core.round.replica import Replica, advance_to, descends, own_ref

TOLD_AT_ONCE = 5  # refs, or bad lines; anybody who may push can make thousands


def follow_ledger(
    replica: Replica, disk: DurableState, local: LocalSessions, refs: dict[str, Oid]
) -> Generator[Effect, Any, NextStep]:
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
        if not (yield from _settle(replica, disk, local, seen, tip)):
            return NextStep.RESTART
        tip = disk.tip
    if tip is None:
        return NextStep.CONTINUE
    news: list[BadLine] = []
    if tip != replica.branch.tip:
        before = set(replica.branch.bad)
        advance_to(replica, tip, known=replica.lines.verified())  # most of it was offered in an outbox before
        news = [bad for bad in replica.branch.bad if bad not in before]
    if tip != disk.tip:
        yield SaveTip(tip, max(disk.term, replica.branch.fleet.terms.highest))
    sight = disk.sight.seen(replica.clock.epoch_s())
    if sight != disk.sight and tip == refs.get(replica.ledger_ref):
        yield SaveSight(sight)
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


def _settle(
    replica: Replica, disk: DurableState, local: LocalSessions, seen: Oid, tip: Oid | None
) -> Generator[Effect, Any, bool]:
    """Follow a fork of our ledger, and put ours in the place of anything else. Then `disk.tip` is what to go by.

    Return False if somebody else moved the ledger meanwhile.
    """
    if tip is None or descends(replica.objects, tip, seen):
        words = f"the remote's ledger was set back to {(tip or 'nothing')[:12]}; restoring {seen[:12]}"
        answer = yield from _restore_remote(replica, disk, local, tip, seen, Notify("rollback", words))
    elif (yield from _handle_fork(replica, disk, seen, tip)):
        return True
    else:
        answer = yield from _restore_replaced(replica, disk, local, seen, tip)
    return answer is None or answer.outcome not in (PushOutcome.STALE, PushOutcome.UNKNOWN)


def _restore_remote(
    replica: Replica, disk: DurableState, local: LocalSessions, old: Oid | None, seen: Oid, told: Notify
) -> Generator[Effect, Any, Pushed | None]:
    """Give the remote our ledger again, in the place of `old`. Return what it answers; None while it is left alone.

    Our outbox goes along if it has news, even in a pause after others wrote to it: if the remote limits pushes,
    somebody who replaces the ledger again and again would otherwise leave none for it. If the remote refuses, this node
    goes by what it has seen, pushes its outbox, and leaves the ledger alone for a while.
    """
    if replica.refusals.is_quiet(replica.clock.monotonic_s()):
        return None
    yield told
    now_s, part = replica.clock.monotonic_s(), PushPlan(pending=replica.refusals.unblocked(disk.pending()))
    if is_news(replica, disk, part.pending):
        yield from add_outbox(replica, disk, local, part, now_s, fresh=False)
    answers: dict[str, Pushed] = yield Push((Update(replica.ledger_ref, old, seen), *part.updates))
    own = answers.get(own_ref(replica, disk))
    if own is not None and own.outcome is PushOutcome.ACCEPTED:
        replica.own.accept(part.outbox_oid, part.pending[-1].head if part.pending else None)
        local.confirm_heartbeats()
    answer = answers[replica.ledger_ref]
    if answer.reason.startswith("credentials:"):
        raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
    if answer.outcome is PushOutcome.UNREACHABLE:
        raise Unreachable(f"the ledger was set back or replaced; restoring it failed: {answer.reason}")
    if answer.outcome is PushOutcome.DENIED:
        replica.refusals.back_off(replica.clock.monotonic_s())
        yield Notify(
            "ledger_denied",
            f"the ledger was set back or replaced, and the remote refuses to have it restored: {answer.reason}",
        )
    return answer


def _restore_replaced(
    replica: Replica, disk: DurableState, local: LocalSessions, seen: Oid, tip: Oid
) -> Generator[Effect, Any, Pushed | None]:
    """Put our ledger in the place of what is none of this fleet. Raise ForeignLedger where a person has to decide.

    What is no ledger at all gives way always, as if the branch had been deleted.
    """
    sight, now_s, theirs_id = disk.sight, replica.clock.epoch_s(), fleet_of(replica.objects, tip)
    what = f"that of fleet {theirs_id}" if theirs_id else "what is no ledger that this version of gitcoord reads"
    words = f"the remote's ledger was replaced by {what} (commit {tip[:12]})"
    is_ledger = is_some_ledger(replica.objects, tip)
    if is_ledger and (sight.is_spent(now_s) or not sight.is_recent(now_s)):
        why = "has not seen its own ledger there for days"
        if sight.is_spent(now_s):
            why = f"has put its own ledger back {len(sight.restored_s)} times in a day"
            if sight.seen_s is not None:
                yield SaveSight(sight.forgotten())
        raise ForeignLedger(
            f"{words}; this clone belongs to {replica.branch.fleet.id}, and {why}: run `gitcoord sync --restore` to "
            "put it back for the whole fleet, or `gitcoord leave` and `gitcoord init` to join the other one"
        )
    answer = yield from _restore_remote(
        replica, disk, local, tip, seen, Notify("replaced", f"{words}; restoring {seen[:12]}")
    )
    if is_ledger and answer is not None and answer.outcome in (PushOutcome.ACCEPTED, PushOutcome.UNKNOWN):
        if answer.reason != ALREADY_THERE:  # then another clone did it
            yield SaveSight(disk.sight.restored(now_s))
    return answer


def _read_fork(replica: Replica, tip: Oid) -> LedgerBranch | None:
    """Return a ledger that has parted from ours; None where it is not of this fleet.

    Every line of it is folded: a checkpoint that lies may be laid beside a fork.
    """
    mine, accepts = replica.branch, replica.accepts_checkpoints
    if fleet_of(replica.objects, tip) != mine.fleet.id:
        return None
    replica.branch, replica.accepts_checkpoints = replica.fresh(), False
    try:
        advance_to(replica, tip)
        return replica.branch if replica.branch.fleet.id == mine.fleet.id else None
    except ForeignLedger:
        return None
    finally:
        replica.branch, replica.accepts_checkpoints = mine, accepts


def _handle_fork(replica: Replica, disk: DurableState, seen: Oid, tip: Oid) -> Generator[Effect, Any, bool]:
    """Go on from the remote's ledger, which has parted from ours, and offer again every line that vanished.

    Return False where it is no ledger of this fleet: no line of it is folded.
    """
    if replica.branch.tip != seen:
        advance_to(replica, seen)
    mine = replica.branch
    theirs = _read_fork(replica, tip)
    if theirs is None:
        return False
    read = mine.line_at()
    ours = [read(position) for position in range(1, mine.fleet.position + 1)]
    replica.objects.keep(f"forks/{seen[:12]}", seen)
    replica.branch = theirs
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
    return True
