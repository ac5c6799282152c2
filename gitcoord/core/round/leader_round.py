"""The leader's part of a round: the events that it alone appends."""

from __future__ import annotations

from collections.abc import Container, Sequence

from gitcoord.core import duties as leader_duties
from gitcoord.core import limits
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.ledger.branch import BadLine
from gitcoord.core.names import uid_from
from gitcoord.core.ports import Oid
from gitcoord.core.round.effects import Append, DurableState, Notify, Steps
from gitcoord.core.round.replica import Replica


def do_duties(replica: Replica, disk: DurableState, local: LocalSessions) -> Steps:
    """Append the leader's duties, except those that are pending already, and log them."""
    fleet = replica.branch.fleet
    lead = local.leading(fleet.terms)
    if lead is None or lead.leaving or not lead.claims_term:
        return
    waiting = {duty for event in disk.pending() if isinstance(duty := event.data.get("duty"), str)}
    ctx = Context(
        fleet,
        replica.clock.timestamp(),
        lead.agent,
        disk.node,
        liveness=local.standings(),
        watching_s=replica.first_seen.watching_s(replica.clock.monotonic_s()),
        seen_s=replica.seen_s,
    )
    found = leader_duties.wanted(fleet, ctx, but=waiting) + _bad_lines(replica, waiting)
    drafts = []
    for duty in found:
        if not replica.duties.allows(replica.clock.monotonic_s()):
            break
        draft = leader_duties.draft(
            fleet,
            duty,
            lead.signer,
            actor=lead.agent,
            node=disk.node,
            timestamp=replica.clock.timestamp(),
            uid=uid_from(replica.rng.randbytes(10)),
        )
        if draft is not None:
            replica.duties.spend(replica.clock.monotonic_s())
            drafts.append(draft)
    if drafts:
        yield Append(tuple(drafts))
    for draft in drafts:
        yield Notify("leading", draft.content)


def _bad_lines(replica: Replica, waiting: Container[str]) -> list[Duty]:
    """Return one duty for each commit that somebody tampered with, however many bad lines it holds."""
    by_commit: dict[Oid, list[BadLine]] = {}
    for bad in replica.branch.bad:
        by_commit.setdefault(bad.commit, []).append(bad)
    found = [(f"bad:{commit[:12]}", bads) for commit, bads in by_commit.items()]
    new = [(key, bads) for key, bads in found if key not in waiting and key not in replica.branch.fleet.done]
    return [Duty("error", _told(bads), key) for key, bads in new[: limits.DUTIES_PER_TICK]]


def _told(bads: Sequence[BadLine]) -> str:
    more = f"; {len(bads) - 1} more bad lines in this commit: `gitcoord verify` names them" if bads[1:] else ""
    return f"{bads[0].where}: {bads[0].reason}"[:400] + more
