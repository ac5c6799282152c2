"""The leader's part in directives: it follows the plan for each agent that failed."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.features import autonomy
from gitcoord.features.directives.state import CONTINGENCY, Directive, Part, State


def duty(state: State, ctx: Context) -> Iterable[Duty]:
    for one in state.open.values():
        must = frozenset(one.must_acknowledge)
        for key, part in one.parts.items() if one.plan is not None else ():
            reason = _failure(ctx, one, key, part, must) if not part.followed else ""
            if not reason:
                continue
            wanted = _planned(ctx, one, part, reason)
            if wanted.type == "directive_escalated":
                yield wanted  # an escalation needs no approval
            else:
                yield from autonomy.gate(ctx, "contingency", wanted)


def _failure(ctx: Context, one: Directive, key: str, part: Part, must: Set[str] = frozenset()) -> str:
    """Return why an agent's part failed, so that the plan takes effect; "" if it did not fail.

    `key`: the agent's casefolded id. `must`: the agents (casefolded) that must acknowledge.
    """
    if part.status == "failed":
        return part.words or "it reported a failure"
    if part.status == "done":
        return ""
    registered, known = ctx.state("agents").agents.get(key), ctx.fleet.members.get(part.agent)
    if known is not None and known.left:
        return "it has left the fleet"
    if registered is not None and registered.liveness == "gone":
        return "it is gone"
    must_ack = one.ack_s is not None and not part.acknowledged and key in must
    late = must_ack and ctx.age_s(one.at, one.position) > (one.ack_s or 0.0)
    return "it did not acknowledge in time" if late else ""


def _planned(ctx: Context, one: Directive, part: Part, reason: str) -> Duty:
    """Return the duty that the plan names. If its agent failed too, or has a part already, escalate instead."""
    assert one.plan is not None
    key = f"{CONTINGENCY}{one.id}:{part.agent.casefold()}"
    why = f"{part.agent} failed at {one.text[:80]!r} ({reason})"
    if one.plan.kind == "task":
        data: dict[str, Any] = {
            "title": one.plan.text,
            "body": f"{why}; by directive {one.id} of {one.issuer}: {one.text}",
            "priority": one.priority,
            "needs": [one.capability] if one.capability else [],
            "data": {"directive": one.id},
        }
        return Duty("task_created", one.plan.text, key, data)
    other = one.plan.text
    key_of_other = other.casefold()
    can_replace = key_of_other not in one.parts and not _failure(ctx, one, key_of_other, Part(other))
    if one.plan.kind == "agent" and can_replace:
        data = {"agent": other, "instead_of": part.agent}
        return Duty("directive_reassigned", f"{other} instead: {why}", key, data, to=(other,), re=one.id)
    return Duty("directive_escalated", why, key, {"agent": part.agent}, to=(one.issuer,), re=one.id)
