"""Proposals: decisions of the leader that wait for approval. The first answer counts; a rejected one is never done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.fold.authority import Asked, Persons, Resolver, Whose
from gitcoord.features import control
from gitcoord.features.autonomy.events import (
    Approvers,
    AutonomyChanged,
    Level,
    ProposalApproved,
    ProposalLapsed,
    ProposalMade,
    ProposalRejected,
)

KEPT_MAX = 1000  # pending proposals, above `approval.WAITING_MAX`: a leader counts only those that the ledger has
FINISHED_MAX = 500  # closed proposals that are kept: a rejected decision is not proposed again
PENDING_S = 86_400.0  # a proposal without an answer lapses; a decision that is still wanted is proposed again
APPROVED_S = 3600.0  # an approved decision that nothing needed for so long lapses

CLOSED_BECAUSE = {
    "approved": "{judge} approved it already",
    "rejected": "{judge} rejected it already",
    "done": "{judge} approved it, and it is done",
    "overtaken": "a newer proposal took its place",
    "lapsed": "it lapsed without an answer; what is still wanted is proposed again",
}
"""Status of a proposal → why it takes no answer any more."""


@dataclass(slots=True)
class Proposal:
    """A proposed decision. `status`: pending, approved, rejected, done, lapsed, or overtaken by a newer one."""

    id: str
    kind: str
    occasion: str
    round: int
    type: str
    content: str
    data: dict[str, Any]
    to: list[str]
    re: str | None
    by: str
    since: str
    status: str = "pending"
    judge: str = ""
    why: str = ""
    changed: str = ""
    position: int = 0  # of the event that set its status

    @property
    def waits(self) -> bool:
        return self.status in ("pending", "approved")


@dataclass
class State:
    level: Level = "full"
    approvers: Approvers = "members"
    by: str = ""  # the agent that set the level
    since: str = ""
    proposals: dict[str, Proposal] = field(default_factory=dict)  # by id, oldest first
    newest: dict[str, str] = field(default_factory=dict)  # occasion → id

    def __post_init__(self) -> None:
        self.waiting = sum(one.waits for one in self.proposals.values())


def _approvers(state: State, asked: Asked, persons: Persons) -> Whose | None:
    """Return the rule for approvers: admins or any member, as set, and never the proposer under another name."""
    proposal = state.proposals.get(asked.re or "")
    if proposal is None:
        return None
    by, admins_only = proposal.by, state.approvers == "admins"
    who = "an admin" if admins_only else "a member"

    def may(agent: str) -> bool:
        return not persons.same_person(agent, by) and (not admins_only or persons.role_of(agent) == "admin")

    return Whose(f"{who} other than {by} (who proposed it)", may)


WHOSE: Mapping[str, Resolver] = {"proposal_approved": _approvers, "proposal_rejected": _approvers}


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    event, payload = sequenced.event, sequenced.payload
    if sequenced.void is not None:
        return None
    if event.term is not None and state.newest:
        _note_done(state, sequenced)
    if payload is None or event.content.startswith("*"):
        word = control.word_in(sequenced, "autonomy")
        return _command(state, sequenced, word) if word is not None and word.verb != "status" else None
    match payload:
        case AutonomyChanged(level=level, approvers=approvers):
            return _change(state, sequenced, level, approvers)
        case ProposalMade():
            return _propose(state, sequenced, payload)
        case ProposalApproved():
            return _judge(state, sequenced, "approved", "")
        case ProposalRejected(why=why):
            return _judge(state, sequenced, "rejected", why)
        case ProposalLapsed():
            return _lapse(state, sequenced)
    return None


def _command(state: State, sequenced: SequencedEvent, word: control.ControlWord) -> str | None:
    level = next((level for level in get_args(Level) if level == word.verb), None)
    if level is None or word.rest:
        return f"*autonomy:{word.verb} is none of *autonomy:full, *autonomy:supervised, *autonomy:manual"
    if sequenced.role != "admin":
        return "only an admin sets how much the leader decides alone"
    return _change(state, sequenced, level, None)


def _change(state: State, sequenced: SequencedEvent, level: Level, approvers: Approvers | None) -> str | None:
    state.level, state.approvers = level, approvers or state.approvers
    state.by, state.since = sequenced.event.actor, sequenced.event.timestamp
    return None


def why_closed(proposal: Proposal) -> str | None:
    """Return why the proposal takes no answer any more; None while it is pending."""
    if proposal.status != "pending":
        return CLOSED_BECAUSE[proposal.status].format(judge=proposal.judge or "somebody")
    return None


def _propose(state: State, sequenced: SequencedEvent, made: ProposalMade) -> str | None:
    event = sequenced.event
    before = state.proposals.get(state.newest.get(made.occasion, ""))
    if before is not None and before.status in ("rejected", "done"):
        return f"an earlier proposal for the same occasion is {before.status}"
    if state.waiting >= KEPT_MAX:
        return f"{KEPT_MAX} proposals wait already"
    if before is not None and before.waits:
        _finish(state, before, "overtaken", sequenced)
    wanted = made.event
    state.proposals[event.uid] = Proposal(
        event.uid,
        made.kind,
        made.occasion,
        made.round,
        wanted.type,
        wanted.content,
        wanted.data,
        wanted.to,
        wanted.re,
        event.actor,
        event.timestamp,
        position=sequenced.position,
    )
    state.newest[made.occasion] = event.uid
    state.waiting += 1
    _forget(state)
    return None


def _forget(state: State) -> None:
    finished = [one for one in state.proposals.values() if not one.waits]
    for one in finished[:-FINISHED_MAX]:
        del state.proposals[one.id]
        if state.newest.get(one.occasion) == one.id:
            del state.newest[one.occasion]


def _judge(state: State, sequenced: SequencedEvent, status: str, why: str) -> str | None:
    proposal = state.proposals.get(sequenced.event.re or "")
    if proposal is None:
        return "no proposal has this id: `gitcoord autonomy proposals` lists them"
    reason = why_closed(proposal)
    if reason is None:
        proposal.judge, proposal.why = sequenced.event.actor, why
        _finish(state, proposal, status, sequenced)
    return reason


def _lapse(state: State, sequenced: SequencedEvent) -> str | None:
    proposal = state.proposals.get(sequenced.event.re or "")
    if proposal is None or not proposal.waits:
        return "the proposal is not pending any more"
    _finish(state, proposal, "lapsed", sequenced)
    return None


def _note_done(state: State, sequenced: SequencedEvent) -> None:
    occasion = sequenced.event.data.get("duty")
    proposal = state.proposals.get(state.newest.get(occasion, "")) if isinstance(occasion, str) else None
    if proposal is not None and proposal.waits:
        _finish(state, proposal, "done", sequenced)


def _finish(state: State, proposal: Proposal, status: str, sequenced: SequencedEvent) -> None:
    waited = proposal.waits
    proposal.status, proposal.changed, proposal.position = status, sequenced.event.timestamp, sequenced.position
    state.waiting += proposal.waits - waited
    if not proposal.waits:
        proposal.data = {}  # the ledger has it; here it would only take room


def duty(state: State, ctx: Context) -> Iterable[Duty]:
    for one in state.proposals.values():
        limit_s = {"pending": PENDING_S, "approved": APPROVED_S}.get(one.status)
        if limit_s is not None and ctx.age_s(one.changed or one.since, one.position) > limit_s:
            yield Duty("proposal_lapsed", f"lapsed: {one.content}", f"lapse:{one.id}", re=one.id)
