"""Approval: which decisions of the leader need it, by the fleet's level of autonomy, and whether it was given."""

from __future__ import annotations

from collections.abc import Mapping

from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.core.format.event import Event
from gitcoord.features.autonomy.events import Level
from gitcoord.features.autonomy.proposals import Proposal, State

MAJOR = frozenset({"assignment", "recovery", "contingency", "workflow"})
"""Kinds of decisions that need approval under `supervised`. Under `manual` each decision that `gate` gets needs it."""
GATED: Mapping[str, str] = {
    "task_assigned": "assignment",
    "recovery_started": "recovery",
    "directive_reassigned": "contingency",
    "workflow_started": "workflow",
}
"""Event type → its kind of decision. The fold checks these events of the leader with `withholds`."""
WAITING_MAX = 200  # pending proposals, more than anybody reads: above it the leader stops proposing


def gate(ctx: Context, kind: str, duty: Duty) -> tuple[Duty, ...]:
    """Return what the leader may append for `duty`: the duty, a proposal, or nothing while the proposal is pending.

    `kind`: one of MAJOR, or any other word for a minor decision. Call it again for as long as the duty is wanted: an
    approved decision is appended only then, exactly as it was approved. A rejected decision is not proposed again. If
    the proposal names an agent (`data["agent"]`) that is gone, and the duty names another agent, propose again.
    """
    state: State = ctx.state("autonomy")
    if not _needs_approval(state.level, kind):
        return (duty,)
    known = state.proposals.get(state.newest.get(duty.key, ""))
    if known is None or known.status == "lapsed" or (known.waits and _is_moot(ctx, known, duty)):
        if state.waiting >= WAITING_MAX:
            return ()
        return (_proposed(kind, duty, known.round + 1 if known else 1),)
    if known.status == "approved":
        data = {**known.data, "proposal": known.id}
        return (Duty(known.type, known.content, duty.key, data, tuple(known.to), known.re),)
    return ()


def _needs_approval(level: Level, kind: str) -> bool:
    return level == "manual" or (level == "supervised" and kind in MAJOR)


def withholds(state: State, event: Event) -> str | None:
    """Return why the leader may not decide this alone; None if it may, or if exactly this event was approved.

    The fold checks each event of the leader, so that a leader which bypasses `gate` gains nothing.
    """
    kind = GATED.get(event.type)
    if kind is None or not _needs_approval(state.level, kind):
        return None
    proposal = state.proposals.get(str(event.data.get("proposal")))
    if proposal is None or proposal.status != "approved":
        return f"autonomy is {state.level}: {event.type} waits for an approved proposal (`gitcoord autonomy proposals`)"
    data = {**proposal.data, "proposal": proposal.id, "duty": proposal.occasion}
    if (event.type, event.content, event.data, event.to, event.re) != (
        proposal.type,
        proposal.content,
        data,
        tuple(proposal.to),
        proposal.re,
    ):
        return f"the event differs from what {proposal.judge} approved by proposal {proposal.id[:8]}"
    return None


def _proposed(kind: str, duty: Duty, round_: int) -> Duty:
    event = {"type": duty.type, "content": duty.content, "data": dict(duty.data), "to": list(duty.to), "re": duty.re}
    return Duty(
        "proposal_made",
        f"proposes: {duty.content}",
        f"propose:{duty.key}:{round_}",
        {"kind": kind, "occasion": duty.key, "round": round_, "event": event},
        re=duty.re,
    )


def _is_moot(ctx: Context, known: Proposal, duty: Duty) -> bool:
    agent, wanted = known.data.get("agent"), duty.data.get("agent")
    if not isinstance(agent, str) or agent == wanted:
        return False
    registered = ctx.state("agents").agents.get(agent.casefold())
    return registered is None or registered.liveness == "gone"
