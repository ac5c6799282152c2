"""Autonomy: how much the leader decides by itself; any other decision waits as a proposal for a member's approval.

Under `full` the leader asks nobody. Under `supervised` major decisions wait, under `manual` all do. The fold enforces
this: it voids what the leader decides without approval. gitcoord cannot tell people from programs, so any member but
the proposer may approve; a fleet can leave that to its admins. Only an admin changes the level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import Field

from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.fields import Given, Reason
from gitcoord.core.lookup import find
from gitcoord.features import typed
from gitcoord.features.autonomy import approval, events, proposals
from gitcoord.features.autonomy.events import Approvers, Level
from gitcoord.features.autonomy.proposals import Proposal, why_closed

EVENTS = events.EVENTS
AUTHORITY = events.AUTHORITY
WHOSE = proposals.WHOSE
State = proposals.State
fold = proposals.fold
duty = proposals.duty
gate = approval.gate
withholds = approval.withholds

# Commands


class SetAutonomy(Arguments):
    approvers: Approvers | None = Field(
        None, description="Members who may approve: any but the proposer, or only admins"
    )


class ApproveProposals(Arguments):
    ids: typed.Ids = Field([], description="Proposal ids")
    all: bool = Field(False, description="All pending proposals")


class RejectProposals(ApproveProposals):
    why: Reason = Field("", description="The reason, shown to other agents")


class ListProposals(Arguments):
    id: Given | None = Field(None, description="Show all details of this proposal")
    status: Literal["pending", "approved", "rejected", "done", "lapsed", "overtaken"] | None = Field(
        None, description="Only proposals with this status (default: pending)"
    )
    kind: Given | None = Field(None, description="Only decisions of this kind, such as assignment")
    all: bool = Field(False, description="Include closed proposals")


def _changes(level: Level) -> Command:
    def decide(ctx: Context, args: SetAutonomy) -> list[NewEvent]:
        state: State = ctx.state("autonomy")
        if state.level == level and args.approvers in (None, state.approvers):
            return []
        approvers = f", approved by {args.approvers}" if args.approvers else ""
        return [
            NewEvent("autonomy_changed", f"autonomy: {level}{approvers}", {"level": level, "approvers": args.approvers})
        ]

    return Command(
        help=HELP[level],
        example=f"gitcoord autonomy {level}",
        arguments=SetAutonomy,
        decide=decide,
        answer=lambda ctx, uid: _status(ctx),
        idempotent=True,
    )


def _approve(ctx: Context, args: ApproveProposals) -> list[NewEvent]:
    return [
        NewEvent("proposal_approved", f"{ctx.actor} approves: {one.content}", re=one.id) for one in _chosen(ctx, args)
    ]


def _reject(ctx: Context, args: RejectProposals) -> list[NewEvent]:
    why = f" ({args.why})" if args.why else ""
    return [
        NewEvent("proposal_rejected", f"{ctx.actor} rejects: {one.content}{why}", {"why": args.why}, re=one.id)
        for one in _chosen(ctx, args)
    ]


def _chosen(ctx: Context, args: ApproveProposals) -> list[Proposal]:
    state: State = ctx.state("autonomy")
    if not args.ids and not args.all:
        raise Refused("name proposals, or give --all: `gitcoord autonomy proposals` lists them")
    chosen = [
        state.proposals[find(ctx, state.proposals, text, "proposal", shown_by="autonomy proposals")]
        for text in args.ids
    ]
    chosen += [one for one in state.proposals.values() if args.all and one.status == "pending" and one not in chosen]
    for one in chosen:
        reason = why_closed(one)
        if reason is not None:
            raise Lost(f"{one.id[:8]}: {reason}")
    return chosen


def _status(ctx: Context) -> dict[str, Any]:
    state: State = ctx.state("autonomy")
    pending = sum(one.status == "pending" for one in state.proposals.values())
    return {
        "autonomy": state.level,
        "approvers": state.approvers,
        "set_by": state.by,
        "since": state.since,
        "pending": pending,
    }


def _proposals(ctx: Context, args: ListProposals) -> Sequence[dict[str, Any]] | dict[str, Any]:
    state: State = ctx.state("autonomy")
    if args.id is not None:
        one = state.proposals[find(ctx, state.proposals, args.id, "proposal", shown_by="autonomy proposals --all")]
        return {**to_row(one), "changed": one.changed or None, "position": ctx.fleet.positions.get(one.id)}
    return [
        to_row(one)
        for one in state.proposals.values()
        if (args.all or (one.waits if args.status is None else one.status == args.status))
        and args.kind in (None, one.kind)
    ]


def to_row(one: Proposal) -> dict[str, Any]:
    event = {"type": one.type, "data": one.data, "to": one.to, "re": one.re}
    return {
        "id": one.id,
        "kind": one.kind,
        "status": one.status,
        "proposal": one.content,
        "event": event,
        "by": one.by,
        "since": one.since,
        "judge": one.judge,
        "why": one.why,
    }


def _answer(ctx: Context, uid: str) -> dict[str, Any]:
    return {"waiting": sum(one.status == "pending" for one in ctx.state("autonomy").proposals.values())}


HELP: Mapping[Level, str] = {
    "full": "Let the leader decide everything alone",
    "supervised": "Require approval for the leader's major decisions",
    "manual": "Require approval for every decision of the leader",
}

COMMANDS: Mapping[str, Command | Query] = {
    "autonomy approve": Command(
        help="Approve proposals of the leader",
        example="gitcoord autonomy approve --all",
        arguments=ApproveProposals,
        decide=_approve,
        binds=True,
        positional=("ids",),
        answer=_answer,
        urgent=True,
    ),
    "autonomy reject": Command(
        help="Reject proposals of the leader",
        arguments=RejectProposals,
        example="gitcoord autonomy reject --all --why 'not on a Friday'",
        decide=_reject,
        binds=True,
        positional=("ids",),
        answer=_answer,
    ),
    "autonomy proposals": Query(
        help="List the leader's proposals",
        example="gitcoord autonomy proposals",
        arguments=ListProposals,
        ask=_proposals,
        positional=("id",),
        columns=("id", "kind", "status", "proposal", "by", "since"),
    ),
    "autonomy status": Query(
        help="Show how much the leader decides alone",
        example="gitcoord autonomy status",
        arguments=Arguments,
        ask=lambda ctx, args: _status(ctx),
    ),
    **{f"autonomy {level}": _changes(level) for level in get_args(Level)},
}
